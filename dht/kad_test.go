package dht_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/shoal-p2p/shoal/dht"
	"github.com/shoal-p2p/shoal/dht/dhttest"
	"github.com/shoal-p2p/shoal/internal/testnet"
)

// newKads starts a server on each host. The refreshes of many nodes cost more
// real time than all the rest, so they are off.
func newKads(t *testing.T, hosts []host.Host) []*dht.Kad {
	t.Helper()
	kads := make([]*dht.Kad, len(hosts))
	for i, h := range hosts {
		k, err := dht.NewKad(h, dht.KadConfig{Server: dht.ServerAlways, Refresh: -1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = k.Close() })
		kads[i] = k
	}
	return kads
}

func TestKad(t *testing.T) {
	t.Parallel()
	dhttest.Run(t, func(t *testing.T, n int, body func(*testing.T, []dhttest.Node)) {
		synctest.Test(t, func(t *testing.T) {
			hosts := testnet.New(t, n, testnet.Config{})
			kads := newKads(t, hosts)
			nodes := make([]dhttest.Node, n)
			for i, h := range hosts {
				testnet.Connect(t, h, hosts[i+1:]...)
				nodes[i] = dhttest.Node{Router: kads[i], Self: testnet.Info(h)}
			}
			time.Sleep(time.Second) // virtual: identify, then a probe of each peer
			body(t, nodes)
		})
	})
}

// Fifty nodes, 25 ms apart. Each of 49 has met up to three others, as after a
// while without lookups, and one of them announces; the last joins through
// another one and finds the holder, without being connected to it, quickly.
func TestKadFifty(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, holder, finder = 50, 17, 49
		hosts := testnet.New(t, n, testnet.Config{Latency: 25 * time.Millisecond, Mbit: 50})
		kads := newKads(t, hosts)
		met := rand.New(rand.NewPCG(50, 0))
		for i := 1; i < finder; i++ {
			for range min(i, 3) {
				testnet.Connect(t, hosts[i], hosts[met.IntN(i)])
			}
		}
		time.Sleep(time.Second)
		root := dhttest.Root(t, "fifty")
		start := time.Now()
		if err := kads[holder].Provide(t.Context(), root); err != nil {
			t.Fatal(err)
		}
		t.Logf("announced in %v", time.Since(start))

		testnet.Connect(t, hosts[finder], hosts[3])
		time.Sleep(time.Second)
		if c := hosts[finder].Network().ConnsToPeer(hosts[holder].ID()); len(c) > 0 {
			t.Fatal("the finder is connected to the holder before it looks")
		}
		start = time.Now()
		got, ok := <-kads[finder].Find(t.Context(), root, 1)
		if !ok || got.ID != hosts[holder].ID() {
			t.Fatalf("found %v, want %v", got.ID, hosts[holder].ID())
		}
		took := time.Since(start)
		t.Logf("found in %v", took)
		if took > 500*time.Millisecond {
			t.Errorf("the lookup took %v, want at most 500ms", took)
		}
		if err := hosts[finder].Connect(t.Context(), got); err != nil {
			t.Errorf("the address found cannot be dialled: %v", err)
		}
	})
}
