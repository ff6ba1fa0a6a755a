package dht_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/dht"
	"github.com/shoal-p2p/shoal/dht/dhttest"
	"github.com/shoal-p2p/shoal/internal/testnet"
)

// counting is a router that takes a while and counts.
type counting struct {
	dht.Router
	takes  time.Duration
	joined chan struct{}

	mu      sync.Mutex
	err     error
	calls   []time.Time
	byRoot  map[string]int
	running int
	most    int
}

func newCounting(r dht.Router) *counting {
	return &counting{Router: r, takes: 200 * time.Millisecond, joined: make(chan struct{}, 1), byRoot: make(map[string]int)}
}

func (c *counting) Joined() <-chan struct{} { return c.joined }

func (c *counting) Provide(ctx context.Context, root cid.Cid) error {
	c.mu.Lock()
	c.calls = append(c.calls, time.Now())
	c.byRoot[root.KeyString()]++
	c.running++
	c.most = max(c.most, c.running)
	err := c.err
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running--
	}()
	select {
	case <-time.After(c.takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return c.Router.Provide(ctx, root)
}

func (c *counting) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// count returns how often any root was announced since the last call.
func (c *counting) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.calls)
	c.calls = nil
	return n
}

// runAnnouncer runs a until the test ends.
func runAnnouncer(t *testing.T, a *dht.Announcer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// twoNodes are a router that counts and another one of its swarm.
func twoNodes(t *testing.T) (*counting, dht.Router) {
	var reg dht.Registry
	return newCounting(reg.Join(testPeer(t, 0))), reg.Join(testPeer(t, 1))
}

func TestAnnouncerLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, other := twoNodes(t)
		a := dht.NewAnnouncer(r, dht.AnnouncerConfig{})
		root := dhttest.Root(t, "life")
		a.Add(root) // before Run
		runAnnouncer(t, a)
		time.Sleep(time.Second)
		if got := dhttest.All(other.Find(t.Context(), root, 0)); len(got) != 1 {
			t.Fatalf("found %v", got)
		}
		if at, err := a.Announced(root); err != nil || time.Since(at) > time.Second {
			t.Errorf("Announced = %v, %v", at, err)
		}
		a.Add(root, dhttest.Root(t, "second"))
		time.Sleep(time.Second)
		if n := r.count(); n != 2 {
			t.Errorf("%d announcements, want 2", n)
		}
		time.Sleep(22 * time.Hour)
		if n := r.count(); n != 2 {
			t.Errorf("%d announcements in 22 hours, want 2", n)
		}
		a.Remove(root)
		time.Sleep(22 * time.Hour)
		if n := r.count(); n != 1 {
			t.Errorf("%d announcements in 22 hours after one was removed, want 1", n)
		}
		if at, _ := a.Announced(root); !at.IsZero() {
			t.Error("a removed root counts as announced")
		}
		if got := dhttest.All(other.Find(t.Context(), root, 0)); len(got) != 0 {
			t.Errorf("found %v for a root that was removed", got)
		}
	})
}

// A root that is removed while it is being announced is not announced after all.
func TestAnnouncerRemovesInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, other := twoNodes(t)
		a := dht.NewAnnouncer(r, dht.AnnouncerConfig{})
		root := dhttest.Root(t, "in flight")
		a.Add(root)
		runAnnouncer(t, a)
		time.Sleep(r.takes / 2)
		a.Remove(root)
		time.Sleep(r.takes)
		if n := r.count(); n != 1 {
			t.Fatalf("announced %d times, want once", n)
		}
		if got := dhttest.All(other.Find(t.Context(), root, 0)); len(got) != 0 {
			t.Errorf("found %v", got)
		}
	})
}

func TestAnnouncerWaitsForPeers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := twoNodes(t)
		r.fail(fmt.Errorf("x: %w", dht.ErrNoPeers))
		a := dht.NewAnnouncer(r, dht.AnnouncerConfig{})
		runAnnouncer(t, a)
		root := dhttest.Root(t, "wait")
		a.Add(root)
		time.Sleep(time.Hour)
		if n := r.count(); n < 60 || n > 80 {
			t.Errorf("%d attempts in an hour alone, want about one a minute", n)
		}
		if _, err := a.Announced(root); !errors.Is(err, dht.ErrNoPeers) {
			t.Errorf("Announced gives %v, want ErrNoPeers", err)
		}
		r.fail(nil)
		r.joined <- struct{}{}
		time.Sleep(time.Second)
		if n := r.count(); n != 1 {
			t.Errorf("%d announcements in the second after joining, want 1", n)
		}
		if _, err := a.Announced(root); err != nil {
			t.Errorf("Announced gives %v after success", err)
		}
	})
}

// 50,000 roots do not go out in a burst, and they all go out.
func TestAnnouncerMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := twoNodes(t)
		a := dht.NewAnnouncer(r, dht.AnnouncerConfig{})
		runAnnouncer(t, a)
		const n = 50_000
		roots := make([]cid.Cid, n)
		for i := range roots {
			roots[i] = dhttest.Root(t, fmt.Sprint(i))
		}
		a.Add(roots...)
		time.Sleep(time.Minute)
		if got := r.count(); got < 250 || got > 350 {
			t.Errorf("%d announcements in the first minute, want about 64 + 240", got)
		}
		a.Add(dhttest.Root(t, "urgent"))
		time.Sleep(time.Second)
		r.mu.Lock()
		if r.byRoot[dhttest.Root(t, "urgent").KeyString()] != 1 {
			t.Error("a root that was added later waits behind the others")
		}
		r.mu.Unlock()
		time.Sleep(4 * time.Hour)
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.byRoot) != n+1 {
			t.Errorf("%d roots announced in four hours, want %d", len(r.byRoot), n+1)
		}
		if r.most > 8 {
			t.Errorf("%d at a time, want at most 8", r.most)
		}
	})
}

// A relay's address comes after the first announcement: the records are renewed.
func TestAnnouncerAddresses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 1, testnet.Config{})
		h := &moving{Host: hosts[0]}
		r, _ := twoNodes(t)
		a := dht.NewAnnouncer(r, dht.AnnouncerConfig{Host: h})
		runAnnouncer(t, a)
		a.Add(dhttest.Root(t, "moves"))
		time.Sleep(time.Minute)
		r.count()

		h.move(t, "/ip4/127.0.0.1/tcp/9")
		time.Sleep(time.Minute)
		if n := r.count(); n != 0 {
			t.Errorf("%d announcements for an address of this machine alone", n)
		}
		h.move(t, "/ip4/8.8.8.8/tcp/1/p2p/"+hosts[0].ID().String()+"/p2p-circuit")
		h.move(t, "/ip4/9.9.9.9/tcp/1")
		time.Sleep(time.Minute)
		if n := r.count(); n != 1 {
			t.Errorf("%d announcements after two new addresses, want one", n)
		}
	})
}

// moving is a host whose addresses a test changes.
type moving struct {
	host.Host

	mu   sync.Mutex
	more []ma.Multiaddr
}

func (m *moving) Addrs() []ma.Multiaddr {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append(m.Host.Addrs(), m.more...)
}

func (m *moving) move(t *testing.T, addr string) {
	t.Helper()
	m.mu.Lock()
	m.more = append(m.more, ma.StringCast(addr))
	m.mu.Unlock()
	emitAddrs(t, m.Host)
}

// A server that was restarted has lost its records; the holder notices that it
// is back and tells it again.
func TestAnnouncerAfterRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 3, testnet.Config{})
		holder := newKads(t, hosts[:1])[0]
		server, err := dht.NewKad(hosts[1], dht.KadConfig{Server: dht.ServerAlways, Refresh: -1})
		if err != nil {
			t.Fatal(err)
		}
		a := dht.NewAnnouncer(holder, dht.AnnouncerConfig{})
		runAnnouncer(t, a)
		root := dhttest.Root(t, "restart")
		a.Add(root)
		testnet.Connect(t, hosts[0], hosts[1])
		time.Sleep(time.Minute)

		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
		_ = hosts[1].Network().ClosePeer(hosts[0].ID())
		time.Sleep(time.Second)
		newKads(t, hosts[1:2])
		testnet.Connect(t, hosts[0], hosts[1])
		time.Sleep(time.Minute)

		// A third node that asks the server alone.
		_ = hosts[1].Network().ClosePeer(hosts[0].ID())
		asker, err := dht.NewKad(hosts[2], dht.KadConfig{
			Server: dht.ServerNever, Refresh: -1,
			QueryFilter: func(p peer.AddrInfo) bool { return p.ID == hosts[1].ID() },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer asker.Close()
		testnet.Connect(t, hosts[2], hosts[1])
		time.Sleep(time.Second)
		if got := dhttest.All(asker.Find(t.Context(), root, 0)); len(got) != 1 || got[0].ID != hosts[0].ID() {
			t.Errorf("found %v, want the holder", got)
		}
	})
}
