package membership

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// What a chain proves.
func TestCheck(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	for _, c := range []struct {
		name  string
		p     peer.ID
		chain Chain
		at    time.Time
		want  Membership
	}{
		{"founder", s.founder.id, s.founderChain, epoch.Add(5 * year), Membership{
			Roles: AllRoles, NotBefore: epoch, NotAfter: epoch.Add(Founder)}},
		{"countersigned", s.member.id, s.memberChain, epoch.Add(364 * day), Membership{
			Roles: Member | Cache, NotBefore: epoch, NotAfter: epoch.Add(year), By: []peer.ID{s.founder.id}}},
		{"provisional", s.guest.id, s.provisional, epoch.Add(7 * day), Membership{
			Roles: Member | Publisher, NotBefore: epoch.Add(time.Hour), NotAfter: epoch.Add(7 * day),
			Invite: s.invite.id, By: []peer.ID{s.founder.id}}},
		{"clock behind", s.member.id, s.memberChain, epoch.Add(-ClockSkew), Membership{
			Roles: Member | Cache, NotBefore: epoch, NotAfter: epoch.Add(year), By: []peer.ID{s.founder.id}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := Check(c.at, s.authority.id, c.p, c.chain, nil)
			if err != nil {
				t.Fatal(err)
			}
			c.want.Swarm, c.want.Peer = s.authority.id, c.p
			if !got.NotBefore.Equal(c.want.NotBefore) || !got.NotAfter.Equal(c.want.NotAfter) {
				t.Errorf("from %v to %v; want %v to %v", got.NotBefore, got.NotAfter, c.want.NotBefore, c.want.NotAfter)
			}
			if got.Roles != c.want.Roles || got.Invite != c.want.Invite || got.Peer != c.want.Peer ||
				got.Swarm != c.want.Swarm || !slices.Equal(got.By, c.want.By) {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// The attacks that are a matter of the chain.
func TestAttacks(t *testing.T) {
	t.Parallel()
	s, chain := newSwarm(t), must[Chain](t)
	other := must[Issuer](t)(Authority(person(t, "other authority").key))
	mallory := person(t, "mallory")
	plain := Of(s.member.key, s.memberChain, must[Membership](t)(Check(epoch, s.authority.id, s.member.id, s.memberChain, nil)))
	// A member that ignores what its roles allow.
	rogue := plain
	rogue.Roles = AllRoles
	flip := func(c Chain, link, at int) Chain {
		c = slices.Clone(c)
		c[link] = bytes.Clone(c[link])
		c[link][at] ^= 1
		return c
	}
	seal1 := func(by who, g *Grant) []byte { return must[[]byte](t)(seal(by.key, g)) }
	inviter := person(t, "inviter")
	inviterChain := chain(s.first.Grant(epoch, inviter.id, Inviter, 0))

	for _, c := range []struct {
		name  string
		p     peer.ID
		at    time.Time
		chain Chain
		want  error
	}{
		{"no credential", s.member.id, epoch, nil, ErrNone},
		{"expired", s.member.id, epoch.Add(year + time.Second), s.memberChain, ErrExpired},
		{"not yet valid", s.member.id, epoch.Add(-ClockSkew - time.Second), s.memberChain, ErrNotYet},
		{"wrong swarm", s.guest.id, epoch, chain(other.Grant(epoch, s.guest.id, Member, 0)), ErrSwarm},
		{"another swarm's name below our authority", s.guest.id, epoch,
			Chain{seal1(s.authority, &Grant{other.Swarm, s.guest.id, Member, epoch, epoch.Add(day)})}, ErrSwarm},
		{"someone else's credential", mallory.id, epoch, s.memberChain, ErrPeer},
		{"someone else's provisional credential", mallory.id, epoch.Add(time.Hour), s.provisional, ErrPeer},
		{"broken chain: a link left out", s.member.id, epoch, s.memberChain[1:], ErrSwarm},
		{"broken chain: signature", s.member.id, epoch, flip(s.memberChain, 1, len(s.memberChain[1])-1), ErrChain},
		{"broken chain: payload", s.member.id, epoch, flip(s.founderChain, 0, 120), ErrChain},
		{"broken chain: a stranger's link", mallory.id, epoch,
			append(slices.Clone(s.founderChain), seal1(mallory, &Grant{s.authority.id, mallory.id, Member, epoch, epoch.Add(day)})), ErrChain},
		{"back-dated by a leaked invite after its end", mallory.id, epoch.Add(7*day + time.Second),
			chain(Mint(epoch, s.inviteChain, s.invite.seed, mallory.id)), ErrExpired},
		{"the invite's link as a membership", s.invite.id, epoch, s.inviteChain, ErrChain},
		{"an invite's key that grants", mallory.id, epoch,
			append(slices.Clone(s.inviteChain), seal1(s.invite, &Grant{s.authority.id, mallory.id, Member, epoch, epoch.Add(year)})), ErrChain},
		{"a provisional link without an invite", s.guest.id, epoch,
			append(slices.Clone(s.founderChain), must[[]byte](t)(seal(s.founder.key, &Provisional{s.authority.id, s.guest.id, epoch}))), ErrChain},
		{"a provisional member that grants", mallory.id, epoch.Add(time.Hour),
			append(slices.Clone(s.provisional), seal1(s.guest, &Grant{s.authority.id, mallory.id, Member, epoch, epoch.Add(day)})), ErrChain},
		{"role raised by a plain member", mallory.id, epoch, chain(rogue.Grant(epoch, mallory.id, Member, 0)), ErrRole},
		{"role raised by an inviter", mallory.id, epoch,
			append(slices.Clone(inviterChain), seal1(inviter, &Grant{s.authority.id, mallory.id, Member | Revoker, epoch, epoch.Add(day)})), ErrRole},
		{"role raised in the bytes", s.founder.id, epoch, flip(s.founderChain, 0, 43+36+4+2), ErrChain},
		{"outlives its inviter", s.guest.id, epoch.Add(2 * day),
			append(chain(s.root.Grant(epoch, s.founder.id, AllRoles, day)),
				seal1(s.founder, &Grant{s.authority.id, s.guest.id, Member, epoch, epoch.Add(year)})), ErrExpired},
		{"too many links", s.guest.id, epoch, make(Chain, MaxChain+1), ErrTooLarge},
		{"oversized link", s.guest.id, epoch, Chain{make([]byte, MaxLink+1)}, ErrTooLarge},
		{"noise", s.guest.id, epoch, Chain{{1, 2, 3}}, ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m, err := Check(c.at, s.authority.id, c.p, c.chain, nil)
			if !errors.Is(err, c.want) {
				t.Errorf("got %+v, %v; want %v", m, err, c.want)
			}
		})
	}
	t.Run("who may not, does not", func(t *testing.T) {
		t.Parallel()
		if _, err := plain.Grant(epoch, mallory.id, Member, 0); !errors.Is(err, ErrRole) {
			t.Errorf("a plain member grants: %v", err)
		}
		if _, err := plain.Invite(epoch, mallory.seed, Member, day, 1); !errors.Is(err, ErrRole) {
			t.Errorf("a plain member invites: %v", err)
		}
	})
}

func TestRevokedChain(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	at := epoch.Add(time.Hour)
	countersigned := must[Chain](t)(s.first.Grant(at, s.guest.id, Member|Publisher, 0))
	for _, c := range []struct {
		name    string
		revoked peer.ID
		p       peer.ID
		chain   Chain
		want    error
	}{
		{"the member", s.member.id, s.member.id, s.memberChain, ErrRevoked},
		{"its inviter", s.founder.id, s.member.id, s.memberChain, ErrRevoked},
		{"the invite", s.invite.id, s.guest.id, s.provisional, ErrRevoked},
		{"the invite of a countersigned member", s.invite.id, s.guest.id, countersigned, nil},
		{"somebody else", s.guest.id, s.member.id, s.memberChain, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Check(at, s.authority.id, c.p, c.chain, func(id peer.ID) bool { return id == c.revoked })
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// A member's chain never outlives what it hangs on, and is as deep as MaxGrants.
func TestDepthAndLife(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	issuer := s.first
	for i := len(issuer.Chain); ; i++ {
		next := person(t, string(rune('a'+i)))
		chain, err := issuer.Grant(epoch, next.id, AllRoles, 20*year)
		if i == MaxGrants {
			if !errors.Is(err, ErrRole) {
				t.Fatalf("a chain of %d grants: %v", i+1, err)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		m := must[Membership](t)(Check(epoch, s.authority.id, next.id, chain, nil))
		if !m.NotAfter.Equal(epoch.Add(Founder)) {
			t.Errorf("ends %v, its inviter %v", m.NotAfter, epoch.Add(Founder))
		}
		issuer = Of(next.key, chain, m)
	}
}

// The end of a membership is the earliest of its chain, whatever its own link says.
func TestEarliestEnd(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	chain := must[Chain](t)(s.root.Grant(epoch, s.founder.id, AllRoles, day))
	chain = append(chain, must[[]byte](t)(seal(s.founder.key, &Grant{s.authority.id, s.guest.id, Member, epoch, epoch.Add(year)})))
	m := must[Membership](t)(Check(epoch, s.authority.id, s.guest.id, chain, nil))
	if !m.NotAfter.Equal(epoch.Add(day)) {
		t.Errorf("ends %v, its inviter %v", m.NotAfter, epoch.Add(day))
	}
}

// A payload has one encoding.
func TestOneEncoding(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	b, err := (&Grant{s.authority.id, s.guest.id, Member, epoch, epoch.Add(day)}).MarshalRecord()
	if err != nil {
		t.Fatal(err)
	}
	if err := new(Grant).UnmarshalRecord(b); err != nil {
		t.Fatal(err)
	}
	n := 2 + len(s.authority.id)
	for name, b := range map[string][]byte{
		"order":        append(append(bytes.Clone(b[n:2*n]), b[:n]...), b[2*n:]...),
		"twice":        append(bytes.Clone(b), b[2*n:]...),
		"zero":         append(bytes.Clone(b), 0x30, 0),
		"long number":  append(append(bytes.Clone(b[:2*n]), 0x18, 0x81, 0), b[2*n+2:]...),
		"unknown":      append(bytes.Clone(b), 0x38, 1),
		"wrong kind":   append([]byte{0x08, 1}, b[n:]...),
		"fixed number": append(bytes.Clone(b), 0x3d, 1, 2, 3, 4),
	} {
		if err := new(Grant).UnmarshalRecord(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRenewAt(t *testing.T) {
	t.Parallel()
	m := Membership{NotBefore: epoch, NotAfter: epoch.Add(300 * day)}
	if got, want := m.RenewAt(), epoch.Add(200*day); !got.Equal(want) {
		t.Errorf("renew at %v, want %v", got, want)
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Role{
		"": Member, "member": Member, "cache, relay": Member | Cache | Relay, AllRoles.String(): AllRoles,
	} {
		got, err := ParseRoles(in)
		if err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", in, got, err, want)
		}
	}
	if _, err := ParseRoles("member,king"); err == nil {
		t.Error("king is a role")
	}
}

// The chain as bytes: both ways, and what is too large or not canonical is refused.
func TestChainBytes(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	b := AppendChain(nil, s.provisional)
	got := must[Chain](t)(ParseChain(b))
	if !slices.EqualFunc(got, s.provisional, bytes.Equal) {
		t.Error("the chain has changed")
	}
	for name, b := range map[string][]byte{
		"cut": b[:len(b)-1], "empty link": {0x0a, 0}, "another field": append(bytes.Clone(b), 0x10, 1),
		"long length": append([]byte{0x0a, 0x81, 0}, 7), "too large": make([]byte, MaxBytes+1),
	} {
		if c, err := ParseChain(b); err == nil {
			t.Errorf("%s: parsed as %d links", name, len(c))
		}
	}
	if m := len(AppendChain(nil, Chain{make([]byte, MaxLink), make([]byte, MaxLink), make([]byte, MaxLink), make([]byte, MaxLink), make([]byte, MaxLink)})); m > MaxBytes {
		t.Errorf("a chain takes up to %d bytes, MaxBytes is %d", m, MaxBytes)
	}
}
