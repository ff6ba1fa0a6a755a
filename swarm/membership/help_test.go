package membership

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// who is a key that is always the same for a name.
type who struct {
	seed [SeedSize]byte
	key  crypto.PrivKey
	id   peer.ID
}

func person(t testing.TB, name string) who {
	t.Helper()
	w := who{seed: sha256.Sum256([]byte("membership test: " + name))}
	var err error
	if w.key, w.id, err = KeyFromSeed(w.seed); err != nil {
		t.Fatal(err)
	}
	return w
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// swarm is a small swarm: an authority, the founder with all roles, a member
// that the founder brought in, and an invite of the founder's that ends after a week.
type swarm struct {
	authority, founder, member, guest, invite who

	root, first                            Issuer
	founderChain, memberChain, inviteChain Chain
	provisional                            Chain
}

func newSwarm(t testing.TB) swarm {
	t.Helper()
	chain := must[Chain](t)
	s := swarm{
		authority: person(t, "authority"), founder: person(t, "founder"), member: person(t, "member"),
		guest: person(t, "guest"), invite: person(t, "invite"),
	}
	s.root = must[Issuer](t)(Authority(s.authority.key))
	s.founderChain = chain(s.root.Grant(epoch, s.founder.id, AllRoles, Founder))
	m := must[Membership](t)(Check(epoch, s.authority.id, s.founder.id, s.founderChain, nil))
	s.first = Of(s.founder.key, s.founderChain, m)
	s.memberChain = chain(s.first.Grant(epoch, s.member.id, Member|Cache, 0))
	s.inviteChain = chain(s.first.Invite(epoch, s.invite.seed, Member|Publisher, 7*day, 10))
	s.provisional = chain(Mint(epoch.Add(time.Hour), s.inviteChain, s.invite.seed, s.guest.id))
	return s
}
