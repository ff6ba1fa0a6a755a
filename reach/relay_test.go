package reach

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/reach/plan"
)

// start runs a host with its Reach on loopback.
func start(t *testing.T, cfg Config) (*Reach, host.Host) {
	t.Helper()
	r := New(cfg)
	opts := append(r.Options(), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(),
		libp2p.ResourceManager(&network.NullResourceManager{}))
	h, err := libp2p.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	r.Bind(h)
	if err := r.Start(h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		h.Close()
	})
	return r, h
}

// A circuit carries its budget and what it takes to meet, to the byte but for the
// one piece that would pass it; then both ends are told.
func TestRelayBudget(t *testing.T) {
	t.Parallel()
	const budget = 3 << 20
	relay, rh := start(t, Config{Relay: true, PerPair: budget, PerDay: 1 << 40})
	spent := make(chan peer.ID, 8)
	told := func(p peer.ID, _ time.Time) { spent <- p }
	_, ah := start(t, Config{OnSpent: told})
	b, bh := start(t, Config{OnSpent: told})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	info := peer.AddrInfo{ID: rh.ID(), Addrs: rh.Addrs()}
	for _, h := range []host.Host{ah, bh} {
		if err := h.Connect(ctx, info); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Reserve(ctx, ah, info); err != nil {
		t.Fatal(err)
	}
	got := make(chan int64, 1)
	ah.SetStreamHandler("/sink", func(s network.Stream) {
		n, _ := io.Copy(io.Discard, s)
		got <- n
	})
	over := rh.Addrs()[0].Encapsulate(ma.StringCast("/p2p/" + rh.ID().String() + "/p2p-circuit"))
	if err := bh.Connect(ctx, peer.AddrInfo{ID: ah.ID(), Addrs: []ma.Multiaddr{over}}); err != nil {
		t.Fatal(err)
	}
	st, err := bh.NewStream(network.WithAllowLimitedConn(ctx, "test"), ah.ID(), "/sink")
	if err != nil {
		t.Fatal(err)
	}
	if !st.Conn().Stat().Limited {
		t.Error("a circuit looks like a full connection")
	}
	_, err = io.Copy(st, io.LimitReader(zeros{}, 2*budget))
	if err == nil {
		t.Error("twice the budget was sent")
	}
	// The end takes along what was on the way.
	if n := <-got; n < budget/2 || n > budget+plan.Signalling {
		t.Errorf("%d bytes came through, of a budget of %d", n, budget)
	}
	if n := relay.Relayed(); n > budget+plan.Signalling || n < budget+plan.Signalling-64<<10 {
		t.Errorf("the relay counts %d", n)
	}
	seen := map[peer.ID]bool{}
	for len(seen) < 2 {
		select {
		case p := <-spent:
			seen[p] = true
		case <-ctx.Done():
			t.Fatalf("told of %v only", seen)
		}
	}
	if how, _ := b.How(st.Conn()); how != "relay" && how != "" {
		t.Errorf("reached by %q", how)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// A node on loopback cannot be told from one behind a router, and says so.
func TestUnknownOnLoopback(t *testing.T) {
	t.Parallel()
	a, ah := start(t, Config{})
	_, bh := start(t, Config{})
	if err := ah.Connect(t.Context(), peer.AddrInfo{ID: bh.ID(), Addrs: bh.Addrs()}); err != nil {
		t.Fatal(err)
	}
	if s := a.State(); s.Reachability != "unknown" {
		t.Errorf("reachability %q", s.Reachability)
	}
}
