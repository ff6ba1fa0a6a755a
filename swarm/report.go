package swarm

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// Defaults of an invite.
const (
	InviteLife = 7 * 24 * time.Hour
	InviteUses = 10
)

// Status is the swarm as this node sees it.
type Status struct {
	Name       string
	ID         peer.ID
	Membership membership.Membership // zero with Err
	Err        error                 // why the own membership does not count
	Sequence   uint64                // of the newest list of revocations; 0 for none
	Revoked    int                   // names on it
	Connected  int                   // members
	Pending    int                   // connected and not admitted
	Warnings   []string              // what an operator should act on
	Authority  string                // path of the authority's key if this node made the swarm
	Invites    []Invite              // that were made or counted here and have not ended, the next to end first
}

// Invite is the count of an invite.
type Invite struct {
	ID      string // of its key
	Roles   membership.Role
	Expires time.Time
	Uses    uint64
	Used    int
	Revoked bool
}

// Member is one that this node has met, or itself.
type Member struct {
	ID          peer.ID
	Roles       membership.Role
	Expires     time.Time
	Seen        time.Time // zero for this node
	Provisional bool
	Revoked     bool
	Connected   bool
	Self        bool
	By          peer.ID // the inviter that brought it in, as far as was seen here; "" if the authority did
}

// Invite makes an invite and returns its string. roles are Member if zero, life
// and uses the defaults. addrs, each with /p2p/ID, are where this node is
// reached; those last told if there are none.
func (s *Swarm) Invite(roles membership.Role, life time.Duration, uses uint64, addrs []ma.Multiaddr) (string, error) {
	if life <= 0 {
		life = InviteLife
	}
	if uses == 0 {
		uses = InviteUses
	}
	now := time.Now()
	var seed [membership.SeedSize]byte
	_, _ = rand.Read(seed[:]) // never fails
	s.mu.Lock()
	defer s.mu.Unlock()
	by, err := s.inviter(now)
	if err != nil {
		return "", fmt.Errorf("invite: %w", err)
	}
	chain, err := by.Invite(now, seed, roles|membership.Member, life, uses)
	if err != nil {
		return "", fmt.Errorf("invite: %w", err)
	}
	in, err := membership.CheckInvite(now, chain, s.reg.Has)
	if err != nil {
		return "", fmt.Errorf("invite: %w", err)
	}
	st := s.st.invite(in.Key, now)
	if st == nil {
		return "", fmt.Errorf("invite: %d invites are open here; wait for one to end", maxInvites)
	}
	*st = inviteState{Roles: uint32(in.Roles), Expires: in.NotAfter, Uses: uses, Made: true}
	t := membership.Token{Name: s.name, Addrs: s.reach(addrs), Chain: chain, Seed: seed}
	if err := s.save(true); err != nil {
		return "", err
	}
	return t.String(), nil
}

// inviter is who signs invites here. mu is held.
func (s *Swarm) inviter(now time.Time) (membership.Issuer, error) {
	if err := s.judgeSelf(now); err != nil {
		return membership.Issuer{}, fmt.Errorf("own membership: %w", err)
	}
	if s.me.Provisional() {
		return membership.Issuer{}, fmt.Errorf("%w: this node's membership is provisional until an inviter has met it", membership.ErrRole)
	}
	return membership.Of(s.cfg.Key, s.chain, s.me), nil
}

// reach picks the addresses for an invite: own ones, remembered for later, or
// those remembered, or else those that this node joined through. mu is held.
func (s *Swarm) reach(own []ma.Multiaddr) []ma.Multiaddr {
	if len(own) > 0 {
		s.st.Told = nil
		for _, a := range own {
			s.st.Told = append(s.st.Told, a.String())
		}
	}
	out := make([]ma.Multiaddr, 0, membership.MaxAddrs)
	for _, text := range append(slices.Clone(s.st.Told), s.st.Addrs...) {
		a, err := ma.NewMultiaddr(text)
		if err == nil && len(out) < membership.MaxAddrs && len(a.Bytes()) <= membership.MaxAddr {
			out = append(out, a)
		}
	}
	return out
}

// Told remembers where this node is reached, for invites made while none runs.
func (s *Swarm) Told(addrs []ma.Multiaddr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reach(addrs)
	s.dirty = true
}

// Reaches reports whether an invite made now would name an address.
func (s *Swarm) Reaches() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.st.Told)+len(s.st.Addrs) > 0
}

// Members lists whom this node has met, itself first, then by ID.
func (s *Swarm) Members() []Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Member
	for text, m := range s.st.Members {
		id, err := peer.Decode(text)
		if err != nil {
			continue
		}
		c := s.peers[id]
		out = append(out, Member{
			ID: id, Roles: membership.Role(m.Roles), Expires: m.Expires, Seen: m.Seen, Provisional: m.Provisional,
			Revoked: s.reg.Has(id), Connected: c != nil && c.in && c.welcomed, By: m.By,
		})
	}
	slices.SortFunc(out, func(a, b Member) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	self := Member{ID: s.self, Roles: s.me.Roles, Expires: s.me.NotAfter, Provisional: s.me.Provisional(), Revoked: s.reg.Has(s.self), Self: true}
	if n := len(s.me.By); n > 0 {
		self.By = s.me.By[n-1]
	}
	return append([]Member{self}, out...)
}

// Status describes the swarm.
func (s *Swarm) Status() Status {
	now := time.Now()
	pending := s.pending()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.judgeSelf(now)
	st := Status{
		Name: s.name, ID: s.id, Membership: s.me, Err: err, Sequence: s.reg.Sequence(), Revoked: len(s.reg.Names()),
		Pending: pending, Authority: s.st.Authority,
	}
	for _, c := range s.peers {
		if c.in && c.welcomed {
			st.Connected++
		}
	}
	st.Warnings = s.warnings(now, err)
	for id, in := range s.st.Invites {
		key, err := peer.Decode(id)
		if err == nil && now.Before(in.Expires) {
			st.Invites = append(st.Invites, Invite{id, membership.Role(in.Roles), in.Expires, in.Uses, len(in.Used), s.reg.Has(key)})
		}
	}
	slices.SortFunc(st.Invites, func(a, b Invite) int {
		return cmp.Or(a.Expires.Compare(b.Expires), strings.Compare(a.ID, b.ID))
	})
	return st
}

// warnings are what an operator should act on. mu is held.
func (s *Swarm) warnings(now time.Time, err error) []string {
	left := s.me.NotAfter.Sub(now)
	switch {
	case errors.Is(err, membership.ErrRevoked):
		return []string{"this node was revoked: no member admits it. To come back it needs a new identity and an invite: another --dir"}
	case err != nil:
		return []string{fmt.Sprintf("the membership does not count: %v. Ask for an invite, then: shoal swarm join INVITE", err)}
	case s.me.Provisional():
		return []string{fmt.Sprintf("the membership is provisional until a member that may invite was met; without that it ends on %s", s.me.NotAfter.Format(time.DateTime))}
	case left < membership.Warning:
		return []string{fmt.Sprintf("the membership ends on %s, in %d days: connect to a member with the role inviter, which renews it", s.me.NotAfter.Format(time.DateOnly), int(left.Hours()/24))}
	}
	return nil
}
