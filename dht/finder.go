package dht

import (
	"context"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Finder looks up the providers of a root for a download: those that worked
// lately first, without waiting for the DHT, then the DHT's.
type Finder struct {
	Router Router
	Cache  *Cache // none if nil
}

// Find sends each provider once, as Router.Find does, but a provider from the
// cache again if the DHT has an address for it that the cache has not. limit
// counts only what comes from the DHT.
func (f Finder) Find(ctx context.Context, root cid.Cid, limit int) <-chan peer.AddrInfo {
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan peer.AddrInfo)
	go func() {
		defer close(out)
		defer cancel()
		// The lookup runs while the cached ones are taken.
		found := f.Router.Find(ctx, root, limit)
		cached := make(map[peer.ID]peer.AddrInfo)
		if f.Cache != nil {
			for _, p := range f.Cache.Providers(root) {
				cached[p.ID] = p
				if !offer(ctx, out, p) {
					return
				}
			}
		}
		for p := range found {
			if old, known := cached[p.ID]; known && covers(old, p) {
				continue
			}
			if !offer(ctx, out, p) {
				return
			}
		}
	}()
	return out
}

// offer sends p unless ctx ends first.
func offer(ctx context.Context, out chan<- peer.AddrInfo, p peer.AddrInfo) bool {
	select {
	case out <- p:
		return true
	case <-ctx.Done():
		return false
	}
}

// covers says whether old has all addresses of p.
func covers(old, p peer.AddrInfo) bool {
	for _, a := range p.Addrs {
		known := false
		for _, b := range old.Addrs {
			known = known || a.Equal(b)
		}
		if !known {
			return false
		}
	}
	return true
}
