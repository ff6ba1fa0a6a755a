package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

// Guard begins admission on h and returns the host that everything else uses.
// Call it once, before h connects to anyone. h must have Gater, Limit and, if it
// relays, the Swarm as its ACL.
func (s *Swarm) Guard(h host.Host) (host.Host, error) {
	nw, ok := h.Network().(interface{ StreamHandler() network.StreamHandler })
	if !ok {
		return nil, fmt.Errorf("a host with a network of type %T cannot be guarded", h.Network())
	}
	var err error
	if s.reseen, err = h.EventBus().Emitter(new(event.EvtPeerIdentificationCompleted)); err != nil {
		return nil, fmt.Errorf("watch who is identified: %w", err)
	}
	if s.changed, err = h.EventBus().Emitter(new(event.EvtPeerProtocolsUpdated)); err != nil {
		return nil, fmt.Errorf("watch who is identified: %w", err)
	}
	s.inner = h
	sub, err := h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted), eventbus.BufSize(256), eventbus.Name("shoal/swarm"))
	if err != nil {
		return nil, fmt.Errorf("watch who is identified: %w", err)
	}
	s.spawn(func() { s.watch(sub) })
	s.spawn(s.mind)
	// Whatever protocol is registered, now or later, by whomever: its streams
	// come through here.
	negotiate := nw.StreamHandler()
	h.Network().SetStreamHandler(func(st network.Stream) { negotiate(&inbound{Stream: st, s: s}) })
	h.SetStreamHandler(s.protocol(), s.answer)
	n := (*notifiee)(s)
	h.Network().Notify(n)
	s.guards.Store(true)
	for _, conn := range h.Network().Conns() { // come before there was anybody to tell
		n.Connected(h.Network(), conn)
		if conn.IsClosed() { // before there was anybody to tell of its end
			n.Disconnected(h.Network(), conn)
		}
	}
	return &guarded{Host: h, s: s}, nil
}

// watch remembers how peers were identified.
func (s *Swarm) watch(sub event.Subscription) {
	defer sub.Close()
	for {
		select {
		case <-s.ctx.Done():
			return
		case e, ok := <-sub.Out():
			if !ok {
				return
			}
			ev := e.(event.EvtPeerIdentificationCompleted)
			s.mu.Lock()
			if c := s.peers[ev.Peer]; c != nil {
				c.seen = &ev
			}
			s.mu.Unlock()
			s.tellAgain(ev.Peer)
		}
	}
}

// inbound is a stream whose protocol is not known yet. The host names it when it
// is negotiated, before the handler has the stream: that is where strangers are
// stopped.
type inbound struct {
	network.Stream
	s *Swarm
}

var (
	errStranger = errors.New("not a member")
	errTooMany  = errors.New("too many admission streams at a time")
)

// SetProtocol implements network.Stream. With an error the host resets the stream.
func (st *inbound) SetProtocol(id protocol.ID) error {
	p := st.Conn().RemotePeer()
	if id == st.s.protocol() {
		if !st.s.enter(p) {
			return errTooMany
		}
		err := st.Stream.SetProtocol(id)
		if err != nil {
			st.s.exit(p)
		}
		return err
	}
	if !st.s.open(id) && !st.s.admitsStream(p) {
		return errStranger
	}
	return st.Stream.SetProtocol(id)
}

// enter counts an admission stream that p opened, until exit: one that is not
// admitted has few at a time.
func (s *Swarm) enter(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.peers[p]
	if s.answering[p] >= maxAnswering && (c == nil || !c.in) {
		return false
	}
	s.answering[p]++
	return true
}

// exit takes back an enter.
func (s *Swarm) exit(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answering[p]--; s.answering[p] <= 0 {
		delete(s.answering, p)
	}
}

// open reports whether a protocol is for strangers too.
func (s *Swarm) open(id protocol.ID) bool {
	return id != "" && slices.Contains([]protocol.ID{identify.ID, identify.IDPush, ping.ID, s.protocol(), s.cfg.leak}, id)
}

// guarded is the host as members use it.
type guarded struct {
	host.Host
	s *Swarm
}

// Connect implements host.Host: it returns when the peer is admitted as well.
func (g *guarded) Connect(ctx context.Context, pi peer.AddrInfo) error {
	if err := g.Host.Connect(ctx, pi); err != nil {
		return err
	}
	return g.s.await(ctx, pi.ID)
}

// NewStream implements host.Host. It connects and waits for admission first, and
// fails without.
func (g *guarded) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	if !g.s.Admitted(p) {
		var err error
		if noDial, _ := network.GetNoDial(ctx); noDial {
			err = g.s.await(ctx, p)
		} else {
			err = g.Connect(ctx, peer.AddrInfo{ID: p})
		}
		if err != nil {
			return nil, err
		}
	}
	return g.Host.NewStream(ctx, p, ids...)
}

// SetStreamHandler implements host.Host: the handler is reached by members only.
func (g *guarded) SetStreamHandler(id protocol.ID, h network.StreamHandler) {
	g.Host.SetStreamHandler(id, g.members(h))
}

// SetStreamHandlerMatch implements host.Host.
func (g *guarded) SetStreamHandlerMatch(id protocol.ID, m func(protocol.ID) bool, h network.StreamHandler) {
	g.Host.SetStreamHandlerMatch(id, m, g.members(h))
}

func (g *guarded) members(h network.StreamHandler) network.StreamHandler {
	return func(st network.Stream) {
		if !g.s.admitsStream(st.Conn().RemotePeer()) {
			_ = st.Reset()
			return
		}
		h(st)
	}
}
