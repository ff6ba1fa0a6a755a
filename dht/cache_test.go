package dht

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"

	"github.com/shoal-p2p/shoal/internal/testnet"
)

func cachePeer(t testing.TB, i, addrs int) peer.AddrInfo {
	t.Helper()
	id, err := peer.IDFromPrivateKey(testnet.Key(t, i))
	if err != nil {
		t.Fatal(err)
	}
	p := peer.AddrInfo{ID: id}
	for j := range addrs {
		p.Addrs = append(p.Addrs, ma.StringCast(fmt.Sprintf("/ip4/10.0.%d.%d/tcp/7461", i>>8, j+1)))
	}
	return p
}

func ids(ps []peer.AddrInfo) string {
	var s []string
	for _, p := range ps {
		s = append(s, p.ID.String())
	}
	return strings.Join(s, " ")
}

func TestCacheRemembers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peers.json")
	synctest.Test(t, func(t *testing.T) {
		a, b, d := cachePeer(t, 1, 2), cachePeer(t, 2, 1), cachePeer(t, 3, 1)
		root, other := named(t, "root"), named(t, "other")
		c := OpenCache(path, CacheConfig{})
		c.Worked(root, a)
		time.Sleep(time.Minute)
		c.Worked(root, b)
		c.Worked(cid.Undef, d)
		c.Worked(other, peer.AddrInfo{ID: a.ID}) // no address: says nothing
		// No root that a DHT knows, and too long for the file.
		inline, err := mh.Sum(make([]byte, 500), mh.IDENTITY, -1)
		if err != nil {
			t.Fatal(err)
		}
		c.Worked(cid.NewCidV1(cid.Raw, inline), b)
		if err := c.Save(); err != nil {
			t.Fatal(err)
		}

		c = OpenCache(path, CacheConfig{})
		if got := c.Providers(root); ids(got) != ids([]peer.AddrInfo{b, a}) || !sameAddrs(got[1].Addrs, a.Addrs) {
			t.Errorf("providers %v, want b, then a", got)
		}
		if got := c.Providers(cid.NewCidV1(cid.DagProtobuf, root.Hash())); len(got) != 2 {
			t.Error("the codec matters")
		}
		if got := c.Providers(other); len(got) != 0 {
			t.Errorf("providers of another root: %v", got)
		}
		if got := c.Peers(10); len(got) != 3 || got[2].ID != a.ID {
			t.Errorf("peers %v, want a last", got)
		}
		if got := c.Peers(1); len(got) != 1 {
			t.Errorf("%d peers, want 1", len(got))
		}
		c.Failed(root, b.ID)
		if got := c.Providers(root); ids(got) != ids([]peer.AddrInfo{a}) {
			t.Errorf("providers %v after b failed, want a", got)
		}
		c.Failed(cid.Undef, a.ID)
		if got := c.Providers(root); len(got) != 0 || len(c.Peers(10)) != 2 {
			t.Errorf("a failed and is still there")
		}
		time.Sleep(24 * time.Hour)
		c.Worked(root, d)
		if err := c.Save(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		if got := c.Providers(root); len(got) != 0 {
			t.Errorf("providers %v after 24 hours", got)
		}
		if got := c.Peers(10); len(got) != 2 {
			t.Errorf("%d peers after two days, want 2", len(got))
		}
		time.Sleep(30 * 24 * time.Hour)
		if got := OpenCache(path, CacheConfig{}).Peers(10); len(got) != 0 {
			t.Errorf("peers %v after 30 days", got)
		}
	})
}

func TestCacheBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peers.json")
	synctest.Test(t, func(t *testing.T) {
		c := OpenCache(path, CacheConfig{})
		for i := range maxCacheRoots + 10 {
			c.Worked(named(t, fmt.Sprint(i)), cachePeer(t, 0, 20))
			time.Sleep(time.Second)
		}
		if len(c.roots) != maxCacheRoots || len(c.Providers(named(t, "0"))) != 0 {
			t.Errorf("%d roots, want %d without the first", len(c.roots), maxCacheRoots)
		}
		for i := range maxCachePeers + 10 {
			p := cachePeer(t, i, 1)
			if i <= maxCachePerRoot {
				c.Worked(named(t, "busy"), p)
			} else {
				c.Worked(cid.Undef, p)
			}
			time.Sleep(time.Second)
		}
		if len(c.peers) != maxCachePeers {
			t.Errorf("%d peers, want %d", len(c.peers), maxCachePeers)
		}
		for _, provs := range c.roots {
			if len(provs) > maxCachePerRoot {
				t.Errorf("%d providers of a root", len(provs))
			}
			for id := range provs {
				if _, ok := c.peers[id]; !ok {
					t.Error("a provider whose addresses are forgotten")
				}
			}
		}
		for _, p := range c.peers {
			if len(p.info.Addrs) > maxCacheAddrs {
				t.Errorf("%d addresses", len(p.info.Addrs))
			}
		}
		if got := c.Peers(1); got[0].ID != cachePeer(t, maxCachePeers+9, 1).ID {
			t.Error("the newest peer was forgotten")
		}
		if err := c.Save(); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(path); err != nil || st.Size() > maxCacheFile {
			t.Errorf("file of %d bytes, %v", st.Size(), err)
		}
	})
}

func TestCacheDamaged(t *testing.T) {
	t.Parallel()
	good := OpenCache(filepath.Join(t.TempDir(), "good"), CacheConfig{})
	good.Worked(named(t, "x"), cachePeer(t, 1, 1))
	if err := good.Save(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(good.path)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"empty":     {},
		"half":      b[:len(b)/2],
		"not json":  []byte("shoal"),
		"version":   bytes.Replace(b, []byte(`"version":1`), []byte(`"version":2`), 1),
		"peer":      bytes.ReplaceAll(b, []byte("12D3"), []byte("0OIl")),
		"address":   bytes.ReplaceAll(b, []byte("/ip4/10"), []byte("/ip9/10")),
		"long peer": bytes.Replace(b, []byte("12D3"), bytes.Repeat([]byte("1"), maxCacheFile/2), 1),
		"too large": bytes.Repeat([]byte(" "), maxCacheFile+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "peers.json")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			c := OpenCache(path, CacheConfig{Log: slog.New(slog.NewTextHandler(&log, nil))})
			if len(c.Peers(10)) != 0 || !strings.Contains(log.String(), path) {
				t.Errorf("peers %v, log %q", c.Peers(10), log.String())
			}
			c.Worked(named(t, "y"), cachePeer(t, 2, 1))
			if err := c.Save(); err != nil {
				t.Fatal(err)
			}
			if c = OpenCache(path, CacheConfig{}); len(c.Peers(10)) != 1 {
				t.Error("not usable after damage")
			}
		})
	}
}

// Run saves on its own, and leaves nothing beside the file.
func TestCacheRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := OpenCache(filepath.Join(dir, "peers.json"), CacheConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	c.Worked(named(t, "x"), cachePeer(t, 1, 1))
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := OpenCache(c.path, CacheConfig{}).Peers(1); len(got) != 1 {
		t.Error("not saved at the end")
	}
	if es, err := os.ReadDir(dir); err != nil || len(es) != 1 {
		t.Errorf("%d files, %v", len(es), err)
	}
	c.path = filepath.Join(dir, "missing", "peers.json")
	c.Worked(named(t, "x"), cachePeer(t, 1, 1))
	if err := c.Save(); err == nil || !c.dirty {
		t.Errorf("Save into no folder = %v, dirty %v", err, c.dirty)
	}
}

// What is in the file neither panics nor exceeds the limits, and what is taken
// from it is the same after saving it again.
func FuzzCacheFile(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	f.Add([]byte(`{"version":1,"peers":{"` + testID + `":{"addrs":["/ip4/10.0.0.1/tcp/1"],"worked":1799999999}},"roots":{"` +
		named(f, "x").Hash().B58String() + `":{"` + testID + `":1799999999}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		empty := func() *Cache {
			return &Cache{peers: make(map[peer.ID]cachedPeer), roots: make(map[string]map[peer.ID]time.Time)}
		}
		c := empty()
		if c.decode(b, now) != nil {
			return
		}
		if len(c.peers) > maxCachePeers || len(c.roots) > maxCacheRoots {
			t.Fatalf("%d peers, %d roots", len(c.peers), len(c.roots))
		}
		again, back := jsonOf(t, c.encode()), empty()
		if err := back.decode(again, now); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if got := jsonOf(t, back.encode()); !bytes.Equal(got, again) {
			t.Fatalf("%s came back as %s", again, got)
		}
	})
}

func jsonOf(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
