package dht

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Limits of the Cache: its file stays below 6 MB.
const (
	maxCacheRoots     = 1000
	maxCachePerRoot   = 16
	maxCachePeers     = 2000
	maxCacheAddrs     = 8
	maxCacheAddrLen   = 256
	maxCacheKey       = 80 // of a root's multihash, in bytes: kad-dht takes no longer ones
	maxCacheFile      = 8 << 20
	cacheProviderLife = 24 * time.Hour
	cachePeerLife     = 30 * 24 * time.Hour
	cacheSaveEvery    = 30 * time.Second
)

// CacheConfig configures a Cache. The zero value works.
type CacheConfig struct {
	// Log gets what an operator wants to know; nothing is logged if nil.
	Log *slog.Logger
}

// Cache remembers across restarts which peers worked: the providers of a root
// for 24 hours, and any peer for 30 days, to join the swarm through. It holds at
// most 1,000 roots with 16 providers each and 2,000 peers with 8 addresses each;
// those that worked least lately make room. Its methods may be called from any
// goroutine.
type Cache struct {
	path string
	log  *slog.Logger

	saveMu sync.Mutex // one writer of the file at a time

	mu    sync.Mutex
	dirty bool
	peers map[peer.ID]cachedPeer
	roots map[string]map[peer.ID]time.Time // multihash -> provider -> when it last worked
}

// cachedPeer is where a peer was when it last worked.
type cachedPeer struct {
	info   peer.AddrInfo
	worked time.Time
}

// OpenCache reads the cache in the file at path, which need not exist. A file
// that cannot be read or understood is logged, and the cache starts empty: all
// that it holds can be found again.
func OpenCache(path string, cfg CacheConfig) *Cache {
	c := &Cache{
		path: path, log: cfg.Log,
		peers: make(map[peer.ID]cachedPeer), roots: make(map[string]map[peer.ID]time.Time),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if err := c.load(time.Now()); err != nil {
		c.log.Warn("peer cache not usable, starting with an empty one", "path", path, "err", err)
		clear(c.peers)
		clear(c.roots)
	}
	return c
}

// Worked remembers that p is a good peer, and if root is defined that p gave
// valid data of it. p.Addrs should begin with the address that worked.
func (c *Cache) Worked(root cid.Cid, p peer.AddrInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.keep(p, now) {
		return
	}
	c.dirty = true
	if root.Defined() && len(root.Hash()) <= maxCacheKey {
		c.link(string(root.Hash()), p.ID, now)
	}
}

// Failed forgets that p provides root, or if root is not defined p altogether:
// it could not be reached or gave something else.
func (c *Cache) Failed(root cid.Cid, p peer.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = true
	if !root.Defined() {
		c.forget(p)
		return
	}
	key := string(root.Hash())
	delete(c.roots[key], p)
	if len(c.roots[key]) == 0 {
		delete(c.roots, key)
	}
}

// Providers returns the peers that gave data of root in the last 24 hours, at
// most 16, those that worked last first.
func (c *Cache) Providers(root cid.Cid) []peer.AddrInfo {
	if !root.Defined() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	since := time.Now().Add(-cacheProviderLife)
	var found []cachedPeer
	for id, at := range c.roots[string(root.Hash())] {
		if at.After(since) {
			found = append(found, cachedPeer{c.peers[id].info, at})
		}
	}
	return infos(found)
}

// Peers returns up to most peers that worked in the last 30 days, those that
// worked last first: for joining the swarm again.
func (c *Cache) Peers(most int) []peer.AddrInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := time.Now().Add(-cachePeerLife)
	var found []cachedPeer
	for _, p := range c.peers {
		if p.worked.After(since) {
			found = append(found, p)
		}
	}
	out := infos(found)
	return out[:min(len(out), max(0, most))]
}

// infos sorts peers by when they worked, last first.
func infos(ps []cachedPeer) []peer.AddrInfo {
	slices.SortFunc(ps, func(a, b cachedPeer) int {
		return cmp.Or(b.worked.Compare(a.worked), cmp.Compare(a.info.ID, b.info.ID))
	})
	out := make([]peer.AddrInfo, len(ps))
	for i, p := range ps {
		out[i] = peer.AddrInfo{ID: p.info.ID, Addrs: slices.Clone(p.info.Addrs)}
	}
	return out
}

// Run saves the cache every 30 s if it has changed, and once more when ctx ends.
// It returns nil.
func (c *Cache) Run(ctx context.Context) error {
	tick := time.NewTicker(cacheSaveEvery)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = true
		}
		if err := c.Save(); err != nil {
			c.log.Warn("peer cache not saved", "path", c.path, "err", err)
		}
	}
	return nil
}

// keep enters p, cut to the limits, and says whether it has an address. mu is
// held, as for all that follows.
func (c *Cache) keep(p peer.AddrInfo, worked time.Time) bool {
	var short peer.AddrInfo
	for _, a := range p.Addrs {
		if len(short.Addrs) < maxCacheAddrs && len(a.String()) <= maxCacheAddrLen {
			short.Addrs = append(short.Addrs, a)
		}
	}
	if short.ID = p.ID; p.ID == "" || len(short.Addrs) == 0 {
		return false
	}
	if _, known := c.peers[p.ID]; !known && len(c.peers) >= maxCachePeers {
		c.forget(oldest(c.peers, func(p cachedPeer) time.Time { return p.worked }))
	}
	c.peers[p.ID] = cachedPeer{short, worked}
	return true
}

// link enters that p, which is kept, provides the root of key.
func (c *Cache) link(key string, p peer.ID, worked time.Time) {
	provs := c.roots[key]
	if provs == nil {
		if len(c.roots) >= maxCacheRoots {
			delete(c.roots, oldest(c.roots, newest))
		}
		provs = make(map[peer.ID]time.Time)
		c.roots[key] = provs
	}
	if _, known := provs[p]; !known && len(provs) >= maxCachePerRoot {
		delete(provs, oldest(provs, func(t time.Time) time.Time { return t }))
	}
	provs[p] = worked
}

// forget drops p everywhere.
func (c *Cache) forget(p peer.ID) {
	delete(c.peers, p)
	for key, provs := range c.roots {
		delete(provs, p)
		if len(provs) == 0 {
			delete(c.roots, key)
		}
	}
}

// newest is when any provider of a root last worked.
func newest(provs map[peer.ID]time.Time) time.Time {
	var at time.Time
	for _, t := range provs {
		if t.After(at) {
			at = t
		}
	}
	return at
}

// oldest returns the key of m, which is not empty, with the earliest time.
func oldest[K cmp.Ordered, V any](m map[K]V, at func(V) time.Time) K {
	var key K
	var when time.Time
	first := true
	for k, v := range m {
		if t := at(v); first || t.Before(when) || (t.Equal(when) && k < key) {
			key, when, first = k, t, false
		}
	}
	return key
}
