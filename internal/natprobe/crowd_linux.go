package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"
)

// crowd starts n nodes in this process, has each connect to the relay at once and
// reserve there, and says how many could, and how long it took.
func crowd(n, relay string) error {
	count, err := strconv.Atoi(n)
	if err != nil {
		return err
	}
	at, err := ma.NewMultiaddr(relay)
	if err != nil {
		return err
	}
	to, err := peer.AddrInfoFromP2pAddr(at)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var connected, reserved atomic.Int64
	var wg sync.WaitGroup
	from := time.Now()
	for range count {
		h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.EnableRelay(), libp2p.DisableMetrics(),
			libp2p.ResourceManager(&network.NullResourceManager{}))
		if err != nil {
			return err
		}
		defer h.Close()
		wg.Go(func() {
			if h.Connect(ctx, *to) != nil {
				return
			}
			connected.Add(1)
			if _, err := client.Reserve(ctx, h, *to); err == nil {
				reserved.Add(1)
			}
		})
	}
	wg.Wait()
	fmt.Printf("%d of %d connected, %d reserved, %.1f s\n", connected.Load(), count, reserved.Load(), time.Since(from).Seconds())
	return nil
}
