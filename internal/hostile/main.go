package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/dht"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

func main() {
	how := flag.String("how", "lie", "lie: wrong bytes; silent: none; drip: 1 KiB/s")
	listen := flag.String("listen", "/ip4/127.0.0.1/tcp/0", "listen here")
	boot := flag.String("bootstrap", "", "announce the file in the DHT, through this node")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *how, *listen, *boot, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
}

// run serves one file in a bad way until ctx ends.
func run(ctx context.Context, how, listen, boot string, files []string) error {
	if len(files) != 1 {
		return errors.New("usage: hostile [-how lie|silent|drip] [-listen MULTIADDR] [-bootstrap MULTIADDR] FILE")
	}
	dir, err := os.MkdirTemp("", "hostile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := store.Open(dir, store.Config{})
	if err != nil {
		return err
	}
	defer s.Close()
	root, err := s.Add(ctx, files[0], store.AddOptions{})
	if err != nil {
		return err
	}
	h, err := libp2p.New(libp2p.ListenAddrStrings(listen), libp2p.DisableMetrics())
	if err != nil {
		return err
	}
	defer h.Close()
	cfg := exchange.Config{Library: held{s}}
	switch how {
	case "lie":
		cfg.Library = forger{held{s}}
	case "silent":
		cfg.Library = mute{held{s}, ctx}
	case "drip":
		cfg.Upload = exchange.Limit{Rate: 1 << 10, LAN: true}
	default:
		return fmt.Errorf("-how %q is not lie, silent or drip", how)
	}
	x := exchange.New(h, cfg)
	defer x.Close()
	for _, a := range h.Addrs() {
		fmt.Printf("%v/p2p/%v\n", a, h.ID())
	}
	if boot != "" {
		if err := announce(ctx, h, boot, root.CID); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// announce names the peer as a provider in the DHT, until ctx ends.
func announce(ctx context.Context, h host.Host, boot string, root cid.Cid) error {
	to, err := peer.AddrInfoFromString(boot)
	if err != nil {
		return err
	}
	kad, err := dht.NewKad(h, dht.KadConfig{Bootstrap: func() []peer.AddrInfo { return []peer.AddrInfo{*to} }})
	if err != nil {
		return err
	}
	defer kad.Close()
	for {
		if err = kad.Provide(ctx, root); err == nil {
			fmt.Println("announced")
			<-ctx.Done()
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// held serves what is in a store, as a node does.
type held struct{ store.Store }

func (l held) Held(_ context.Context, c cid.Cid) (exchange.Held, bool) {
	tree, err := store.LoadTree(l.Store, c)
	if err != nil {
		return exchange.Held{}, false
	}
	table, err := tree.Table()
	if err != nil {
		return exchange.Held{}, false
	}
	h := exchange.Held{Table: table, Have: make([]bool, len(table.Pieces))}
	for i := range h.Have {
		h.Have[i] = true
	}
	for _, b := range tree.Blocks() {
		h.Tree = append(h.Tree, b.CID)
	}
	return h, true
}

func (l held) Block(_ context.Context, c cid.Cid) ([]byte, error) { return l.Store.Block(c) }

func (held) Suspect(merkle.Key) {}

// forger changes a bit of each piece.
type forger struct{ held }

func (f forger) ReadPiece(ctx context.Context, key merkle.Key, buf []byte) ([]byte, error) {
	b, err := f.held.ReadPiece(ctx, key, buf)
	if err == nil {
		b[len(b)/2] ^= 1
	}
	return b, err
}

// mute never gets a piece ready.
type mute struct {
	held
	ctx context.Context
}

func (m mute) ReadPiece(context.Context, merkle.Key, []byte) ([]byte, error) {
	<-m.ctx.Done()
	return nil, m.ctx.Err()
}
