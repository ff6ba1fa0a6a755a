package membership

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestRegister(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	at := epoch.Add(time.Hour)
	ours, theirs := &Register{Swarm: s.authority.id}, &Register{Swarm: s.authority.id}
	revoke := func(r *Register, by Issuer, id peer.ID) []byte {
		t.Helper()
		at = at.Add(time.Second)
		if err := r.Revoke(at, by, id); err != nil {
			t.Fatal(err)
		}
		return r.Raw()
	}
	first := revoke(ours, s.first, s.member.id)
	second := revoke(ours, s.root, s.invite.id)
	if !ours.Has(s.member.id) || !ours.Has(s.invite.id) || ours.Sequence() != 2 {
		t.Fatalf("revoked are %v, sequence %d", ours.Names(), ours.Sequence())
	}
	if changed, err := theirs.Offer(at, second); err != nil || !changed {
		t.Fatalf("a new list: %v, %v", changed, err)
	}
	if !slices.Equal(ours.Names(), theirs.Names()) || ours.Digest() != theirs.Digest() {
		t.Error("registers differ")
	}
	if changed, err := theirs.Offer(at, second); err != nil || changed {
		t.Errorf("the same list again: %v, %v", changed, err)
	}
	if _, err := theirs.Offer(at, first); !errors.Is(err, ErrStale) {
		t.Errorf("an older list: %v", err)
	}
	// What was saved still refuses the older list.
	back := &Register{Swarm: s.authority.id}
	if err := back.Restore(at, theirs.Raw(), theirs.Names()); err != nil {
		t.Fatal(err)
	}
	if _, err := back.Offer(at, first); !errors.Is(err, ErrStale) {
		t.Errorf("an older list after a restart: %v", err)
	}
}

// Two revokers that do not know of each other make lists of one number: both
// count everywhere, and the next list names all.
func TestTwoRevokers(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	at := epoch.Add(time.Hour)
	a, b, c := &Register{Swarm: s.authority.id}, &Register{Swarm: s.authority.id}, &Register{Swarm: s.authority.id}
	if err := errors.Join(a.Revoke(at, s.first, s.member.id), b.Revoke(at, s.root, s.guest.id)); err != nil {
		t.Fatal(err)
	}
	for _, raw := range [][]byte{a.Raw(), b.Raw()} {
		for _, r := range []*Register{a, b, c} {
			if _, err := r.Offer(at, raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, r := range []*Register{a, b, c} {
		if !r.Has(s.member.id) || !r.Has(s.guest.id) || !r.Incomplete() || r.Digest() != c.Digest() {
			t.Errorf("revoked are %v, incomplete %v", r.Names(), r.Incomplete())
		}
	}
	if err := a.Revoke(at, s.first); err != nil {
		t.Fatal(err)
	}
	if a.Incomplete() || a.Sequence() != 2 {
		t.Errorf("sequence %d, incomplete %v", a.Sequence(), a.Incomplete())
	}
}

func TestListAttacks(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	at := epoch.Add(time.Hour)
	sign := func(by Issuer, l List) []byte {
		return appendList(by.Chain, must[[]byte](t)(seal(by.Key, &l)))
	}
	list := func(change func(*List)) List {
		l := List{Swarm: s.authority.id, Sequence: 1, Issued: at, Revoked: []peer.ID{s.guest.id}}
		change(&l)
		return l
	}
	same := func(*List) {}
	member := Of(s.member.key, s.memberChain, Membership{Swarm: s.authority.id})
	guest := Of(s.guest.key, s.provisional, Membership{Swarm: s.authority.id})
	stranger := Issuer{Key: person(t, "mallory").key}
	asRevoker := must[Chain](t)(s.first.Invite(epoch, s.invite.seed, Revoker, day, 1))
	invited := Issuer{Key: s.guest.key, Chain: must[Chain](t)(Mint(epoch, asRevoker, s.invite.seed, s.guest.id))}
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"authority", sign(s.root, list(same)), nil},
		{"revoker", sign(s.first, list(same)), nil},
		{"plain member", sign(member, list(same)), ErrRole},
		{"provisional member", sign(guest, list(same)), ErrRole},
		{"provisional revoker", sign(invited, list(same)), ErrRole},
		{"stranger", sign(stranger, list(same)), ErrNone},
		{"another's chain", sign(Issuer{Key: stranger.Key, Chain: s.founderChain}, list(same)), ErrPeer},
		{"wrong swarm", sign(s.root, list(func(l *List) { l.Swarm = s.guest.id })), ErrSwarm},
		{"from the future", sign(s.root, list(func(l *List) { l.Issued = at.Add(ClockSkew + time.Second) })), ErrNotYet},
		{"number used up", sign(s.root, list(func(l *List) { l.Sequence = uint64(at.Unix()) + 1 })), ErrMalformed},
		{"number of the authority", sign(s.first, list(func(l *List) { l.Sequence = uint64(at.Add(-RevokerLag).Unix()) + 1 })), ErrMalformed},
		{"no number", sign(s.root, list(func(l *List) { l.Sequence = 0 })), ErrMalformed},
		{"not sorted", sign(s.root, list(func(l *List) { l.Revoked = []peer.ID{s.guest.id, s.guest.id} })), ErrMalformed},
		{"a grant as a list", appendList(nil, s.founderChain[0]), ErrMalformed},
		{"a field that no signature covers", appendList(s.first.Chain, padded(must[[]byte](t)(seal(s.first.Key, ptr(list(same)))))), ErrMalformed},
		{"the same in the chain", appendList(Chain{padded(s.founderChain[0])}, must[[]byte](t)(seal(s.first.Key, ptr(list(same))))), ErrMalformed},
		{"oversized", make([]byte, MaxList+1), ErrTooLarge},
		{"empty", nil, ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := &Register{Swarm: s.authority.id}
			if _, err := r.Offer(at, c.b); !errors.Is(err, c.want) || (c.want == nil) != r.Has(s.guest.id) {
				t.Errorf("got %v, %v; want %v", r.Names(), err, c.want)
			}
		})
	}
	t.Run("own end", func(t *testing.T) {
		t.Parallel()
		r := &Register{Swarm: s.authority.id}
		if _, err := r.Offer(epoch.Add(Founder+year), sign(s.first, list(same))); err != nil {
			t.Errorf("a list ends with its signer: %v", err)
		}
	})
	t.Run("revoked revoker", func(t *testing.T) {
		t.Parallel()
		r := &Register{Swarm: s.authority.id}
		if err := r.Revoke(at, s.root, s.founder.id); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Offer(at, sign(s.first, list(func(l *List) { l.Sequence = 9 }))); !errors.Is(err, ErrRevoked) {
			t.Errorf("a revoked member revokes: %v", err)
		}
	})
	t.Run("the authority", func(t *testing.T) {
		t.Parallel()
		r := &Register{Swarm: s.authority.id}
		if err := r.Revoke(at, s.first, s.authority.id); !errors.Is(err, ErrRole) {
			t.Errorf("got %v", err)
		}
		if err := r.Revoke(at, member, s.guest.id); !errors.Is(err, ErrRole) {
			t.Errorf("a plain member revokes: %v", err)
		}
	})
}

// The largest list fits what MaxList says.
func TestMaxList(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	r := &Register{Swarm: s.authority.id}
	ids := make([]peer.ID, MaxRevoked)
	for i := range ids {
		b := []byte(s.guest.id)
		b[20], b[21] = byte(i), byte(i>>8)
		ids[i] = peer.ID(b)
	}
	if err := r.Revoke(epoch, s.first, ids...); err != nil {
		t.Fatal(err)
	}
	if len(r.Names()) != MaxRevoked {
		t.Errorf("%d are revoked", len(r.Names()))
	}
	if err := r.Revoke(epoch.Add(time.Second), s.first, s.guest.id); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one more: %v", err)
	}
}

func ptr[T any](v T) *T { return &v }

// padded adds a field to an envelope that libp2p skips.
func padded(envelope []byte) []byte {
	return append(slices.Clone(envelope), 15<<3|2, 1, 'x')
}

// A list comes with any chain of its signer: it stays one list, which is kept and
// passed on once.
func TestListWithAnotherChain(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	l := List{Swarm: s.authority.id, Sequence: 1, Issued: epoch, Revoked: []peer.ID{s.guest.id}}
	env := must[[]byte](t)(seal(s.founder.key, &l))
	other := must[Chain](t)(s.root.Grant(epoch, s.founder.id, Member|Revoker, day))
	for range 2 { // whichever comes first
		r := &Register{Swarm: s.authority.id}
		if changed, err := r.Offer(epoch, appendList(s.founderChain, env)); err != nil || !changed {
			t.Fatalf("a new list: %v, %v", changed, err)
		}
		if changed, err := r.Offer(epoch, appendList(other, env)); err != nil || changed {
			t.Errorf("the same list by another chain: %v, %v", changed, err)
		}
		other, s.founderChain = s.founderChain, other
	}
}

// A revoked revoker that uses the numbers up, to a member that has not heard of
// its end, is no obstacle: the list that revokes it takes its list's place.
func TestRevokedRevokersNumber(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	at := epoch.Add(time.Hour)
	member := must[Chain](t)(s.root.Grant(epoch, s.member.id, Member|Revoker, year))
	l := List{Swarm: s.authority.id, Sequence: uint64(at.Add(-RevokerLag).Unix()), Issued: at, Revoked: []peer.ID{s.guest.id}}
	high := appendList(member, must[[]byte](t)(seal(s.member.key, &l)))
	knows, late := &Register{Swarm: s.authority.id}, &Register{Swarm: s.authority.id}
	if err := knows.Revoke(at, s.first, s.member.id); err != nil {
		t.Fatal(err)
	}
	if _, err := late.Offer(at, high); err != nil {
		t.Fatal(err)
	}
	if _, err := knows.Offer(at, high); !errors.Is(err, ErrRevoked) {
		t.Errorf("whoever knows takes the list: %v", err)
	}
	if changed, err := late.Offer(at, knows.Raw()); err != nil || !changed {
		t.Errorf("the lower number: %v, %v", changed, err)
	}
	if late.Digest() != knows.Digest() || !late.Has(s.member.id) || !late.Has(s.guest.id) {
		t.Errorf("sequence %d, revoked are %v", late.Sequence(), late.Names())
	}
	// While it is a revoker the authority has a higher number, others have not.
	other := &Register{Swarm: s.authority.id}
	if _, err := other.Offer(at, high); err != nil {
		t.Fatal(err)
	}
	if err := other.Revoke(at.Add(-time.Minute), s.first, s.invite.id); !errors.Is(err, ErrNotYet) {
		t.Errorf("another revoker, whose clock is behind: %v", err)
	}
	if err := other.Revoke(at.Add(-time.Minute), s.root, s.invite.id); err != nil || other.Sequence() != l.Sequence+1 {
		t.Errorf("the authority: list %d, %v", other.Sequence(), err)
	}
	// Who revokes it needs no number beyond its own.
	again := &Register{Swarm: s.authority.id}
	if _, err := again.Offer(at, high); err != nil {
		t.Fatal(err)
	}
	if err := again.Revoke(at, s.first, s.member.id); err != nil {
		t.Errorf("revoke it where its list is the newest: %v", err)
	}
	if !again.Has(s.member.id) || again.Incomplete() {
		t.Errorf("sequence %d, revoked are %v", again.Sequence(), again.Names())
	}
}
