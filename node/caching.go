package node

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/cdnfallback"
	"github.com/shoal-p2p/shoal/cdnfallback/policy"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// A cache fetches what its peers look for and it lacks, within a scope: what
// members of its private swarm ask for, or what certain publishers have signed.
// What it fetched is a reader's: kept while there is room, evicted by use.

// Bounds of what peers can make a cache do.
const (
	cacheFetches  = 4                // at the same time
	cachePerPeer  = 2                // of these for one peer
	cacheQueue    = 256              // roots that wait
	cacheBurst    = 32               // roots that a peer may ask for at once,
	cacheEvery    = 10 * time.Second // and one more so often
	cachePeers    = 4096             // whose allowance is remembered
	cacheFailures = 1024             // roots that could not be fetched, and are left alone
	cacheAgain    = 2 * time.Minute  // for so long
	cachePatience = 30 * time.Second // without a useful byte
)

// sought is a root that a peer looks for.
type sought struct {
	root cid.Cid
	peer peer.ID
	by   *vouched // who vouches for it; nil in a private swarm
}

// caching decides what a cache fetches. It has no clock and does no I/O; cache
// guards it and does what it says.
type caching struct {
	from    []merkle.Publisher // who must have signed; none: whatever is asked for
	most    int64              // bytes of a root
	allowed map[peer.ID]allowance
	queue   []sought
	busy    map[string]peer.ID // roots that wait or are fetched, by nodeKey
	running map[peer.ID]int
	fetches int
	failed  map[string]failure // roots that could not be fetched, or not all of them
}

// failure is a root that is left alone until a time, and who vouches for it.
type failure struct {
	until time.Time
	by    *vouched
}

// allowance is how many roots a peer may ask for.
type allowance struct {
	left float64
	at   time.Time
}

func newCaching(from []merkle.Publisher, most int64) *caching {
	return &caching{
		from: from, most: most, allowed: map[peer.ID]allowance{}, busy: map[string]peer.ID{},
		running: map[peer.ID]int{}, failed: map[string]failure{},
	}
}

// onSought is told that a peer looks for a root of which not all is here. It
// reports whether the root is to be fetched: next says when.
func (c *caching) onSought(now time.Time, p peer.ID, root cid.Cid, manifest []byte) bool {
	key := nodeKey(root)
	_, busy := c.busy[key]
	was := c.failed[key]
	unsigned := len(c.from) > 0 && was.by == nil
	switch {
	case busy, now.Before(was.until), len(c.queue) >= cacheQueue, unsigned && len(manifest) == 0, !c.allow(now, p):
		return false
	}
	s := sought{root: root, peer: p, by: was.by}
	if unsigned {
		m, publisher, err := merkle.OpenManifest(manifest)
		if err != nil || !slices.Contains(c.from, publisher) || nodeKey(m.Root) != key || m.Size > c.most {
			return false
		}
		s.by = &vouched{root: root, signed: &merkle.Signed{Manifest: m, Publisher: publisher, Envelope: slices.Clone(manifest)}}
	}
	delete(c.failed, key)
	c.busy[key] = p
	c.queue = append(c.queue, s)
	return true
}

// allow takes one from the allowance of a peer.
func (c *caching) allow(now time.Time, p peer.ID) bool {
	a, ok := c.allowed[p]
	if !ok {
		for other, b := range c.allowed { // who has all of it again need not be remembered
			if now.Sub(b.at) > cacheBurst*cacheEvery {
				delete(c.allowed, other)
			}
		}
		if len(c.allowed) >= cachePeers {
			return false
		}
		a = allowance{left: cacheBurst, at: now}
	}
	a.left = min(cacheBurst, a.left+now.Sub(a.at).Seconds()/cacheEvery.Seconds())
	a.at = now
	ok = a.left >= 1
	if ok {
		a.left--
	}
	c.allowed[p] = a
	return ok
}

// next is a root to be fetched now; false while there is none, or enough are.
func (c *caching) next() (sought, bool) {
	if c.fetches >= cacheFetches {
		return sought{}, false
	}
	for i, s := range c.queue {
		if c.running[s.peer] < cachePerPeer {
			c.queue = slices.Delete(c.queue, i, i+1)
			c.running[s.peer]++
			c.fetches++
			return s, true
		}
	}
	return sought{}, false
}

// onFetched is told how a fetch ended that next began.
func (c *caching) onFetched(now time.Time, s sought, err error) {
	c.fetches--
	if c.running[s.peer]--; c.running[s.peer] == 0 {
		delete(c.running, s.peer)
	}
	key := nodeKey(s.root)
	delete(c.busy, key)
	if err == nil {
		return
	}
	if len(c.failed) >= cacheFailures {
		for k, f := range c.failed {
			if !now.Before(f.until) {
				delete(c.failed, k)
			}
		}
	}
	if len(c.failed) < cacheFailures {
		c.failed[key] = failure{now.Add(cacheAgain), s.by}
	}
}

// cache is the caching of a node.
type cache struct {
	n *Node

	mu  sync.Mutex
	say *caching
}

// newCache starts what cfg asks for; nil if it asks for no cache.
func (n *Node) newCache() (*cache, error) {
	from, err := publishers(n.cfg.From)
	switch {
	case err != nil:
		return nil, err
	case !n.cfg.Cache && len(n.cfg.Prefetch) > 0:
		return nil, fmt.Errorf("%w: prefetch goes with cache", ErrUsage)
	case !n.cfg.Cache:
		return nil, nil
	case n.private == nil && len(from) == 0:
		return nil, fmt.Errorf("%w: a cache stores and serves what anyone asks for, so it needs a scope: be in a private swarm (--create, --join), or say whose manifests count (--from PUBKEY)", ErrUsage)
	}
	return &cache{n: n, say: newCaching(from, n.storeMax)}, nil
}

// publishers reads public keys as typed.
func publishers(typed []string) ([]merkle.Publisher, error) {
	var out []merkle.Publisher
	for _, s := range typed {
		p, err := merkle.ParsePublisher(s)
		if err != nil {
			return nil, fmt.Errorf("%w: from: %w", ErrUsage, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// sought is told what a peer looks for.
func (c *cache) sought(p peer.ID, root cid.Cid, manifest []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(manifest) == 0 && len(c.say.from) > 0 {
		manifest, _ = c.n.store.Get(vouchersBucket, nodeKey(root)) // without one it is not fetched
	}
	if c.say.onSought(time.Now(), p, root, manifest) {
		c.advance()
	}
}

// vouchersBucket has the manifests of what is here in part: of that no peer shows
// one, and a cache that starts again would not know that it may fetch the rest.
const vouchersBucket = "vouchers"

// remember keeps the manifest of a root until all of it is here. Past the store's
// limit it is not kept: then the rest waits for a peer that has nothing yet.
func (c *cache) remember(root cid.Cid, by *vouched, done bool) {
	if by == nil || by.signed == nil {
		return
	}
	var envelope []byte
	if !done {
		envelope = by.signed.Envelope
	}
	if err := c.n.store.Put(vouchersBucket, nodeKey(root), envelope); err != nil {
		c.n.log.Info("manifest not kept", "root", root, "err", err)
	}
}

// onSought is what exchange calls; nil without a cache.
func (c *cache) onSought() func(peer.ID, cid.Cid, []byte) {
	if c == nil {
		return nil
	}
	return c.sought
}

// advance starts what may be fetched now. mu is held.
func (c *cache) advance() {
	for s, ok := c.say.next(); ok; s, ok = c.say.next() {
		c.n.spawn(func() {
			c.remember(s.root, s.by, false)
			err := c.fetch(c.n.ctx, s.root, s.by)
			if err == nil {
				c.remember(s.root, s.by, true)
			}
			c.n.log.Info("cached", "root", s.root, "for", s.peer, "err", err)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.say.onFetched(time.Now(), s, err)
			c.advance()
		})
	}
}

// fetch brings a root here to be kept while there is room.
func (c *cache) fetch(ctx context.Context, root cid.Cid, by *vouched) error {
	if r, err := c.n.store.Root(root); err == nil && r.State == store.Complete {
		return nil
	}
	opt := FetchOptions{Class: policy.Economy, Timeout: cachePatience, cached: true}
	if by != nil {
		if c.n.loopbackOnly() { // a lab: its origins are on this machine
			by.near = cdnfallback.ThisMachine
		}
		if c.n.manifests.get(root) == nil {
			c.n.manifests.put(by)
		}
		m := by.signed
		opt.Name, opt.Signed = m.Name, &Signed{m.Publisher.String(), m.Name, m.Version, m.Sequence}
	}
	_, err := c.n.Fetch(ctx, merkle.Target{Root: root}, opt)
	return err
}

// How often a manifest to be prefetched is read.
const (
	prefetchEvery = 15 * time.Minute // when all is here
	prefetchAgain = 5 * time.Second  // at first, when something failed; doubled up to prefetchEvery
)

// prefetch keeps the newest versions of some manifests here, until ctx ends.
func (c *cache) prefetch(ctx context.Context, where []string) {
	have := map[string]uint64{} // sequence, by manifest
	wait := prefetchAgain
	for {
		failed := false
		for _, w := range where {
			if err := c.follow(ctx, w, have); err != nil && ctx.Err() == nil {
				c.n.log.Warn("not prefetched", "manifest", filepath.Base(w), "err", err)
				failed = true
			}
		}
		next := prefetchEvery
		if failed {
			next, wait = wait, min(2*wait, prefetchEvery)
		} else {
			wait = prefetchAgain
		}
		if !sleep(ctx, next) {
			return
		}
	}
}

// follow fetches what a manifest names, unless that version was fetched before.
func (c *cache) follow(ctx context.Context, where string, have map[string]uint64) error {
	r, err := c.n.Resolve(ctx, where, FetchOptions{From: c.n.cfg.From, Timeout: cachePatience})
	if err != nil || r.Signed.Sequence == have[where] {
		return err
	}
	if err := c.fetch(ctx, r.Target.Root, c.n.manifests.get(r.Target.Root)); err != nil {
		return err
	}
	have[where] = r.Signed.Sequence
	c.n.log.Info("prefetched", "manifest", filepath.Base(where), "root", r.Target.Root)
	return nil
}
