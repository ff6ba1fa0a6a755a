package dht

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	mh "github.com/multiformats/go-multihash"

	"github.com/shoal-p2p/shoal/internal/testnet"
)

// refreshing starts a server on each host that refreshes its table by itself.
func refreshing(t *testing.T, hosts []host.Host) []*Kad {
	t.Helper()
	kads := make([]*Kad, len(hosts))
	for i, h := range hosts {
		k, err := NewKad(h, KadConfig{Server: ServerAlways})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = k.Close() })
		kads[i] = k
	}
	return kads
}

// traffic is what all have asked and been answered so far.
func traffic(kads []*Kad) (bytes int64) {
	for _, k := range kads {
		bytes += k.host.bytes.Load()
	}
	return bytes
}

// Each has met the first one only; a moment later each knows all, and the whole
// took few questions.
func TestRefreshSmall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 10
		hosts := testnet.New(t, n, testnet.Config{})
		kads := refreshing(t, hosts)
		for _, h := range hosts[1:] {
			testnet.Connect(t, h, hosts[0])
		}
		time.Sleep(5 * time.Second)
		for i, k := range kads {
			if k.Size() != n-1 {
				t.Errorf("node %d knows %d others, want %d", i, k.Size(), n-1)
			}
		}
		met := traffic(kads)
		t.Logf("%d bytes", met)
		if most := int64(60 << 10); met > most {
			t.Errorf("%d bytes were asked and answered, want at most %d", met, most)
		}

		// Who was just looked for need not be looked for again.
		hash, err := mh.Sum([]byte("small"), mh.SHA2_256, -1)
		if err != nil {
			t.Fatal(err)
		}
		root := cid.NewCidV1(cid.Raw, hash)
		if err := kads[1].Provide(t.Context(), root); err != nil {
			t.Fatal(err)
		}
		if got := traffic(kads) - met; got > 4<<10 {
			t.Errorf("to announce took %d bytes, want at most %d", got, 4<<10)
		}
		for i, k := range kads[2:] {
			if p, ok := <-k.Find(t.Context(), root, 1); !ok || p.ID != hosts[1].ID() {
				t.Errorf("node %d found %v, want %v", i+2, p.ID, hosts[1].ID())
			}
		}
	})
}

// Of those nearest to a node the last one tells how many there are in its half of the
// keys: when it is from the other half, there are less than were asked for.
func TestApart(t *testing.T) {
	t.Parallel()
	low, high := peer.ID("b"), peer.ID("a") // whose hashes begin with 3e and ca
	if !apart(low, []peer.ID{low, high}) || !apart(high, []peer.ID{high, low}) {
		t.Error("a peer of the other half is not seen")
	}
	if apart(low, []peer.ID{low, "d"}) || apart(low, nil) { // 18
		t.Error("a peer of the same half is taken for one of the other")
	}
}
