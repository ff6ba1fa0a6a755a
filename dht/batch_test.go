package dht_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	mh "github.com/multiformats/go-multihash"

	"github.com/shoal-p2p/shoal/dht"
	"github.com/shoal-p2p/shoal/dht/dhttest"
	"github.com/shoal-p2p/shoal/internal/testnet"
)

// Twenty nodes, and the pieces of 256 MiB: each piece is found by its CID through
// another node, and a batch takes far less than a lookup a piece.
func TestBatchTwenty(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, holder, pieces = 20, 7, 256
		hosts := testnet.New(t, n, testnet.Config{})
		kads := newKads(t, hosts)
		for i := 1; i < n; i++ {
			testnet.Connect(t, hosts[i], hosts[0])
		}
		time.Sleep(time.Second)
		for _, k := range kads {
			if err := k.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		keys := dhttest.Keys(t, "piece", pieces)
		start := time.Now()
		cost, err := kads[holder].ProvideMany(t.Context(), keys)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v in %v", cost, time.Since(start))
		if cost.Keys != pieces || cost.Peers != n-1 || cost.Records != pieces*(n-1) {
			t.Errorf("cost %+v, want %d keys told to each of %d others", cost, pieces, n-1)
		}
		if per := cost.Bytes / int64(cost.Records); per < 50 || per > 500 {
			t.Errorf("%d bytes a record, want 50 to 500", per)
		}
		for i := 0; i < pieces; i += 29 {
			c := cid.NewCidV1(cid.Raw, keys[i])
			got, ok := <-kads[3].Find(t.Context(), c, 1)
			if !ok || got.ID != hosts[holder].ID() {
				t.Errorf("piece %d: found %v, want %v", i, got.ID, hosts[holder].ID())
			}
		}
	})
}

// A server that takes records and drops them is noticed, and what it sent counts.
func TestBatchToLiar(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{})
		asked := fakeServer(hosts[1], func(m *pb.Message) *pb.Message {
			if m.GetType() == pb.Message_ADD_PROVIDER {
				return nil
			}
			if m.GetType() == pb.Message_GET_PROVIDERS {
				return pb.NewMessage(m.GetType(), make([]byte, 100_000), 0)
			}
			return pb.NewMessage(m.GetType(), m.GetKey(), 0)
		})
		k := newKads(t, hosts[:1])[0]
		testnet.Connect(t, hosts[0], hosts[1])
		time.Sleep(time.Second)
		cost, err := k.ProvideMany(t.Context(), dhttest.Keys(t, "liar", 10))
		if err == nil || errors.Is(err, dht.ErrNoPeers) || !strings.Contains(err.Error(), "kept the record") {
			t.Errorf("ProvideMany = %v, want that nobody kept the record", err)
		}
		if asked(pb.Message_ADD_PROVIDER) != 10 || asked(pb.Message_GET_PROVIDERS) != 1 {
			t.Error("the server was not asked to take ten records and to show one")
		}
		if cost.Records != 10 || cost.Bytes < 101_000 || cost.Bytes > 105_000 {
			t.Errorf("cost %+v, want 10 records and a little over 100,000 bytes", cost)
		}
	})
}

// A node that had lost everybody announces as soon as it has met somebody again,
// not when the batch provider next looks.
func TestBatchAfterLoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{})
		kads := newKads(t, hosts)
		testnet.Connect(t, hosts[0], hosts[1])
		time.Sleep(time.Second)
		if _, err := kads[0].ProvideMany(t.Context(), dhttest.Keys(t, "before", 5)); err != nil {
			t.Fatal(err)
		}
		if err := hosts[0].Network().ClosePeer(hosts[1].ID()); err != nil {
			t.Fatal(err)
		}
		hosts[1].RemoveStreamHandler(kads[1].Protocol()) // it answers nobody
		time.Sleep(2 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if _, err := kads[0].ProvideMany(ctx, dhttest.Keys(t, "during", 5)); !errors.Is(err, dht.ErrNoPeers) {
			t.Errorf("ProvideMany to nobody = %v, want ErrNoPeers", err)
		}
		time.Sleep(10 * time.Minute)

		again := newKads(t, hosts[1:])[0]
		testnet.Connect(t, hosts[0], hosts[1])
		time.Sleep(time.Second)
		start := time.Now()
		keys := dhttest.Keys(t, "after", 5)
		if _, err := kads[0].ProvideMany(t.Context(), keys); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if got := dhttest.All(again.Find(t.Context(), cid.NewCidV1(cid.Raw, keys[4]), 0)); len(got) != 1 {
			t.Errorf("found %v, want the node", got)
		}
	})
}

// A server names itself for what it holds while it holds it, whatever kad-dht has
// cached meanwhile, and for what it provides until that is withdrawn.
func TestOwnRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 3, testnet.Config{})
		root := dhttest.Root(t, "own")
		var held atomic.Bool
		var kads []*dht.Kad
		for i, cfg := range []dht.KadConfig{
			{Server: dht.ServerAlways, Refresh: -1, Held: func(key mh.Multihash) bool { return held.Load() && string(key) == string(root.Hash()) }},
			{Server: dht.ServerNever, Refresh: -1},
			{Server: dht.ServerNever, Refresh: -1},
		} {
			k, err := dht.NewKad(hosts[i], cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			kads = append(kads, k)
		}
		testnet.Connect(t, hosts[1], hosts[0])
		testnet.Connect(t, hosts[2], hosts[0])
		time.Sleep(time.Second)
		server, client, other := kads[0], kads[1], kads[2]
		found := func(c cid.Cid) int { return len(dhttest.All(client.Find(t.Context(), c, 0))) }
		want := func(step string, n int) {
			t.Helper()
			if got := found(root); got != n {
				t.Errorf("%s: found %d, want %d", step, got, n)
			}
		}
		want("held by nobody", 0)
		held.Store(true)
		want("held", 1)
		if err := other.Provide(t.Context(), root); err != nil {
			t.Fatal(err)
		}
		want("held by two", 2)
		held.Store(false)
		want("held by the other", 1)
		if n := found(dhttest.Root(t, "something else")); n != 0 {
			t.Errorf("%d providers of what nobody has", n)
		}

		// The server has nobody to tell, and keeps its record all the same.
		if err := server.Provide(t.Context(), root); !errors.Is(err, dht.ErrNoPeers) {
			t.Fatal(err)
		}
		want("provided", 2)
		server.Withdraw(root)
		want("withdrawn", 1)
	})
}
