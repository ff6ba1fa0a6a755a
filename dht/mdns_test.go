package dht

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/internal/testnet"
)

// hub is a LAN without sockets: what one port sends, all get after a millisecond.
type hub struct {
	mu    sync.Mutex
	ports []*hubPort
	lossy time.Time // what is sent before is lost
	sent  int
}

type hubPort struct {
	hub *hub
	in  chan lanPacket
}

func (h *hub) join() *hubPort {
	p := &hubPort{hub: h, in: make(chan lanPacket, 64)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ports = append(h.ports, p)
	return p
}

func (h *hub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sent
}

func (p *hubPort) packets() <-chan lanPacket { return p.in }

func (p *hubPort) faces() ([]lanFace, []netip.Prefix) {
	return []lanFace{{index: 1}}, []netip.Prefix{netip.MustParsePrefix("1.0.0.0/8")}
}

func (p *hubPort) send(f lanFace, b []byte) error {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	if p.hub.sent++; time.Now().Before(p.hub.lossy) {
		return nil
	}
	for _, to := range p.hub.ports {
		select {
		case to.in <- lanPacket{face: f, from: netip.MustParseAddr("1.0.0.1"), data: b}:
		default:
		}
	}
	return nil
}

func (p *hubPort) close() {}

func startMDNS(t *testing.T, h host.Host, nw multicast, found func(peer.AddrInfo)) *MDNS {
	t.Helper()
	m, err := newMDNS(h, MDNSConfig{Found: found}, nw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// call is one Found.
type call struct {
	by, who peer.ID
	at      time.Duration
}

// Two nodes on a LAN: the one with the smaller ID dials the other at once, and
// the other does not.
func TestMDNSOneSideDials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{})
		if hosts[0].ID() > hosts[1].ID() {
			hosts[0], hosts[1] = hosts[1], hosts[0]
		}
		start := time.Now()
		var lan hub
		var mu sync.Mutex
		var calls []call
		all := make([]*MDNS, 2)
		for i, h := range hosts {
			all[i] = startMDNS(t, h, lan.join(), func(p peer.AddrInfo) {
				mu.Lock()
				calls = append(calls, call{h.ID(), p.ID, time.Since(start)})
				mu.Unlock()
				go func() { _ = h.Connect(context.Background(), p) }()
			})
		}
		time.Sleep(3 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(calls) != 1 || calls[0].by != hosts[0].ID() || calls[0].who != hosts[1].ID() {
			t.Fatalf("calls %+v, want one by %v", calls, hosts[0].ID())
		}
		if calls[0].at > 50*time.Millisecond {
			t.Errorf("found after %v of virtual time, want at most 50ms", calls[0].at)
		}
		if hosts[1].Network().Connectedness(hosts[0].ID()) != network.Connected {
			t.Error("the address found could not be dialled")
		}
		if !all[0].Seen(hosts[1].ID()) || !all[1].Seen(hosts[0].ID()) || all[0].Seen(hosts[0].ID()) {
			t.Error("Seen is wrong")
		}
	})
}

// The node that should wait dials when the other does not, and again while it
// stays unconnected.
func TestMDNSOtherSideDials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{})
		if hosts[0].ID() < hosts[1].ID() {
			hosts[0], hosts[1] = hosts[1], hosts[0]
		}
		var lan hub
		start := time.Now()
		found := make(chan time.Duration, 10)
		startMDNS(t, hosts[0], lan.join(), func(peer.AddrInfo) { found <- time.Since(start) })
		startMDNS(t, hosts[1], lan.join(), func(peer.AddrInfo) {})
		if at := <-found; at < dialGrace || at > dialGrace+50*time.Millisecond {
			t.Errorf("dialled after %v, want about %v", at, dialGrace)
		}
		if at := <-found; at < sightingRepeat || at > 4*sightingRepeat {
			t.Errorf("dialled again after %v, want one to four minutes", at)
		}
	})
}

// The first packets of both are lost, and they still meet in time.
func TestMDNSLostPackets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{})
		start := time.Now()
		lan := hub{lossy: start.Add(100 * time.Millisecond)}
		found := make(chan time.Duration, 10)
		for _, h := range hosts {
			startMDNS(t, h, lan.join(), func(peer.AddrInfo) { found <- time.Since(start) })
		}
		if at := <-found; at < askFirst || at > askFirst+100*time.Millisecond {
			t.Errorf("found after %v, want soon after the second question at %v", at, askFirst)
		}
	})
}

// A node that leaves is forgotten.
func TestMDNSGoodbye(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{})
		var lan hub
		a := startMDNS(t, hosts[0], lan.join(), func(peer.AddrInfo) {})
		b := startMDNS(t, hosts[1], lan.join(), func(peer.AddrInfo) {})
		time.Sleep(time.Second)
		if !a.Seen(hosts[1].ID()) {
			t.Fatal("not seen")
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if a.Seen(hosts[1].ID()) {
			t.Error("still seen after its goodbye")
		}
	})
}

// A flood of questions is answered ten times a second at most.
func TestMDNSFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 1, testnet.Config{})
		var lan hub
		m := startMDNS(t, hosts[0], lan.join(), func(peer.AddrInfo) {})
		asker := lan.join()
		q, err := mdnsQuery(m.service)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		before := lan.count()
		for range 1000 {
			_ = asker.send(lanFace{index: 1}, q)
			time.Sleep(time.Millisecond)
		}
		if n := lan.count() - before - 1000; n > 12 || n < 5 {
			t.Errorf("%d answers to 1000 questions in a second, want about 10", n)
		}
	})
}

// Packets that do not come from this network are dropped: the port may be open to
// the Internet.
func TestMDNSFromFar(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{})
		var lan hub
		port := lan.join()
		m := startMDNS(t, hosts[0], port, func(peer.AddrInfo) { t.Error("dials") })
		b, err := mdnsAnswer(m.service, "abc", testnet.Info(hosts[1]), mdnsTTL)
		if err != nil {
			t.Fatal(err)
		}
		port.in <- lanPacket{from: netip.MustParseAddr("8.8.8.8"), data: b}
		time.Sleep(time.Second)
		if m.Seen(hosts[1].ID()) {
			t.Error("seen")
		}
	})
}

// The real sockets, on this machine's own interfaces.
func TestMDNSSockets(t *testing.T) {
	t.Parallel()
	const port = 25353
	if !multicastWorks(t, port+1) {
		t.Skip("no multicast on this machine")
	}
	found := make(chan peer.ID, 2)
	var hosts []host.Host
	for range 2 {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/0.0.0.0/tcp/0"), libp2p.DisableMetrics())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		m, err := NewMDNS(h, MDNSConfig{
			Loopback: true, port: port,
			Found: func(p peer.AddrInfo) {
				if err := h.Connect(context.Background(), p); err == nil {
					found <- p.ID
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		hosts = append(hosts, h)
	}
	select {
	case id := <-found:
		if id != hosts[0].ID() && id != hosts[1].ID() {
			t.Errorf("found %v", id)
		}
	case <-time.After(20 * time.Second):
		t.Error("the nodes did not meet")
	}
}

// multicastWorks says whether one socket hears what another one sends.
func multicastWorks(t *testing.T, port int) bool {
	a, err := listenMDNS(port, true)
	if err != nil {
		t.Log(err)
		return false
	}
	defer a.close()
	faces, _ := a.faces()
	for _, f := range faces {
		if err := a.send(f, []byte("hello")); err != nil {
			t.Logf("interface %d: %v", f.index, err)
		}
	}
	select {
	case <-a.packets():
		return true
	case <-time.After(2 * time.Second):
		return false
	}
}
