package dht_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/dht"
	"github.com/shoal-p2p/shoal/dht/dhttest"
)

func TestFinder(t *testing.T) {
	t.Parallel()
	root := dhttest.Root(t, "finder")
	var reg dht.Registry
	self := reg.Join(testPeer(t, 0))
	for _, i := range []int{1, 2, 3} {
		if err := reg.Join(testPeer(t, i)).Provide(t.Context(), root); err != nil {
			t.Fatal(err)
		}
	}
	cache := dht.OpenCache(filepath.Join(t.TempDir(), "peers.json"), dht.CacheConfig{})
	cache.Worked(root, testPeer(t, 9)) // no longer in the DHT
	cache.Worked(root, testPeer(t, 1)) // where it was
	moved := peer.AddrInfo{ID: testPeer(t, 2).ID, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/10.9.9.9/tcp/1")}}
	cache.Worked(root, moved)

	got := dhttest.All(dht.Finder{Router: self, Cache: cache}.Find(t.Context(), root, 0))
	times := make(map[peer.ID]int)
	for i, p := range got {
		times[p.ID]++
		if i < 3 && p.ID == testPeer(t, 3).ID {
			t.Error("the DHT's came before the cached")
		}
	}
	for i, want := range map[int]int{1: 1, 2: 2, 3: 1, 9: 1} {
		if n := times[testPeer(t, i).ID]; n != want {
			t.Errorf("peer %d came %d times, want %d", i, n, want)
		}
	}
	if got := dhttest.All(dht.Finder{Router: self}.Find(t.Context(), root, 2)); len(got) != 2 {
		t.Errorf("%d without a cache and with a limit of 2", len(got))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ch := dht.Finder{Router: self, Cache: cache}.Find(ctx, root, 0)
	<-ch
	cancel()
	for range ch { // must be closed, or this hangs
	}
}
