package dht

import (
	"context"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxFound is how many providers one lookup returns at most: more than any
	// download connects to, and a bound on what liars can send.
	maxFound = 1000
	// maxAddrs is how many addresses of one provider are passed on.
	maxAddrs = 32
	// resolvers is how many providers without addresses are looked up at a time,
	// resolveQueue how many may wait for it, resolveTimeout how long one may take.
	resolvers      = 4
	resolveQueue   = 64
	resolveTimeout = 10 * time.Second
)

// Find looks c up. kad-dht may name a provider before it knows an address of it;
// such a provider is held back until an address comes in or FindPeer has one,
// and left out if it has none.
func (k *Kad) Find(ctx context.Context, c cid.Cid, limit int) <-chan peer.AddrInfo {
	if limit <= 0 || limit > maxFound {
		limit = maxFound
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &finding{
		k: k, left: limit, out: make(chan peer.AddrInfo),
		seen: make(map[peer.ID]bool), asked: make(map[peer.ID]bool),
		wanted: make(chan peer.ID, resolveQueue), found: make(chan peer.AddrInfo),
	}
	go func() {
		defer close(f.out)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		for range resolvers {
			wg.Go(func() { f.resolve(ctx) })
		}
		f.run(ctx, k.dht.FindProvidersAsync(ctx, c, 0))
	}()
	return f.out
}

// finding is one lookup. run owns seen, asked, waiting and left.
type finding struct {
	k       *Kad
	out     chan peer.AddrInfo
	left    int              // providers still to send
	seen    map[peer.ID]bool // sent
	asked   map[peer.ID]bool // handed to the resolvers
	waiting int              // of asked, those without an answer

	wanted chan peer.ID       // to the resolvers; run closes it never, ctx ends them
	found  chan peer.AddrInfo // from them: no addresses if there are none
}

// run passes on what comes in until nothing more can.
func (f *finding) run(ctx context.Context, in <-chan peer.AddrInfo) {
	for f.left > 0 && (in != nil || f.waiting > 0) {
		var p peer.AddrInfo
		var ok bool
		select {
		case p, ok = <-in:
			if !ok {
				in = nil
				continue
			}
			f.fill(&p)
		case p = <-f.found:
			f.waiting--
		case <-ctx.Done():
			return
		}
		// A liar could name this machine's own ports, so loopback is dropped here too.
		if !f.k.cfg.Loopback {
			p.Addrs = dropLoopback(p.Addrs)
		}
		if p.ID == f.k.host.ID() || f.seen[p.ID] || len(p.Addrs) == 0 {
			continue
		}
		p.Addrs = p.Addrs[:min(len(p.Addrs), maxAddrs)]
		select {
		case f.out <- p:
		case <-ctx.Done():
			return
		}
		f.seen[p.ID] = true
		f.left--
	}
}

// fill gives p the addresses that the host knows, and if there are none asks for
// them once.
func (f *finding) fill(p *peer.AddrInfo) {
	if len(p.Addrs) > 0 || f.seen[p.ID] || p.ID == f.k.host.ID() {
		return
	}
	if p.Addrs = f.k.host.Peerstore().Addrs(p.ID); len(p.Addrs) > 0 || f.asked[p.ID] {
		return
	}
	select {
	case f.wanted <- p.ID:
		f.asked[p.ID] = true
		f.waiting++
	default:
	}
}

// resolve looks providers up by their peer ID until ctx ends.
func (f *finding) resolve(ctx context.Context) {
	for {
		var id peer.ID
		select {
		case id = <-f.wanted:
		case <-ctx.Done():
			return
		}
		one, cancel := context.WithTimeout(ctx, resolveTimeout)
		p, err := f.k.dht.FindPeer(one, id)
		cancel()
		if err != nil {
			p = peer.AddrInfo{}
			f.k.log.Debug("provider has no address", "peer", id, "err", err)
		}
		p.ID = id
		select {
		case f.found <- p:
		case <-ctx.Done():
			return
		}
	}
}
