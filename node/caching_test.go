package node

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

func rootOf(s string) cid.Cid { return merkle.UnixFSv1.Leaf([]byte(s)).CID }

// What peers ask of a cache is bounded, and one of them does not keep others out.
func TestCachingBounds(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	c := newCaching(nil, 1<<30)
	greedy, modest := peer.ID("greedy"), peer.ID("modest")
	taken := 0
	for i := range 100 {
		if c.onSought(now, greedy, rootOf(fmt.Sprint(i)), nil) {
			taken++
		}
	}
	if taken != cacheBurst {
		t.Errorf("%d roots are taken of one peer at once, want %d", taken, cacheBurst)
	}
	if c.onSought(now, modest, rootOf("0"), nil) {
		t.Error("a root that waits is taken again")
	}
	if !c.onSought(now, modest, rootOf("mine"), nil) {
		t.Error("another peer is kept out")
	}
	var got []sought
	for s, ok := c.next(); ok; s, ok = c.next() {
		got = append(got, s)
	}
	if len(got) != cachePerPeer+1 || got[len(got)-1].peer != modest {
		t.Errorf("fetched at once: %v", got)
	}
	if c.onSought(now, greedy, rootOf("more"), nil) {
		t.Error("the allowance is used up")
	}
	if !c.onSought(now.Add(cacheEvery), greedy, rootOf("more"), nil) {
		t.Error("the allowance does not come back")
	}
	for _, s := range got {
		c.onFetched(now, s, errors.New("nobody has it"))
	}
	if c.onSought(now.Add(time.Minute), modest, rootOf("mine"), nil) {
		t.Error("what failed is tried again at once")
	}
	if c.onSought(now.Add(time.Second), modest, rootOf("mine"), nil) || !c.onSought(now.Add(cacheAgain), modest, rootOf("mine"), nil) {
		t.Error("what failed is never tried again")
	}
	if s, ok := c.next(); !ok || s.peer != greedy {
		t.Errorf("next is %v, %v", s, ok)
	}
}

// A cache of certain publishers takes what they have signed, and nothing else.
func TestCachingScope(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	key := func(b byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
	}
	sign := func(k ed25519.PrivateKey, root cid.Cid, size int64) []byte {
		envelope, err := merkle.Manifest{Name: "x", Sequence: 1, Root: root, Size: size}.Sign(k)
		if err != nil {
			t.Fatal(err)
		}
		return envelope
	}
	ours := merkle.Publisher(key(1).Public().(ed25519.PublicKey))
	root, p := rootOf("a"), peer.ID("p")
	for name, c := range map[string]struct {
		manifest []byte
		want     bool
	}{
		"signed":         {sign(key(1), root, 1), true},
		"nothing":        {nil, false},
		"noise":          {[]byte("noise"), false},
		"another key":    {sign(key(2), root, 1), false},
		"another root":   {sign(key(1), rootOf("b"), 1), false},
		"more than kept": {sign(key(1), root, 1001), false},
	} {
		caching := newCaching([]merkle.Publisher{ours}, 1000)
		if got := caching.onSought(now, p, root, c.manifest); got != c.want {
			t.Errorf("%s: taken %v, want %v", name, got, c.want)
		}
		s, ok := caching.next()
		if !ok {
			continue
		}
		if s.by.signed.Publisher != ours {
			t.Errorf("%s: by %v", name, s.by.signed.Publisher)
		}
		// Of what is here in part a peer shows no manifest.
		caching.onFetched(now, s, errors.New("its only peer has left"))
		if !caching.onSought(now.Add(cacheAgain), p, root, nil) {
			t.Errorf("%s: forgotten after a failure", name)
		}
	}
}

// A cache fetches what a peer looks for, once it is shown that its publisher has
// signed it, and nothing else; it stays when the others have left.
func TestCacheOfAPublisher(t *testing.T) {
	t.Parallel()
	e := publish(t, 5, 2*mib+5)
	c := start(t, func(cfg *Config) { cfg.Cache, cfg.From = true, []string{e.Publisher} })
	holder := start(t)
	other := share(t, holder, put(t, "other.bin", noise(6, mib)), AddOptions{})
	d := start(t, through(c), func(cfg *Config) { cfg.Download = "32Mbit/s" })
	soon(t, "a session with the cache", func() bool { return len(d.exchange.Sessions()) > 0 })
	mustGet(t, d, other, from(holder), noise(6, mib))
	target, opt := resolved(t, d, e)
	mustGet(t, d, target, opt, e.data)
	soon(t, "the cache has it", func() bool { return holds(c, e) })
	if r, err := c.store.Root(other.Root); err == nil {
		t.Errorf("the cache has what nobody signed: %+v", r)
	}
	must(t, d.Close())
	late := start(t)
	mustGet(t, late, target, from(c), e.data)
	st, err := c.Status(t.Context())
	must(t, err)
	if len(st.Roots) != 1 || !st.Roots[0].Cached || st.Roots[0].Pinned {
		t.Errorf("roots of the cache: %+v", st.Roots)
	}
}

// What a publisher has signed is fetched to its end by a cache that has started
// again meanwhile, though of what is here in part no peer shows a manifest.
func TestCacheRemembersWhoSigned(t *testing.T) {
	t.Parallel()
	e := publish(t, 11, mib+5)
	cached := func(cfg *Config) { cfg.Cache, cfg.From = true, []string{e.Publisher} }
	dir := t.TempDir()
	c := start(t, cached, func(cfg *Config) { cfg.Dir = dir })
	target, _ := resolved(t, c, e)
	by := c.manifests.get(target.Root)
	c.caches.remember(target.Root, by, false)
	must(t, c.Close())
	c = start(t, cached, func(cfg *Config) { cfg.Dir = dir })
	c.caches.sought(peer.ID("p"), rootOf("unsigned"), nil)
	c.caches.sought(peer.ID("p"), target.Root, nil)
	soon(t, "the cache has it", func() bool { return holds(c, e) })
	soon(t, "the manifest is not kept any more", func() bool {
		_, err := c.store.Get(vouchersBucket, nodeKey(target.Root))
		return errors.Is(err, store.ErrNotFound)
	})
}

// In a private swarm a cache fetches what any member looks for.
func TestCacheOfASwarm(t *testing.T) {
	t.Parallel()
	holder := start(t, create("studio"))
	text := invite(t, holder)
	c := start(t, join(text), func(cfg *Config) { cfg.Cache = true })
	soon(t, "the cache is a member", func() bool { return len(c.exchange.Sessions()) > 0 })
	d := start(t, join(text))
	soon(t, "two sessions", func() bool { d.joinThrough(infos(c)); return len(d.exchange.Sessions()) > 1 })
	data := noise(7, mib+5)
	target := share(t, holder, put(t, "film.bin", data), AddOptions{})
	mustGet(t, d, target, FetchOptions{}, data)
	soon(t, "the cache has it", func() bool {
		r, err := c.store.Root(target.Root)
		return err == nil && r.State == store.Complete && r.Cached
	})
}

// A cache has what it was told to have before anybody asks, and its newest version.
func TestPrefetch(t *testing.T) {
	t.Parallel()
	e := publish(t, 8, mib+5)
	c := start(t, func(cfg *Config) {
		cfg.Cache, cfg.From, cfg.Prefetch = true, []string{e.Publisher}, []string{e.url + ".shoal"}
	})
	soon(t, "the cache has it", func() bool { return holds(c, e) })
	stranger := publish(t, 9, mib+5)
	if err := c.caches.follow(t.Context(), stranger.Path, map[string]uint64{}); err == nil || holds(c, stranger) {
		t.Errorf("what another has signed is prefetched: %v", err)
	}
}

// What is larger than what is kept is not begun.
func TestCacheIsNoLargerThanItsStore(t *testing.T) {
	t.Parallel()
	e := publish(t, 10, 2*mib)
	c := start(t, func(cfg *Config) { cfg.Cache, cfg.From, cfg.StoreMax = true, []string{e.Publisher}, "1MB" })
	err := c.caches.follow(t.Context(), e.Path, map[string]uint64{})
	if err == nil || !strings.Contains(err.Error(), "--store-max") || holds(c, e) {
		t.Errorf("got %v", err)
	}
}

// A cache without a scope would store and serve anything: it does not start.
func TestCacheNeedsAScope(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"cache":    func(c *Config) { c.Cache = true },
		"prefetch": func(c *Config) { c.Prefetch = []string{"x.shoal"} },
		"no key":   func(c *Config) { c.Cache, c.From = true, []string{"somebody"} },
	} {
		cfg := Config{Dir: t.TempDir(), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, MDNS: "off", PortMap: "off"}
		change(&cfg)
		if n, err := Start(t.Context(), cfg); !errors.Is(err, ErrUsage) {
			t.Errorf("%s: %v", name, err)
			if n != nil {
				n.Close()
			}
		}
	}
}
