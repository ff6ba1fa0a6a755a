package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// maxWaiting is how many streams of one peer may wait for its admission. They
// come with a second connection or with a hole punch, before the dialler of the
// first has been heard.
const maxWaiting = 8

// maxAnswering is how many admission streams of one peer that is not admitted are
// answered at a time: the handshakes of two connections that race, and a list.
const maxAnswering = 3

// contact is a connected peer. Its fields are guarded by Swarm.mu.
type contact struct {
	conns    map[network.Conn]bool
	m        membership.Membership
	in       bool          // we admit the peer
	welcomed bool          // the peer admits us
	done     chan struct{} // closed when either changes, then made anew
	waiting  int           // streams
	sequence uint64        // of the peer's newest list
	digest   [32]byte
	pushing  bool
	seen     *event.EvtPeerIdentificationCompleted // nil until identified
	reseen   bool                                  // told again after admission
}

// wake tells who waits that the contact has changed. mu is held.
func (c *contact) wake() {
	close(c.done)
	c.done = make(chan struct{})
}

// contact returns that of a peer, made if there is none. mu is held.
func (s *Swarm) contact(p peer.ID) *contact {
	c := s.peers[p]
	if c == nil {
		c = &contact{conns: map[network.Conn]bool{}, done: make(chan struct{})}
		s.peers[p] = c
	}
	return c
}

// notifiee follows the connections of the host.
type notifiee Swarm

func (n *notifiee) Listen(network.Network, ma.Multiaddr)      {}
func (n *notifiee) ListenClose(network.Network, ma.Multiaddr) {}

// Connected begins admission: the dialler speaks first, the other side's patience
// is limited.
func (n *notifiee) Connected(_ network.Network, conn network.Conn) {
	s := (*Swarm)(n)
	s.mu.Lock()
	c := s.contact(conn.RemotePeer())
	begun := c.conns[conn]
	c.conns[conn] = true
	s.mu.Unlock()
	if begun {
		return
	}
	s.spawn(func() {
		ctx, cancel := context.WithTimeout(s.ctx, admitTimeout)
		defer cancel()
		if conn.Stat().Direction == network.DirOutbound {
			if err := s.begin(ctx, conn.RemotePeer()); err != nil {
				s.log.Debug("not admitted", "peer", conn.RemotePeer(), "err", err)
			}
		}
		s.patience(ctx, conn)
	})
}

// patience closes a connection whose peer is not admitted when ctx ends.
func (s *Swarm) patience(ctx context.Context, conn network.Conn) {
	p := conn.RemotePeer()
	for !conn.IsClosed() {
		s.mu.Lock()
		c := s.peers[p]
		if c == nil || c.in && c.welcomed {
			s.mu.Unlock()
			return
		}
		changed := c.done
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			s.tried(p, errors.New("it did not show a membership in time"))
			_ = conn.Close()
			return
		}
	}
}

func (n *notifiee) Disconnected(_ network.Network, conn network.Conn) {
	s := (*Swarm)(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.peers[conn.RemotePeer()]
	if c == nil {
		return
	}
	delete(c.conns, conn)
	if len(c.conns) == 0 {
		delete(s.peers, conn.RemotePeer())
		c.in, c.welcomed = false, false
		c.wake()
	}
}

// pending is how many connected peers are not admitted yet.
func (s *Swarm) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.peers {
		if c.m.Swarm == "" {
			n++
		}
	}
	return n
}

// known reports whether a peer has been a member here before.
func (s *Swarm) known(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.st.Members[p.String()] != nil && !s.reg.Has(p)
}

// await waits until a connected peer is admitted, ctx ends, or it is clear that
// it will not be.
func (s *Swarm) await(ctx context.Context, p peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, admitTimeout)
	defer cancel()
	for {
		s.mu.Lock()
		c := s.peers[p]
		if c == nil {
			s.mu.Unlock()
			return s.notAdmitted(p)
		}
		if c.in && c.welcomed {
			s.mu.Unlock()
			return nil
		}
		changed := c.done
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return s.notAdmitted(p)
		}
	}
}

// notAdmitted is the error of a peer that is not.
func (s *Swarm) notAdmitted(p peer.ID) error {
	if r, ok := s.refused.Peek(p); ok {
		return fmt.Errorf("%v is not admitted to the private swarm %q: %w", p, s.name, r.err)
	}
	return fmt.Errorf("%v is not admitted to the private swarm %q", p, s.name)
}

// admitsStream reports whether a stream that p opened may go to its handler. It
// waits while the peer's admission is under way.
func (s *Swarm) admitsStream(p peer.ID) bool {
	ctx, cancel := context.WithTimeout(s.ctx, admitTimeout)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for waited := false; ; waited = true {
		c := s.peers[p]
		switch {
		case c == nil:
			return false
		case c.in:
			return true
		case waited && ctx.Err() != nil, c.waiting >= maxWaiting:
			return false
		}
		c.waiting++
		changed := c.done
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		s.mu.Lock()
		c.waiting--
	}
}

// admit notes that p's membership counts; its streams are let in from now on. A
// list may have come since it was judged: ErrRevoked then.
func (s *Swarm) admit(p peer.ID, m membership.Membership, h hello) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fallen(p, m) {
		return membership.ErrRevoked
	}
	c := s.peers[p]
	if c == nil { // disconnected meanwhile
		return nil
	}
	c.m, c.in, c.sequence, c.digest = m, true, h.sequence, h.digest
	s.remember(p, m)
	s.refused.Remove(p)
	for conn := range c.conns {
		s.gate.accepts.member(conn.RemoteMultiaddr())
	}
	c.wake()
	return nil
}

// remember notes that p was met with a membership. mu is held.
func (s *Swarm) remember(p peer.ID, m membership.Membership) {
	var by peer.ID
	if len(m.By) > 0 {
		by = m.By[len(m.By)-1]
	}
	s.st.met(p, memberState{uint32(m.Roles), m.NotAfter, time.Now(), m.Provisional(), by})
	s.dirty = true
}

// fallen reports whether p or anybody that its membership stands on is revoked.
// mu is held.
func (s *Swarm) fallen(p peer.ID, m membership.Membership) bool {
	return s.reg.Has(p) || s.reg.Has(m.Invite) || slices.ContainsFunc(m.By, s.reg.Has)
}

// accepted notes that p admits us, and lets the DHT look at it again.
func (s *Swarm) accepted(p peer.ID) {
	s.mu.Lock()
	c := s.peers[p]
	if c == nil {
		s.mu.Unlock()
		return
	}
	c.welcomed = true
	c.wake()
	s.mu.Unlock()
	s.tellAgain(p)
}

// tellAgain emits once that p was identified, after it was admitted: what looks
// at peers on that event alone, such as kad-dht, saw a stranger the first time.
func (s *Swarm) tellAgain(p peer.ID) {
	s.mu.Lock()
	c := s.peers[p]
	if c == nil || !c.in || !c.welcomed || c.seen == nil || c.reseen {
		s.mu.Unlock()
		return
	}
	c.reseen = true
	ev := *c.seen
	s.mu.Unlock()
	// Not here: watch would wait for itself when its own queue is full.
	s.spawn(func() {
		if err := s.reseen.Emit(ev); err != nil {
			s.log.Debug("nobody looks again", "peer", p, "err", err)
		}
	})
}

// tried remembers why a peer was not admitted this time. It forbids nothing.
func (s *Swarm) tried(p peer.ID, err error) {
	s.refused.Add(p, refusal{err, time.Now().Add(-refusedFor)})
}

// drop ends everything with a peer for a reason.
func (s *Swarm) drop(p peer.ID, why error) {
	s.refused.Add(p, refusal{why, time.Now()})
	s.mu.Lock()
	if c := s.peers[p]; c != nil {
		c.in, c.welcomed = false, false
		c.wake()
	}
	s.mu.Unlock()
	s.log.Debug("disconnect", "peer", p, "err", why)
	_ = s.inner.Network().ClosePeer(p) // it ends whatever it answers
}
