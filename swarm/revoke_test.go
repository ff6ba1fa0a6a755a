package swarm

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/internal/testnet"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// Revoked members are disconnected by everybody at once, and refused later, by
// those too who learn of it from another.
func TestRevoke(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 5})
		founder, out, late := p.members[0], p.members[3], p.members[4]
		for _, m := range p.members[1:4] {
			meet(t, m, founder)
		}
		meet(t, p.members[1], out)
		meet(t, p.members[2], out)
		from := time.Now()
		if err := founder.s.Revoke(out.raw.ID()); err != nil {
			t.Fatal(err)
		}
		for _, m := range p.members[:3] {
			gone(t, m.raw, out.raw, time.Second)
			gone(t, out.raw, m.raw, time.Second)
		}
		t.Logf("disconnected everywhere after %v", time.Since(from))
		err := out.Connect(t.Context(), testnet.Info(p.members[1].raw))
		if err == nil || talk(t, out, p.members[1]) == nil {
			t.Error("a revoked member is back")
		}
		// One that was away meets one up-to-date member, and refuses too.
		meet(t, late, p.members[2])
		if err := late.Connect(t.Context(), testnet.Info(out.raw)); err == nil {
			t.Error("a late member admits the revoked one")
		}
		if got := late.s.Status().Sequence; got != 1 {
			t.Errorf("the late member has list %d", got)
		}
		// It stays so after a restart.
		again, err := Open(Config{Dir: saved(t, late), Key: late.s.cfg.Key})
		if err != nil {
			t.Fatal(err)
		}
		if !again.isRevoked(out.raw.ID()) {
			t.Error("forgotten")
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A list reaches those too who are not connected to whoever made it.
func TestListsArePassedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 6})
		for i, m := range p.members[1:] {
			meet(t, m, p.members[i])
		}
		time.Sleep(time.Second)
		if err := p.members[0].s.Revoke(testnet.Info(p.members[5].raw).ID); err != nil {
			t.Fatal(err)
		}
		gone(t, p.members[4].raw, p.members[5].raw, time.Second)
	})
}

// Two revokers that do not know of each other each make a list. Where they meet
// both count, and a list of both is made.
func TestTwoRevokers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 5})
		founder, other, plain := p.members[0], p.members[1], p.members[2]
		rejoin(t, other, newInvite(t, founder.s, membership.Revoker, 0, 1))
		meet(t, other, founder)
		_ = other.raw.Network().ClosePeer(founder.raw.ID())
		gone(t, founder.raw, other.raw, time.Second)
		if err := errors.Join(founder.s.Revoke(p.members[3].raw.ID()), other.s.Revoke(p.members[4].raw.ID())); err != nil {
			t.Fatal(err)
		}
		meet(t, plain, other)
		meet(t, plain, founder)
		time.Sleep(time.Second)
		for i, m := range p.members[:3] {
			st := m.s.Status()
			if st.Revoked != 2 || st.Sequence != 2 {
				t.Errorf("member %d knows %d revoked, list %d", i, st.Revoked, st.Sequence)
			}
		}
	})
}

// A revoked revoker that goes on signing, with higher numbers, to a member that has
// not heard of its end, does not come between that one and the others.
func TestRevokedRevoker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 5})
		founder, former, late := p.members[0], p.members[1], p.members[2]
		rejoin(t, former, newInvite(t, founder.s, membership.Revoker, 0, 1))
		meet(t, former, founder)
		meet(t, late, founder)
		for _, m := range []*node{former, late} {
			_ = m.raw.Network().ClosePeer(founder.raw.ID())
			gone(t, founder.raw, m.raw, time.Second)
		}
		if err := founder.s.Revoke(former.raw.ID()); err != nil {
			t.Fatal(err)
		}
		for _, m := range p.members[3:] {
			if err := former.s.Revoke(m.raw.ID()); err != nil {
				t.Fatal(err)
			}
		}
		meet(t, late, former)
		if got := late.s.Status().Sequence; got != 2 {
			t.Fatalf("the late member has list %d", got)
		}
		meet(t, late, founder)
		time.Sleep(time.Second)
		gone(t, late.raw, former.raw, time.Second)
		if !late.s.isRevoked(former.raw.ID()) || late.s.reg.Digest() != founder.s.reg.Digest() {
			t.Errorf("the late member has list %d, the founder %d", late.s.Status().Sequence, founder.s.Status().Sequence)
		}
		if err := talk(t, late, founder); err != nil {
			t.Errorf("talk: %v", err)
		}
	})
}
