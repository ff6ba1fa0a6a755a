package dht_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-msgio/pbio"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/dht"
	"github.com/shoal-p2p/shoal/dht/dhttest"
	"github.com/shoal-p2p/shoal/internal/testnet"
)

// fakeServer answers the DHT's protocol on h as reply says; nil is no answer.
// It counts the questions.
func fakeServer(h host.Host, reply func(*pb.Message) *pb.Message) func(pb.Message_MessageType) int {
	var mu sync.Mutex
	asked := make(map[pb.Message_MessageType]int)
	h.SetStreamHandler("/shoal/kad/1.0.0", func(s network.Stream) {
		defer s.Close()
		r, w := pbio.NewDelimitedReader(s, 1<<20), pbio.NewDelimitedWriter(s)
		for {
			var m pb.Message
			if r.ReadMsg(&m) != nil {
				return
			}
			mu.Lock()
			asked[m.GetType()]++
			mu.Unlock()
			if a := reply(&m); a != nil && w.WriteMsg(a) != nil {
				return
			}
		}
	})
	return func(m pb.Message_MessageType) int {
		mu.Lock()
		defer mu.Unlock()
		return asked[m]
	}
}

// A server that takes records and drops them is noticed.
func TestProvideToLiar(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{})
		asked := fakeServer(hosts[1], func(m *pb.Message) *pb.Message {
			if m.GetType() == pb.Message_ADD_PROVIDER {
				return nil
			}
			return pb.NewMessage(m.GetType(), m.GetKey(), 0)
		})
		k := newKads(t, hosts[:1])[0]
		testnet.Connect(t, hosts[0], hosts[1])
		time.Sleep(time.Second)
		err := k.Provide(t.Context(), dhttest.Root(t, "liar"))
		if err == nil || errors.Is(err, dht.ErrNoPeers) || !strings.Contains(err.Error(), "kept the record") {
			t.Errorf("Provide = %v, want that nobody kept the record", err)
		}
		if asked(pb.Message_ADD_PROVIDER) != 1 || asked(pb.Message_GET_PROVIDERS) != 1 {
			t.Error("the server was not asked to take and to show the record")
		}
	})
}

// A server that takes no records at all is noticed too.
func TestProvideRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{})
		k := newKads(t, hosts)[0]
		testnet.Connect(t, hosts[0], hosts[1])
		time.Sleep(time.Second)
		hosts[1].RemoveStreamHandler("/shoal/kad/1.0.0")
		_ = hosts[1].Network().Close()
		if err := k.Provide(t.Context(), dhttest.Root(t, "refused")); err == nil {
			t.Error("Provide to nobody succeeded")
		}
	})
}

// A node that listens on loopback only has nothing to announce, and says so.
func TestProvideWithoutAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		loopback := []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/1")}
		hosts := testnet.New(t, 2, testnet.Config{Options: func(i int) []libp2p.Option {
			return []libp2p.Option{libp2p.AddrsFactory(func(as []ma.Multiaddr) []ma.Multiaddr {
				if i == 0 {
					return loopback
				}
				return as
			})}
		}})
		k := newKads(t, hosts)[0]
		testnet.Connect(t, hosts[0], hosts[1])
		time.Sleep(time.Second)
		err := k.Provide(t.Context(), dhttest.Root(t, "no address"))
		if err == nil || !strings.Contains(err.Error(), "no address") {
			t.Errorf("Provide = %v, want that there is no address", err)
		}
	})
}

// A provider without addresses is looked up, and sent once even if an address
// comes in by itself meanwhile; one that nobody knows is left out.
func TestFindFillsAddresses(t *testing.T) {
	t.Parallel()
	for name, addrs := range map[string]int{"never": 0, "meanwhile": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosts := testnet.New(t, 3, testnet.Config{})
				holder, lost := testnet.Info(hosts[2]), testPeer(t, 77)
				again := peer.AddrInfo{ID: holder.ID, Addrs: holder.Addrs[:addrs]}
				asked := fakeServer(hosts[1], func(m *pb.Message) *pb.Message {
					a := pb.NewMessage(m.GetType(), m.GetKey(), 0)
					switch {
					case m.GetType() == pb.Message_GET_PROVIDERS:
						a.ProviderPeers = pb.RawPeerInfosToPBPeers([]peer.AddrInfo{{ID: lost.ID}, {ID: holder.ID}, again})
					case string(m.GetKey()) == string(holder.ID):
						a.CloserPeers = pb.RawPeerInfosToPBPeers([]peer.AddrInfo{holder})
					}
					return a
				})
				k := newKads(t, hosts[:1])[0]
				testnet.Connect(t, hosts[0], hosts[1])
				time.Sleep(time.Second)
				got := dhttest.All(k.Find(t.Context(), dhttest.Root(t, "fill"), 0))
				if len(got) != 1 || got[0].ID != holder.ID || len(got[0].Addrs) == 0 {
					t.Errorf("found %v, want %v", got, holder)
				}
				if asked(pb.Message_FIND_NODE) < 2-addrs { // of whom an address came in, may be asked for
					t.Error("a provider was not looked up")
				}
			})
		})
	}
}

// A liar's providers are bounded, and none is on this machine's own ports.
func TestFindFromLiar(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{})
		var many []peer.AddrInfo
		for i := range 1100 {
			p := peer.AddrInfo{ID: testPeer(t, i+100).ID}
			for j := range 40 {
				p.Addrs = append(p.Addrs, ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", j+1)),
					ma.StringCast(fmt.Sprintf("/ip4/11.0.0.1/tcp/%d", j+1)))
			}
			many = append(many, p)
		}
		fakeServer(hosts[1], func(m *pb.Message) *pb.Message {
			a := pb.NewMessage(m.GetType(), m.GetKey(), 0)
			if m.GetType() == pb.Message_GET_PROVIDERS {
				a.ProviderPeers = pb.RawPeerInfosToPBPeers(many)
			}
			return a
		})
		k := newKads(t, hosts[:1])[0]
		testnet.Connect(t, hosts[0], hosts[1])
		time.Sleep(time.Second)
		got := dhttest.All(k.Find(t.Context(), dhttest.Root(t, "many"), 0))
		if len(got) != 1000 {
			t.Errorf("found %d providers, want the limit of 1000", len(got))
		}
		for _, p := range got {
			if len(p.Addrs) != 32 {
				t.Fatalf("%d addresses, want the limit of 32", len(p.Addrs))
			}
			for _, a := range p.Addrs {
				if strings.Contains(a.String(), "127.0.0.1") {
					t.Fatalf("passed on %v", a)
				}
			}
		}
	})
}

// The mode follows the host's reachability, and others see it.
func TestKadMode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{})
		reach, err := hosts[0].EventBus().Emitter(new(event.EvtLocalReachabilityChanged), eventbus.Stateful)
		if err != nil {
			t.Fatal(err)
		}
		defer reach.Close()
		k, err := dht.NewKad(hosts[0], dht.KadConfig{Refresh: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		want := func(mode string) {
			t.Helper()
			synctest.Wait()
			serves := false
			for _, p := range hosts[0].Mux().Protocols() {
				serves = serves || p == k.Protocol()
			}
			if k.Mode() != mode || serves != (mode == dht.ModeServer) {
				t.Errorf("mode %s, serves %v, want %s", k.Mode(), serves, mode)
			}
		}
		set := func(r network.Reachability) {
			t.Helper()
			if err := reach.Emit(event.EvtLocalReachabilityChanged{Reachability: r}); err != nil {
				t.Fatal(err)
			}
		}
		want(dht.ModeServer) // alone: nobody is far
		testnet.Connect(t, hosts[0], hosts[1])
		want(dht.ModeClient) // 1.0.0.1 is public and not on link
		set(network.ReachabilityPublic)
		want(dht.ModeServer)
		set(network.ReachabilityPrivate)
		want(dht.ModeServer)
		time.Sleep(10 * time.Minute)
		want(dht.ModeClient)
		time.Sleep(time.Hour)
		want(dht.ModeClient)
	})
}

// A node whose bootstrap peer comes up later joins without being told.
func TestKadRejoins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{})
		up := false
		var mu sync.Mutex
		k, err := dht.NewKad(hosts[0], dht.KadConfig{
			Server: dht.ServerAlways, Refresh: -1,
			Bootstrap: func() []peer.AddrInfo {
				mu.Lock()
				defer mu.Unlock()
				if up {
					return []peer.AddrInfo{testnet.Info(hosts[1])}
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		newKads(t, hosts[1:])
		time.Sleep(20 * time.Second)
		if k.Size() != 0 {
			t.Fatal("joined without a bootstrap peer")
		}
		mu.Lock()
		up = true
		mu.Unlock()
		time.Sleep(30 * time.Second)
		if k.Size() != 1 {
			t.Error("did not join within 30 s")
		}
		select {
		case <-k.Joined():
		default:
			t.Error("Joined says nothing")
		}
	})
}

func TestKadConfig(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := testnet.New(t, 1, testnet.Config{})[0]
		for _, bad := range []string{"shoal", "/shoal/"} {
			if _, err := dht.NewKad(h, dht.KadConfig{Prefix: bad}); err == nil {
				t.Errorf("prefix %q was taken", bad)
			}
		}
		k, err := dht.NewKad(h, dht.KadConfig{Prefix: "/shoal/swarm1"})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		if k.Protocol() != "/shoal/swarm1/kad/1.0.0" {
			t.Errorf("protocol %q", k.Protocol())
		}
	})
}
