package swarm

import (
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// judge says whether a peer's chain admits it, and makes it a better one if it is
// provisional or due and this node may.
func (s *Swarm) judge(p peer.ID, chain membership.Chain) (membership.Membership, membership.Chain, error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.check(now, p, chain)
	if err != nil {
		return m, nil, err
	}
	if !s.mayIssue(m.Roles) || !m.Provisional() && now.Before(m.RenewAt()) {
		return m, nil, nil
	}
	if m.Provisional() {
		if err := s.count(now, p, m); err != nil {
			return m, nil, err
		}
	}
	s.remember(p, m) // who brought it in, before it is us who vouch
	better, err := membership.Of(s.cfg.Key, s.chain, s.me).Grant(now, p, m.Roles, s.cfg.life)
	if err != nil {
		s.log.Debug("not countersigned", "peer", p, "err", err)
		return m, nil, nil // another inviter may
	}
	counts, err := membership.Check(now, s.id, p, better, s.reg.Has)
	if err != nil || !m.Provisional() && !counts.NotAfter.After(m.NotAfter) {
		return m, nil, nil
	}
	return counts, better, nil
}

// examine is check on its own, before anything else is made of a peer.
func (s *Swarm) examine(p peer.ID, chain membership.Chain) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.check(time.Now(), p, chain)
	return err
}

// check says whether a peer's chain admits it, and changes nothing. mu is held.
func (s *Swarm) check(now time.Time, p peer.ID, chain membership.Chain) (membership.Membership, error) {
	return membership.Check(now, s.id, p, chain, func(id peer.ID) bool {
		if in := s.st.Invites[id.String()]; in != nil && in.UsedUp && slices.Contains(in.Used, p) {
			return false // it was counted; the answer got lost
		}
		return s.reg.Has(id)
	})
}

// mayIssue reports whether this node can countersign roles. mu is held.
func (s *Swarm) mayIssue(roles membership.Role) bool {
	return s.me.Roles.Has(membership.Inviter) && s.me.Roles.Has(roles) && !s.me.Provisional() &&
		len(s.chain) < membership.MaxGrants && s.me.NotAfter.After(time.Now())
}

// count uses an invite up by one for a new peer. The first that comes beyond its
// uses is refused, and ends the invite for the whole swarm if this node may
// revoke. mu is held.
func (s *Swarm) count(now time.Time, p peer.ID, m membership.Membership) error {
	in := s.st.invite(m.Invite, now)
	if in == nil {
		return fmt.Errorf("%w: too many invites are open here", ErrUsedUp)
	}
	if in.Uses == 0 {
		*in = inviteState{Roles: uint32(m.Roles), Expires: m.NotAfter, Uses: m.Uses}
	}
	switch {
	case slices.Contains(in.Used, p):
		return nil
	case uint64(len(in.Used)) >= in.Uses:
		if !in.UsedUp && s.me.Roles.Has(membership.Revoker) {
			in.UsedUp = true
			s.launch(func() {
				if err := s.Revoke(m.Invite); err != nil {
					s.log.Warn("a used-up invite is not revoked", "err", err)
				}
			})
		}
		return ErrUsedUp
	}
	if !s.st.mayUse(now) {
		return fmt.Errorf("%w: too many uses are counted here", ErrUsedUp)
	}
	in.Used = append(in.Used, p)
	s.saved()
	return nil
}

// mind looks now and then at what comes to its end.
func (s *Swarm) mind() {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
			s.look(time.Now())
		}
	}
}

// look renews what is due and parts from those whose membership has ended.
func (s *Swarm) look(now time.Time) {
	s.mu.Lock()
	s.renewSelf(now)
	due := s.me.Swarm != "" && (s.me.Provisional() || now.After(s.me.RenewAt()))
	var ask, gone, ended []peer.ID
	for p, c := range s.peers {
		member := c.m.Swarm != ""
		switch {
		case member && now.After(c.m.NotAfter.Add(lastGrace)):
			gone = append(gone, p)
		case member && now.After(c.m.NotAfter):
			if c.in {
				ended = append(ended, p)
			}
			c.in = false // nothing new; what runs may end
		case due && c.in && c.welcomed && c.m.Roles.Has(membership.Inviter):
			ask = append(ask, p)
		}
	}
	if s.dirty {
		s.saved()
	}
	s.warn(now)
	s.mu.Unlock()
	for _, p := range gone {
		s.drop(p, &refusedError{err: membership.ErrExpired})
		s.forget(p)
	}
	for _, p := range ended {
		s.lookAgain(p)
	}
	s.spread() // what could not be delivered
	for _, p := range ask {
		s.spawn(func() { s.again(p) })
	}
}

// warn logs what an operator should act on, once a day. mu is held.
func (s *Swarm) warn(now time.Time) {
	if now.Sub(s.warned) < warnEvery || s.me.Provisional() {
		return
	}
	_, err := membership.Check(now, s.id, s.self, s.chain, s.reg.Has)
	for _, w := range s.warnings(now, err) {
		s.warned = now
		s.log.Warn(w, "swarm", s.name)
	}
}

// renewSelf lets the authority, where its key is at hand, renew this node. mu is held.
func (s *Swarm) renewSelf(now time.Time) {
	err := s.judgeSelf(now)
	if s.st.Authority == "" || err == nil && now.Before(s.me.RenewAt()) || s.reg.Has(s.self) {
		return
	}
	i, err := s.authority()
	if err != nil || i.Swarm != s.id {
		return // kept offline; Status warns in time
	}
	chain, err := i.Grant(now, s.self, membership.AllRoles, membership.Founder)
	if err != nil {
		return
	}
	s.chain, s.dirty = chain, true
	_ = s.judgeSelf(now)
}

// again goes through another handshake with an admitted peer.
func (s *Swarm) again(p peer.ID) {
	ctx, cancel := s.within(admitTimeout)
	defer cancel()
	if err := s.begin(ctx, p); err != nil {
		s.log.Debug("no second handshake", "peer", p, "err", err)
	}
}
