package swarm

import (
	"testing"
	"testing/synctest"
	"time"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Twenty members that are admitted 2 s after they are identified: kad-dht saw
// strangers when it looked, and still every table is full within 3 s after.
func TestTablesFill(t *testing.T) {
	t.Parallel()
	const n = 20
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{strangers: 1, members: n, change: func(_ int, c *Config) {
			c.hold = func() { time.Sleep(2 * time.Second) }
		}})
		tables := make([]*kad.IpfsDHT, n)
		for i, m := range p.members {
			d, err := kad.New(m.Host, kad.ProtocolPrefix(protocol.ID(m.s.Prefix())), kad.Mode(kad.ModeServer), kad.DisableAutoRefresh(),
				kad.RoutingTableFilter(func(_ any, p peer.ID) bool { return m.s.Admitted(p) }),
				kad.QueryFilter(func(_ any, p peer.AddrInfo) bool { return m.s.MayAsk(p.ID) }))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = d.Close() })
			tables[i] = d
		}
		for i, a := range p.members {
			for _, b := range p.members[:i] {
				go func() { _ = a.Connect(t.Context(), peer.AddrInfo{ID: b.raw.ID(), Addrs: b.raw.Addrs()}) }()
			}
		}
		meet(t, p.strangers[0], p.members[0])
		time.Sleep(1900 * time.Millisecond)
		for i, d := range tables {
			if got := d.RoutingTable().Size(); got != 0 {
				t.Errorf("member %d has %d peers in its table before any is admitted", i, got)
			}
		}
		admitted := time.Now().Add(300 * time.Millisecond)
		full := func() bool {
			for _, d := range tables {
				if d.RoutingTable().Size() < n-1 {
					return false
				}
			}
			return true
		}
		for !full() && time.Since(admitted) < 3*time.Second {
			time.Sleep(10 * time.Millisecond)
		}
		t.Logf("full %v after admission", time.Since(admitted))
		for i, d := range tables {
			if got := d.RoutingTable().Size(); got != n-1 {
				t.Errorf("member %d has %d peers in its table, want %d", i, got, n-1)
			}
			if d.RoutingTable().Find(p.strangers[0].raw.ID()) != "" {
				t.Errorf("member %d has the stranger in its table", i)
			}
		}
		// Who is revoked leaves them.
		out := p.members[7]
		if err := p.members[0].s.Revoke(out.raw.ID()); err != nil {
			t.Fatal(err)
		}
		from := time.Now()
		for _, m := range p.members {
			if m != out {
				gone(t, m.raw, out.raw, 5*time.Second)
			}
		}
		t.Logf("revoked: disconnected everywhere after %v", time.Since(from))
		time.Sleep(time.Second)
		for i, d := range tables {
			if p.members[i] != out && d.RoutingTable().Find(out.raw.ID()) != "" {
				t.Errorf("member %d keeps the revoked one in its table", i)
			}
		}
	})
}

// Fifty members are connected to one that is revoked: none is after 5 s.
func TestFiftyDisconnect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 51})
		founder, out := p.members[0], p.members[50]
		for _, m := range p.members[1:] {
			meet(t, m, founder)
		}
		for _, m := range p.members[1:50] {
			meet(t, m, out)
		}
		time.Sleep(time.Second)
		from := time.Now()
		if err := founder.s.Revoke(out.raw.ID()); err != nil {
			t.Fatal(err)
		}
		for _, m := range p.members[:50] {
			gone(t, m.raw, out.raw, 5*time.Second)
		}
		t.Logf("fifty disconnected after %v", time.Since(from))
	})
}
