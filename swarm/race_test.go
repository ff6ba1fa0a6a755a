package swarm

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/internal/testnet"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// A list that comes between judging and admitting counts.
func TestRevokedWhileJudged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 2})
		a, b := p.members[0], p.members[1]
		meet(t, b, a)
		m, _, err := a.s.judge(b.raw.ID(), b.s.chain)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.s.Revoke(b.raw.ID()); err != nil {
			t.Fatal(err)
		}
		if err := a.s.admit(b.raw.ID(), m, hello{}); !errors.Is(err, membership.ErrRevoked) {
			t.Errorf("got %v", err)
		}
	})
}

// A list on its own stream may overtake the welcome.
func TestListBeforeWelcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 3})
		a, b, out := p.members[0], p.members[1], p.members[2]
		meet(t, b, a)
		set := func(welcomed bool) {
			b.s.mu.Lock()
			defer b.s.mu.Unlock()
			c := b.s.peers[a.raw.ID()]
			c.welcomed = welcomed
			c.wake()
		}
		set(false)
		if err := a.s.Revoke(out.raw.ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		set(true)
		time.Sleep(time.Second)
		if b.raw.Network().Connectedness(a.raw.ID()) != network.Connected || !b.s.isRevoked(out.raw.ID()) {
			t.Error("the list cost the connection, or was dropped")
		}
	})
}

// A list that a member could not take is sent again.
func TestListNotTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 3})
		a, b, out := p.members[0], p.members[1], p.members[2]
		meet(t, b, a)
		b.raw.SetStreamHandler(b.s.protocol(), func(st network.Stream) {
			b.s.exit(a.raw.ID())
			_ = st.Reset()
		})
		if err := a.s.Revoke(out.raw.ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if b.s.isRevoked(out.raw.ID()) {
			t.Fatal("it was taken")
		}
		b.raw.SetStreamHandler(b.s.protocol(), b.s.answer)
		time.Sleep(2 * tick)
		if !b.s.isRevoked(out.raw.ID()) {
			t.Error("it was sent once")
		}
	})
}

// A stranger has few admission streams at a time.
func TestAdmissionStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{strangers: 1, members: 1})
		mallory, m := p.strangers[0], p.members[0]
		if err := mallory.raw.Connect(t.Context(), testnet.Info(m.raw)); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			st, err := mallory.NewStream(t.Context(), m.raw.ID(), m.s.protocol())
			if err != nil {
				continue
			}
			_, _ = st.Write(helloOf(nil)[:1])
		}
		time.Sleep(time.Second)
		m.s.mu.Lock()
		n := m.s.answering[mallory.raw.ID()]
		m.s.mu.Unlock()
		if n != maxAnswering {
			t.Errorf("%d of 20 streams are answered", n)
		}
		gone(t, m.raw, mallory.raw, admitTimeout)
		time.Sleep(time.Second)
		m.s.mu.Lock()
		defer m.s.mu.Unlock()
		if len(m.s.answering) != 0 {
			t.Errorf("counted after their end: %v", m.s.answering)
		}
	})
}

// Many members identified at once do not stop the event bus.
func TestManyIdentified(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 1})
		m := p.members[0]
		em, err := m.raw.EventBus().Emitter(new(event.EvtPeerIdentificationCompleted))
		if err != nil {
			t.Fatal(err)
		}
		defer em.Close()
		const n = 2000
		id := func(i int) peer.ID { return peer.ID([]byte{0, 2, byte(i), byte(i >> 8)}) }
		m.s.mu.Lock()
		for i := range n {
			c := m.s.contact(id(i))
			c.in, c.welcomed = true, true
		}
		m.s.mu.Unlock()
		done := make(chan error)
		go func() {
			for i := range n {
				if err := em.Emit(event.EvtPeerIdentificationCompleted{Peer: id(i)}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Error("the bus stands still")
		}
	})
}

// A membership that nobody asked for is not taken while ours is neither
// provisional nor due.
func TestUnaskedMembership(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 2, change: func(_ int, c *Config) { c.life = time.Hour }})
		a, b := p.members[0], p.members[1]
		meet(t, b, a)
		_ = b.raw.Network().ClosePeer(a.raw.ID())
		gone(t, a.raw, b.raw, time.Second)
		before := b.s.chain
		time.Sleep(10 * time.Minute)
		a.s.mu.Lock()
		by := membership.Of(a.s.cfg.Key, a.s.chain, a.s.me)
		a.s.mu.Unlock()
		offer := func() {
			chain, err := by.Grant(time.Now(), b.raw.ID(), membership.Member, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.s.renewed(membership.AppendChain(nil, chain)); err != nil {
				t.Error(err)
			}
		}
		offer()
		if !slices.EqualFunc(b.s.chain, before, slices.Equal) {
			t.Error("taken at once")
		}
		time.Sleep(40 * time.Minute)
		offer()
		if slices.EqualFunc(b.s.chain, before, slices.Equal) {
			t.Error("not taken when due")
		}
	})
}

// Who brought a member in is remembered whoever renews it, and tables look again
// when a membership ends.
func TestEndedMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 2})
		a, b := p.members[0], p.members[1]
		meet(t, b, a)
		sub, err := b.raw.EventBus().Subscribe(new(event.EvtPeerProtocolsUpdated))
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		b.s.mu.Lock()
		c := b.s.peers[a.raw.ID()]
		c.m.NotAfter = time.Now().Add(-time.Minute)
		b.s.mu.Unlock()
		synctest.Wait()
		for len(sub.Out()) > 0 {
			<-sub.Out()
		}
		b.s.look(time.Now())
		if len(sub.Out()) != 1 {
			t.Errorf("%d times told to look again", len(sub.Out()))
		}
		st := &state{Members: map[string]*memberState{}}
		st.met("m", memberState{By: "first"})
		st.met("m", memberState{By: "second"})
		if by := st.Members[peer.ID("m").String()].By; by != "first" {
			t.Errorf("brought in by %s", by)
		}
	})
}

// What is remembered of invites fits the file.
func TestUsesAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	st := &state{Invites: map[string]*inviteState{}}
	for i := range maxUsed / membership.MaxUses {
		st.Invites[string(rune(i))] = &inviteState{Used: make([]peer.ID, membership.MaxUses), Expires: now.Add(time.Hour)}
	}
	if st.mayUse(now) {
		t.Error("more than are remembered")
	}
	if !st.mayUse(now.Add(2 * time.Hour)) {
		t.Error("ended invites take room")
	}
}

// When whoever renewed a membership last is revoked, the one before it counts,
// after a restart as well.
func TestFormerMembership(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 3, change: func(_ int, c *Config) { c.life = time.Hour }})
		founder, inviter, b := p.members[0], p.members[1], p.members[2]
		rejoin(t, inviter, newInvite(t, founder.s, membership.Inviter, 0, 1))
		meet(t, inviter, founder)
		meet(t, b, founder)
		b.s.mu.Lock()
		before := b.s.chain
		b.s.mu.Unlock()
		by := membership.Of(inviter.s.cfg.Key, inviter.s.chain, inviter.s.me)
		by.NotAfter = time.Time{}
		chain, err := by.Grant(time.Now(), b.raw.ID(), membership.Member, 2*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		b.s.mu.Lock()
		b.s.chain, b.s.spare = chain, b.s.chain
		b.s.mu.Unlock()
		if err := founder.s.Revoke(inviter.raw.ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if st := b.s.Status(); st.Err != nil || !slices.EqualFunc(b.s.chain, before, slices.Equal) {
			t.Errorf("the membership does not count: %v", st.Err)
		}
		again, err := Open(Config{Dir: saved(t, b), Key: b.s.cfg.Key})
		if err != nil {
			t.Fatal(err)
		}
		if st := again.Status(); st.Err != nil {
			t.Errorf("after a restart: %v", st.Err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Nobody comes in before there is somebody to stop strangers' streams.
func TestNobodyBeforeGuard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir, key := t.TempDir(), testnet.Key(t, 0)
		if _, err := Create(dir, "studio", "", key); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Config{Dir: dir, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if s.Gater().InterceptAccept(nil) {
			t.Error("a connection before the guard")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if p := newPlace(t, options{members: 1}); !p.members[0].s.Gater().InterceptAccept(nil) {
			t.Error("none after it")
		}
	})
}
