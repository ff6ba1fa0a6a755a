package main

import (
	"context"
	"errors"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/merkle"
)

// identity is one of the peers that a rider is.
type identity struct {
	host   host.Host
	x      *exchange.Exchange
	root   *exchange.Root
	born   time.Time
	dialed map[peer.ID]bool
}

// nothing is a library that has what it is said to have, and gives none of it.
type nothing struct{}

var errNothing = errors.New("a free-rider gives nothing")

func (nothing) Held(context.Context, cid.Cid) (exchange.Held, bool)           { return exchange.Held{}, false }
func (nothing) Block(context.Context, cid.Cid) ([]byte, error)                { return nil, errNothing }
func (nothing) Suspect(merkle.Key)                                            {}
func (nothing) ReadPiece(context.Context, merkle.Key, []byte) ([]byte, error) { return nil, errNothing }

// newIdentity is a peer with a new key. What it hears of the root goes to events.
func newIdentity(listen string, root cid.Cid, events chan<- exchange.Event) (*identity, error) {
	h, err := libp2p.New(libp2p.ListenAddrStrings(listen), libp2p.DisableMetrics(), libp2p.DisableRelay(),
		libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		return nil, err
	}
	x := exchange.New(h, exchange.Config{Library: nothing{}})
	r, err := x.Open(root, events)
	if err != nil {
		return nil, errors.Join(err, x.Close(), h.Close())
	}
	return &identity{host: h, x: x, root: r, born: time.Now(), dialed: map[peer.ID]bool{}}, nil
}

// dial connects to a peer, once, and asks it for the root.
func (id *identity) dial(ctx context.Context, to peer.AddrInfo) {
	if id.dialed[to.ID] || to.ID == id.host.ID() {
		return
	}
	id.dialed[to.ID] = true
	go func() {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if s, err := id.x.Session(ctx, to); err == nil {
			id.root.Join(s)
		}
	}()
}

func (id *identity) close() {
	id.x.Close()
	id.host.Close()
}
