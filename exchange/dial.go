package exchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/shoal-p2p/shoal/internal/route"
)

// Session returns the session with a peer, connecting first if there is none.
// Callers that want the same peer at once share one attempt.
func (x *Exchange) Session(ctx context.Context, to peer.AddrInfo) (*Session, error) {
	if to.ID == x.host.ID() {
		return nil, errors.New("that is this node itself")
	}
	x.host.Peerstore().AddAddrs(to.ID, to.Addrs, peerstore.TempAddrTTL)
	for {
		x.mu.Lock()
		s, busy := x.living(to.ID), x.dials[to.ID]
		if s == nil && busy == nil {
			busy = make(chan struct{})
			x.dials[to.ID] = busy
			x.mu.Unlock()
			s, err := x.dial(ctx, to)
			x.mu.Lock()
			delete(x.dials, to.ID)
			x.mu.Unlock()
			close(busy)
			return s, err
		}
		x.mu.Unlock()
		if s != nil {
			return s, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// dial connects and opens the control stream.
func (x *Exchange) dial(ctx context.Context, to peer.AddrInfo) (*Session, error) {
	if err := x.host.Connect(ctx, to); err != nil {
		return nil, fmt.Errorf("connect to %v: %w", to.ID, err)
	}
	if s := x.session(to.ID); s != nil {
		return s, nil
	}
	return x.greet(ctx, to.ID)
}

// greet opens a session over the best connection that there is.
func (x *Exchange) greet(ctx context.Context, p peer.ID) (*Session, error) {
	st, err := x.host.NewStream(network.WithAllowLimitedConn(ctx, "shoal control"), p, x.control)
	if err != nil {
		return nil, fmt.Errorf("open stream to %v: %w", p, err)
	}
	s := newSession(x, st, true)
	r := bufio.NewReaderSize(st, 4<<10)
	if err := s.hello(ctx, r); err != nil {
		s.cancel()
		st.Reset()
		return x.crossed(ctx, p, err)
	}
	if !x.adopt(s, r) {
		return x.crossed(ctx, p, ErrClosed)
	}
	return s, nil
}

// Improve moves the session with a peer to a direct connection, if it runs over a
// relay and there is one. Of the two sides the one that opened the session does
// it; at the other it is nothing. What was asked over the relay is asked again.
func (x *Exchange) Improve(ctx context.Context, p peer.ID) error {
	busy, err := x.toImprove(ctx, p)
	if busy == nil {
		return err
	}
	defer func() {
		x.mu.Lock()
		delete(x.dials, p)
		x.mu.Unlock()
		close(busy)
	}()
	for {
		if !slices.ContainsFunc(x.host.Network().ConnsToPeer(p), func(c network.Conn) bool { return !route.Relayed(c) }) {
			return nil
		}
		s, err := x.greet(ctx, p)
		if err == nil && s.Path() != Relay { // else that is the old one
			return nil
		}
		// Of the two connections one may have been given up by the peer.
		select {
		case <-time.After(improveAgain):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-x.ctx.Done():
			return ErrClosed
		}
	}
}

// toImprove gives the sign that a session with p is being opened, nil if there is
// none to be moved. One that is being opened is waited for: it may have begun on
// the relay just before there was a direct connection.
func (x *Exchange) toImprove(ctx context.Context, p peer.ID) (chan struct{}, error) {
	for {
		x.mu.Lock()
		s, opening := x.living(p), x.dials[p]
		var busy chan struct{}
		if opening == nil && s != nil && s.Path() == Relay && s.outbound {
			busy = make(chan struct{})
			x.dials[p] = busy // two that meet have often two connections: two sessions would end each other
		}
		x.mu.Unlock()
		if opening == nil {
			return busy, nil
		}
		select {
		case <-opening:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-x.ctx.Done():
			return nil, ErrClosed
		}
	}
}

const improveAgain = 50 * time.Millisecond

// crossed waits a moment for the peer's own session when ours lost to it:
// both sides dialled at once.
func (x *Exchange) crossed(ctx context.Context, p peer.ID, err error) (*Session, error) {
	for range 20 {
		if s := x.session(p); s != nil {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-x.ctx.Done():
			return nil, ErrClosed
		case <-time.After(25 * time.Millisecond):
		}
	}
	return nil, err
}

func (x *Exchange) session(p peer.ID) *Session {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.living(p)
}

// living is the session with a peer, if it has not ended. mu is held.
func (x *Exchange) living(p peer.ID) *Session {
	if s := x.sessions[p]; s != nil && s.ctx.Err() == nil {
		return s
	}
	return nil
}

// accept takes an inbound control stream.
func (x *Exchange) accept(st network.Stream) {
	greet := func() {
		s := newSession(x, st, false)
		r := bufio.NewReaderSize(st, 4<<10)
		if err := s.hello(x.ctx, r); err != nil {
			x.log.Debug("no session", "peer", s.Peer, "err", err)
			s.cancel()
			st.Reset()
			return
		}
		x.adopt(s, r)
	}
	if !x.spawn(greet) {
		st.Reset()
	}
}

// adopt makes s the session with its peer, unless one that stays is there: of
// two that were opened at once, the one that the lower peer ID opened.
func (x *Exchange) adopt(s *Session, r *bufio.Reader) bool {
	s.classify()
	x.mu.Lock()
	defer x.mu.Unlock()
	old := x.sessions[s.Peer]
	lower := x.host.ID() < s.Peer
	if x.closed || (old != nil && old.outbound != s.outbound && old.outbound == lower) {
		s.cancel()
		s.stream.Reset()
		return false
	}
	x.sessions[s.Peer] = s
	x.wg.Go(func() { s.live(old, r) })
	return true
}

func (x *Exchange) remove(s *Session) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.sessions[s.Peer] == s {
		delete(x.sessions, s.Peer)
	}
}
