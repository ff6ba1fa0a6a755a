package swarm

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/internal/testnet"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// Two members find each other admitted when Connect returns, and the founder has
// countersigned the other's provisional membership.
func TestAdmission(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 3})
		a, b, c := p.members[0], p.members[1], p.members[2]
		if !b.s.Status().Membership.Provisional() {
			t.Error("an invited node is more than provisional")
		}
		meet(t, c, b) // both provisional
		meet(t, b, a)
		for _, pair := range [][2]*node{{a, b}, {b, a}, {b, c}, {c, b}} {
			if err := talk(t, pair[0], pair[1]); err != nil {
				t.Errorf("talk: %v", err)
			}
		}
		if st := b.s.Status(); st.Err != nil || st.Membership.Provisional() || time.Until(st.Membership.NotAfter) < 364*24*time.Hour {
			t.Errorf("b is %+v", st)
		}
		if !c.s.Status().Membership.Provisional() {
			t.Error("c has not met the founder and is not provisional")
		}
		if got := len(a.s.Members()); got != 2 {
			t.Errorf("the founder has met %d members and itself", got)
		}
	})
}

// Admission takes one round trip more than the connection.
func TestOneRoundTrip(t *testing.T) {
	t.Parallel()
	took := func(guarded bool) (d time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t, options{members: 2, net: testnet.Config{Latency: 100 * time.Millisecond}})
			a, b := p.members[0], p.members[1]
			meet(t, b, a) // countersigned, so that only admission is measured
			_ = b.raw.Network().ClosePeer(a.raw.ID())
			gone(t, a.raw, b.raw, time.Minute)
			from := time.Now()
			h := b.raw
			if guarded {
				h = b.Host
			}
			if err := h.Connect(t.Context(), testnet.Info(a.raw)); err != nil {
				t.Fatal(err)
			}
			d = time.Since(from)
		})
		return d
	}
	with, without := took(true), took(false)
	t.Logf("connected in %v, without admission in %v", with, without)
	if with-without > 220*time.Millisecond {
		t.Errorf("admission took %v of a round trip of 200ms", with-without)
	}
}

// A stranger that knows the address is disconnected within 5 s, whoever dialled,
// and gets at no protocol of members meanwhile.
func TestStranger(t *testing.T) {
	t.Parallel()
	bubble(t, "inbound", func(t *testing.T) {
		p := newPlace(t, options{strangers: 1, members: 1})
		s, m := p.strangers[0], p.members[0]
		meet(t, s, m)
		if err := talk(t, s, m); err == nil {
			t.Error("a stranger reached a handler")
		}
		gone(t, m.raw, s.raw, admitTimeout)
	})
	bubble(t, "outbound", func(t *testing.T) {
		p := newPlace(t, options{strangers: 1, members: 1})
		s, m := p.strangers[0], p.members[0]
		s.SetStreamHandler(echo, reply)
		if err := m.Connect(t.Context(), testnet.Info(s.raw)); err == nil {
			t.Error("a stranger is connected to")
		}
		if err := talk(t, m, s); err == nil {
			t.Error("a stream to a stranger is opened")
		}
		gone(t, m.raw, s.raw, admitTimeout)
	})
	bubble(t, "another swarm", func(t *testing.T) {
		p, q := newPlace(t, options{members: 1}), newPlace(t, options{members: 1})
		if p.members[0].s.Prefix() == q.members[0].s.Prefix() {
			t.Error("two swarms have one name")
		}
	})
}

// What a member did not say in time is as good as not said.
func TestTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 2, change: func(_ int, c *Config) {
			c.hold = func() { time.Sleep(admitTimeout + time.Second) }
		}})
		if err := p.members[1].Connect(t.Context(), testnet.Info(p.members[0].raw)); err == nil {
			t.Error("admitted after the time is up")
		}
		gone(t, p.members[0].raw, p.members[1].raw, admitTimeout+time.Second)
	})
}

// Pending connections are bounded; a member from before has room beyond.
func TestPending(t *testing.T) {
	t.Parallel()
	p := &Swarm{peers: map[peer.ID]*contact{}, st: &state{Members: map[string]*memberState{}}}
	p.gate = newGater(p)
	for i := range maxPending - 1 {
		p.contact(peer.ID(rune(i)))
	}
	conn := fakeConn{remote: "stranger"}
	if ok, _ := p.gate.InterceptUpgraded(conn); !ok {
		t.Error("the last place is refused")
	}
	p.contact("one more")
	if ok, _ := p.gate.InterceptUpgraded(conn); ok {
		t.Error("beyond the last place")
	}
	p.st.Members[peer.ID("member").String()] = &memberState{}
	if ok, _ := p.gate.InterceptUpgraded(fakeConn{remote: "member"}); !ok {
		t.Error("a member has no place kept")
	}
	if ok, _ := p.gate.InterceptUpgraded(fakeConn{remote: "stranger", out: true}); !ok {
		t.Error("an own connection is refused")
	}
}

type fakeConn struct {
	network.Conn
	remote peer.ID
	out    bool
}

func (c fakeConn) RemotePeer() peer.ID { return c.remote }
func (c fakeConn) Stat() network.ConnStats {
	st := network.ConnStats{}
	st.Direction = network.DirInbound
	if c.out {
		st.Direction = network.DirOutbound
	}
	return st
}

// A stream that comes while its peer is being admitted waits for that; too many
// are not let wait.
func TestStreamsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 2, change: func(_ int, c *Config) { c.hold = func() { time.Sleep(time.Second) } }})
		a, b := p.members[0], p.members[1]
		if err := b.raw.Connect(t.Context(), testnet.Info(a.raw)); err != nil {
			t.Fatal(err)
		}
		from := time.Now()
		answers := make(chan error)
		const n = maxWaiting + 4
		for range n {
			go func() {
				st, err := b.raw.NewStream(t.Context(), a.raw.ID(), echo)
				if err == nil {
					if _, err = st.Write([]byte{7}); err == nil {
						_, err = io.ReadFull(st, make([]byte, 1))
					}
				}
				answers <- err
			}()
		}
		let := 0
		for range n {
			if <-answers == nil {
				let++
			}
		}
		if took := time.Since(from); let != maxWaiting || took < time.Second {
			t.Errorf("%d of %d streams were let in, after %v; want %d", let, n, took, maxWaiting)
		}
	})
}

// saved makes sure that a node's state is on disk and returns its directory.
func saved(t *testing.T, n *node) string {
	t.Helper()
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	if err := n.s.save(true); err != nil {
		t.Fatal(err)
	}
	return n.s.cfg.Dir
}

// An invite is good for as many members as it says; then it is revoked.
func TestUses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 5})
		founder := p.members[0]
		invite := newInvite(t, founder.s, membership.Member, 0, 2)
		for i, m := range p.members[1:4] {
			rejoin(t, m, invite)
			err := m.Connect(t.Context(), testnet.Info(founder.raw))
			switch {
			case i < 2 && err != nil:
				t.Errorf("use %d: %v", i+1, err)
			case i == 2 && !errors.Is(err, ErrUsedUp):
				t.Errorf("use %d: %v", i+1, err)
			}
		}
		time.Sleep(time.Second)
		if founder.s.Status().Sequence != 1 {
			t.Error("the invite is not revoked")
		}
		// Somebody who has not met the founder refuses it now as well.
		meet(t, p.members[1], p.members[2])
		if err := p.members[3].Connect(t.Context(), testnet.Info(p.members[1].raw)); !errors.Is(err, membership.ErrRevoked) {
			t.Errorf("elsewhere: %v", err)
		}
	})
}

// rejoin gives a node another provisional membership.
func rejoin(t *testing.T, n *node, invite string) {
	t.Helper()
	tok, err := membership.ParseToken(invite)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := membership.Mint(time.Now(), tok.Chain, tok.Seed, n.raw.ID())
	if err != nil {
		t.Fatal(err)
	}
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	n.s.chain = chain
	if err := n.s.judgeSelf(time.Now()); err != nil {
		t.Fatal(err)
	}
}

// short gives members that the founder countersigns a short life.
func short(life time.Duration) func(int, *Config) {
	return func(_ int, c *Config) { c.life = life }
}

// A membership is renewed from two thirds of its life.
func TestRenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 2, change: short(30 * time.Minute)})
		a, b := p.members[0], p.members[1]
		meet(t, b, a)
		end := b.s.Status().Membership.NotAfter
		time.Sleep(19 * time.Minute)
		if got := b.s.Status().Membership.NotAfter; !got.Equal(end) {
			t.Errorf("renewed early, until %v", got)
		}
		time.Sleep(2 * time.Minute)
		if got := b.s.Status().Membership.NotAfter.Sub(end); got < 19*time.Minute {
			t.Errorf("renewed by %v", got)
		}
		time.Sleep(time.Until(end) + time.Minute)
		if err := talk(t, b, a); err != nil {
			t.Error(err)
		}
	})
}

// After its end a membership is good for nothing new, what runs goes on for a
// while, and then the peer is disconnected.
func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 3, change: short(10 * time.Minute)})
		founder, a, b := p.members[0], p.members[1], p.members[2]
		meet(t, a, founder)
		meet(t, b, founder)
		meet(t, a, b)
		_ = founder.raw.Close()
		running, err := a.NewStream(t.Context(), b.raw.ID(), echo)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := running.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Minute + 2*tick)
		if err := talk(t, a, b); err == nil {
			t.Error("a new stream after the end")
		}
		if _, err := io.ReadFull(running, make([]byte, 1)); err != nil {
			t.Errorf("what runs is cut off: %v", err)
		}
		time.Sleep(lastGrace + tick)
		gone(t, b.raw, a.raw, time.Second)
		if err := a.Connect(t.Context(), testnet.Info(b.raw)); !errors.Is(err, membership.ErrExpired) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// Where the authority's key is at hand, it renews the first member; where it is
// not, nothing happens but a warning in time.
func TestAuthorityRenews(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), testnet.Key(t, 0)
	path, err := Create(dir, "studio", "", key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Dir: dir, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	end := s.me.NotAfter
	s.look(time.Now().Add(6 * 365 * 24 * time.Hour))
	if !s.me.NotAfter.Equal(end) {
		t.Errorf("renewed early, until %v", s.me.NotAfter)
	}
	later := time.Now().Add(7 * 365 * 24 * time.Hour)
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	s.look(later)
	if !s.me.NotAfter.Equal(end) {
		t.Errorf("renewed without the key, until %v", s.me.NotAfter)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	s.look(later)
	if s.me.NotAfter.Sub(end) < 6*365*24*time.Hour {
		t.Errorf("ends %v, was %v", s.me.NotAfter, end)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Two swarms have two names on a LAN, and neither tells the swarm.
func TestService(t *testing.T) {
	t.Parallel()
	a, b := (&Swarm{id: "a"}).Service(), (&Swarm{id: "b"}).Service()
	if a == b || len(a) != len("_shoal-12345678._udp") || !strings.HasPrefix(a, "_shoal-") || !strings.HasSuffix(a, "._udp") {
		t.Errorf("%s and %s", a, b)
	}
}

// What an operator is told, and when.
func TestWarnings(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), testnet.Key(t, 0)
	if _, err := Create(dir, "studio", "", key); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Dir: dir, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	for left, want := range map[time.Duration]int{membership.Warning + time.Hour: 0, membership.Warning - time.Hour: 1} {
		if got := s.warnings(s.me.NotAfter.Add(-left), nil); len(got) != want {
			t.Errorf("%v before the end: %q", left, got)
		}
	}
	if got := s.warnings(time.Now(), membership.ErrRevoked); len(got) != 1 {
		t.Errorf("revoked: %q", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
