package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// Revoke takes members or invites (by the ID of their key) out of the swarm, and
// tells every connected member. An error wraps membership.ErrRole when neither
// this node nor an authority's key at hand may.
func (s *Swarm) Revoke(ids ...peer.ID) error {
	now := time.Now()
	s.mu.Lock()
	by, err := s.revoker()
	if err == nil {
		err = s.reg.Revoke(now, by, ids...)
	}
	if errors.Is(err, membership.ErrNotYet) && s.st.Authority != "" {
		if by, e := s.authority(); e == nil {
			err = s.reg.Revoke(now, by, ids...)
		}
	}
	if err == nil {
		err = s.save(true)
	}
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	s.enforce(now)
	s.spread()
	return nil
}

// revoker is who signs lists here: this node, or else the authority. mu is held.
func (s *Swarm) revoker() (membership.Issuer, error) {
	if s.me.Roles.Has(membership.Revoker) && !s.me.Provisional() {
		return membership.Of(s.cfg.Key, s.chain, s.me), nil
	}
	if s.st.Authority != "" {
		return s.authority()
	}
	return membership.Issuer{}, fmt.Errorf("%w: this node has the roles %v, it needs %v", membership.ErrRole, s.me.Roles, membership.Revoker)
}

// authority signs as the swarm itself, where its key is at hand. mu is held.
func (s *Swarm) authority() (membership.Issuer, error) {
	key, err := authorityKey(s.st.Authority, false)
	if err != nil {
		return membership.Issuer{}, err
	}
	return membership.Authority(key)
}

// learn takes a list from a peer: it is kept, obeyed and passed on.
func (s *Swarm) learn(b []byte, from peer.ID) error {
	now := time.Now()
	s.mu.Lock()
	changed, err := s.reg.Offer(now, b)
	if c := s.peers[from]; c != nil && err == nil && membership.Digest(b) == s.reg.Digest() {
		c.sequence, c.digest = s.reg.Sequence(), s.reg.Digest()
	}
	if changed && s.reg.Incomplete() && s.me.Roles.Has(membership.Revoker) {
		// Two revokers did not know of each other: sign what both have said.
		if by, err := s.revoker(); err == nil {
			if err := s.reg.Revoke(now, by); err != nil {
				s.log.Warn("lists of revocations are not merged", "err", err)
			}
		}
	}
	if changed {
		s.saved()
	}
	s.mu.Unlock()
	if changed {
		s.enforce(now)
		s.spread()
	}
	return err
}

// heed is learn for lists on a stream. ignored is whether the list is of a signer
// that is revoked by what we know, so that the peer should hear of that.
func (s *Swarm) heed(b []byte, from peer.ID) (ignored bool, err error) {
	err = s.learn(b, from)
	switch {
	case errors.Is(err, membership.ErrRevoked):
		return true, nil
	case err != nil && !errors.Is(err, membership.ErrStale):
		return false, fmt.Errorf("%w: its list of revocations: %w", errProtocol, err)
	}
	return false, nil
}

// enforce disconnects whoever a list has taken out, with all whom a revoked
// inviter had let in.
func (s *Swarm) enforce(now time.Time) {
	s.mu.Lock()
	var out []peer.ID
	for p, c := range s.peers {
		if s.fallen(p, c.m) {
			out = append(out, p)
		}
	}
	if err := s.judgeSelf(now); errors.Is(err, membership.ErrRevoked) {
		s.log.Error("this node was revoked: members will refuse it", "swarm", s.name, "err", err)
	}
	s.mu.Unlock()
	for _, p := range out {
		s.drop(p, &refusedError{err: membership.ErrRevoked})
		s.forget(p)
	}
}

// forget lets the DHT look at a peer again: it is not a member any more, and
// leaves the routing table.
func (s *Swarm) forget(p peer.ID) {
	s.inner.Peerstore().ClearAddrs(p)
	s.lookAgain(p)
}

// lookAgain tells what keeps tables of peers that p may not belong there.
func (s *Swarm) lookAgain(p peer.ID) {
	if err := s.changed.Emit(event.EvtPeerProtocolsUpdated{Peer: p}); err != nil {
		s.log.Debug("nobody looks again", "peer", p, "err", err)
	}
}

// spread pushes the newest list to every admitted peer that may not have it, one
// stream each.
func (s *Swarm) spread() {
	s.mu.Lock()
	var to []peer.ID
	for p, c := range s.peers {
		if c.in && c.welcomed && !c.pushing && s.newest().newer(hello{sequence: c.sequence, digest: c.digest}) {
			c.pushing = true
			to = append(to, p)
		}
	}
	s.mu.Unlock()
	for _, p := range to {
		s.spawn(func() { s.push(p) })
	}
}

// newest tells of the newest list as a hello does. mu is held.
func (s *Swarm) newest() hello {
	return hello{sequence: s.reg.Sequence(), digest: s.reg.Digest()}
}

// push sends the newest list to a peer until it has it. A peer that cannot be
// reached learns of it at its next handshake.
func (s *Swarm) push(p peer.ID) {
	for {
		s.mu.Lock()
		c := s.peers[p]
		if c == nil {
			s.mu.Unlock()
			return
		}
		ours, list := s.newest(), s.reg.Raw()
		if !ours.newer(hello{sequence: c.sequence, digest: c.digest}) {
			c.pushing = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		err := s.send(p, list)
		s.mu.Lock()
		if err != nil {
			c.pushing = false
			s.mu.Unlock()
			s.log.Debug("list not pushed", "peer", p, "err", err)
			return
		}
		if ours.newer(hello{sequence: c.sequence, digest: c.digest}) {
			c.sequence, c.digest = ours.sequence, ours.digest
		}
		s.mu.Unlock()
	}
}

func (s *Swarm) send(p peer.ID, list []byte) error {
	ctx, cancel := s.within(pushTimeout)
	defer cancel()
	ctx = network.WithAllowLimitedConn(network.WithNoDial(ctx, "revocations"), "revocations")
	st, err := s.inner.NewStream(ctx, p, s.protocol())
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
	if _, err := st.Write(appendMessage(nil, kindList, list)); err != nil {
		_ = st.Reset()
		return err
	}
	// Written is not delivered: the peer ends the stream when it has taken the list.
	if err := st.CloseWrite(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(st, 1)); err != nil {
		_ = st.Reset()
		return err
	}
	return st.Close()
}

// within is a context of s that ends after d.
func (s *Swarm) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.ctx, d)
}
