package membership

import (
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Limits of a chain.
const (
	MaxGrants = 4                         // of which the last names the member
	MaxChain  = MaxGrants + 1             // links: three grants, an invite and a provisional one
	MaxBytes  = MaxChain * (MaxLink + 4)  // of an encoded chain
	ClockSkew = 5 * time.Minute           // by which a link's first second may lie ahead of our clock
	Lifetime  = 365 * 24 * time.Hour      // of a countersigned membership, unless the signer's own ends before
	Founder   = 10 * 365 * 24 * time.Hour // of a membership that the authority signs, so that losing its key is no end
	Warning   = 14 * 24 * time.Hour       // before its end a membership is worth a warning
)

// Chain is the links from the authority to a peer or an invite, each an envelope.
type Chain [][]byte

// Membership is what a chain proves.
type Membership struct {
	Swarm, Peer peer.ID
	Roles       Role
	NotBefore   time.Time // of the last link
	NotAfter    time.Time // the earliest of all links
	Invite      peer.ID   // whose key vouches; "" when countersigned
	Uses        uint64    // that the invite has; 0 when countersigned
	By          []peer.ID // inviters between the authority and the peer, the authority left out
}

// Provisional reports whether m stands on an invite alone.
func (m Membership) Provisional() bool { return m.Invite != "" }

// RenewAt is when two thirds of m's life have passed: from then on a member that
// may invite countersigns it anew.
func (m Membership) RenewAt() time.Time {
	return m.NotBefore.Add(m.NotAfter.Sub(m.NotBefore) / 3 * 2)
}

// walker follows a chain link by link.
type walker struct {
	now     time.Time
	swarm   peer.ID
	revoked func(peer.ID) bool

	holder peer.ID // who may sign the next link
	roles  Role    // of holder
	last   string  // payload type of the last link
	m      Membership
	invite Invite
}

// Check says what chain proves about p at now in a swarm. revoked tells which
// peers and invites are revoked; nil for none. An error wraps one of this
// package's.
func Check(now time.Time, swarm, p peer.ID, chain Chain, revoked func(peer.ID) bool) (Membership, error) {
	w, err := walk(now, swarm, chain, revoked)
	switch {
	case err != nil:
		return Membership{}, err
	case w.last == inviteType:
		return Membership{}, fmt.Errorf("%w: an invite is not a membership", ErrChain)
	case w.m.Peer != p:
		return Membership{}, fmt.Errorf("%w: it names %v", ErrPeer, w.m.Peer)
	}
	return w.m, nil
}

// CheckInvite says what an invite's chain offers at now. The swarm is the one
// whose authority signed the first link.
func CheckInvite(now time.Time, chain Chain, revoked func(peer.ID) bool) (Invite, error) {
	if len(chain) == 0 {
		return Invite{}, ErrNone
	}
	swarm, _, err := signerOf(chain[0])
	if err != nil {
		return Invite{}, err
	}
	w, err := walk(now, swarm, chain, revoked)
	if err == nil && w.last != inviteType {
		err = fmt.Errorf("%w: it does not end with an invite", ErrChain)
	}
	if err != nil {
		return Invite{}, err
	}
	w.invite.NotAfter = w.m.NotAfter
	return w.invite, nil
}

func walk(now time.Time, swarm peer.ID, chain Chain, revoked func(peer.ID) bool) (*walker, error) {
	switch {
	case len(chain) == 0:
		return nil, ErrNone
	case len(chain) > MaxChain:
		return nil, fmt.Errorf("%w: a chain of %d links", ErrTooLarge, len(chain))
	}
	w := &walker{now: now, swarm: swarm, revoked: revoked, holder: swarm, roles: AllRoles}
	for i, link := range chain {
		if err := w.step(link); err != nil {
			return nil, fmt.Errorf("link %d: %w", i+1, err)
		}
	}
	return w, nil
}

// step takes one link: cheap refusals first, the signature after them.
func (w *walker) step(link []byte) error {
	if len(link) > MaxLink {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(link))
	}
	signer, kind, err := signerOf(link)
	if err != nil {
		return err
	}
	if signer != w.holder {
		if w.last == "" {
			return fmt.Errorf("%w: signed by %v", ErrSwarm, signer)
		}
		return fmt.Errorf("%w: signed by %v, not by %v", ErrChain, signer, w.holder)
	}
	provisional := kind == provisionalType
	if w.last == provisionalType || provisional != (w.last == inviteType) {
		return fmt.Errorf("%w: a %s after a %s", ErrChain, kind, w.last)
	}
	switch kind {
	case grantType:
		var g Grant
		if err := open(link, &g); err != nil {
			return err
		}
		return w.granted(kind, Invite{g.Swarm, g.Subject, g.Roles, g.NotBefore, g.NotAfter, 0})
	case inviteType:
		var i Invite
		if err := open(link, &i); err != nil {
			return err
		}
		w.invite = i
		return w.granted(kind, i)
	case provisionalType:
		var p Provisional
		if err := open(link, &p); err != nil {
			return err
		}
		// The invite's end is the end, whatever date the link bears.
		return w.take(kind, Invite{p.Swarm, p.Subject, w.roles, p.Issued, w.m.NotAfter, 0})
	}
	return fmt.Errorf("%w: payload type %q", ErrMalformed, kind)
}

// granted takes a link that only an inviter may sign, and no wider than its own.
func (w *walker) granted(kind string, g Invite) error {
	if !w.roles.Has(Inviter) || !w.roles.Has(g.Roles) {
		return fmt.Errorf("%w: %v has %v and grants %v", ErrRole, w.holder, w.roles, g.Roles)
	}
	return w.take(kind, g)
}

// take moves on to the subject of a link.
func (w *walker) take(kind string, g Invite) error {
	switch {
	case g.Swarm != w.swarm:
		return fmt.Errorf("%w: %v", ErrSwarm, g.Swarm)
	case w.now.Add(ClockSkew).Before(g.NotBefore):
		return fmt.Errorf("%w before %s", ErrNotYet, g.NotBefore.Format(time.RFC3339))
	case w.now.After(g.NotAfter):
		return fmt.Errorf("%w on %s", ErrExpired, g.NotAfter.Format(time.RFC3339))
	case w.revoked != nil && w.revoked(g.Key):
		return fmt.Errorf("%w: %v", ErrRevoked, g.Key)
	}
	switch {
	case w.last == inviteType:
		w.m.Invite, w.m.Uses = w.holder, w.invite.Uses
	case w.last == grantType:
		w.m.By = append(w.m.By, w.holder)
	}
	end := g.NotAfter
	if w.last != "" && w.m.NotAfter.Before(end) {
		end = w.m.NotAfter
	}
	w.m.Swarm, w.m.Peer, w.m.Roles, w.m.NotBefore, w.m.NotAfter = g.Swarm, g.Key, g.Roles, g.NotBefore, end
	w.holder, w.roles, w.last = g.Key, g.Roles, kind
	return nil
}

// AppendChain appends the encoding of c: each link as field 1.
func AppendChain(b []byte, c Chain) []byte {
	e := enc(b)
	e.list(1, c)
	return e
}

// ParseChain reads what AppendChain wrote. It verifies no signature; the links
// do not alias b.
func ParseChain(b []byte) (Chain, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: a chain of %d bytes", ErrTooLarge, len(b))
	}
	var c Chain
	err := decode(b, func(f field) error {
		if f.n != 1 || len(c) == MaxChain || len(f.bytes) == 0 || len(f.bytes) > MaxLink {
			return fmt.Errorf("%w: link %d", ErrMalformed, len(c)+1)
		}
		c = append(c, slices.Clone(f.bytes))
		return nil
	})
	if err == nil {
		err = canonical(b, AppendChain(nil, c))
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}
