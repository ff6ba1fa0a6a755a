package reach

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	p2pswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/shoal-p2p/shoal/internal/route"
)

// met is what is known of a peer that is connected or being dialled.
type met struct {
	dialled  time.Time             // when the way to it was first looked for
	active   int                   // attempts to meet, ours and its own
	failed   bool                  // the last one did not succeed
	lost     bool                  // a direct connection ended while a relay stands that we asked for
	regained int                   // times that we met anew for that
	wait     time.Duration         // until the next
	how      map[network.Conn]way  // by its connections
	direct   map[*func()]func()    // to be called when it is connected directly
	notices  map[peer.ID]time.Time // relays that carry no data for it until then
}

// way is how a connection came to be.
type way struct {
	how  string
	took time.Duration
}

const maxMet = 4096

// of is the entry of a peer, made if need be. mu is held.
func (r *Reach) of(p peer.ID) *met {
	m := r.peers[p]
	if m == nil {
		if len(r.peers) >= maxMet {
			for q, o := range r.peers {
				if len(o.how) == 0 && o.active == 0 {
					delete(r.peers, q)
				}
			}
		}
		m = &met{dialled: time.Now(), how: map[network.Conn]way{}, direct: map[*func()]func(){}, notices: map[peer.ID]time.Time{}}
		r.peers[p] = m
	}
	return m
}

// Dialling tells that a way to p is looked for from now on, unless it was already.
func (r *Reach) Dialling(p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.of(p); len(m.how) == 0 && m.active == 0 {
		m.dialled = time.Now()
	}
}

// How says how a connection came to be, "dial", "proxy" (dialled through one of
// HTTP), "incoming", "punch", "lan" (found behind the same router) or "relay", and how long after the way was looked for.
func (r *Reach) How(c network.Conn) (string, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.peers[c.RemotePeer()]; m != nil {
		for o, w := range m.how {
			if o.ID() == c.ID() {
				return w.how, w.took
			}
		}
	}
	return "", 0
}

// Retry forgets that attempts to dial p have failed lately.
func (r *Reach) Retry(p peer.ID) {
	if s, ok := r.inner.Network().(*p2pswarm.Swarm); ok {
		s.Backoff().Clear(p)
	}
}

// Trying reports whether this node and p, connected over a relay, are still at
// trying to meet.
func (r *Reach) Trying(p peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.peers[p]
	return m != nil && (m.active > 0 || !m.failed)
}

// Spent reports whether p is connected over a relay that carries no data for it
// now, as it told.
func (r *Reach) Spent(p peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.peers[p]
	if m == nil {
		return false
	}
	now := time.Now()
	for c := range m.how {
		if relay, ok := relayOf(c); ok && now.Before(m.notices[relay]) {
			return true
		}
	}
	return false
}

// Barren is until when nothing but signalling comes from p: relays told so, there
// is no direct connection, and none is being tried for. Zero if that is not so.
func (r *Reach) Barren(p peer.ID) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var last time.Time
	if m := r.peers[p]; m != nil && m.active == 0 && !m.hasDirect() {
		for _, until := range m.notices {
			if until.After(last) && time.Now().Before(until) {
				last = until
			}
		}
	}
	return last
}

// relayOf is the relay that a connection goes over.
func relayOf(c network.Conn) (peer.ID, bool) {
	before, rest := ma.SplitFunc(c.RemoteMultiaddr(), func(c ma.Component) bool { return c.Protocol().Code == ma.P_CIRCUIT })
	if rest == nil {
		return "", false
	}
	_, last := ma.SplitLast(before)
	if last == nil || last.Protocol().Code != ma.P_P2P {
		return "", false
	}
	id, err := peer.Decode(last.Value())
	return id, err == nil
}

// notifiee hears of connections.
type notifiee Reach

func (n *notifiee) Listen(network.Network, ma.Multiaddr)      {}
func (n *notifiee) ListenClose(network.Network, ma.Multiaddr) {}

// Connected implements network.Notifiee.
func (n *notifiee) Connected(_ network.Network, c network.Conn) {
	r := (*Reach)(n)
	p := c.RemotePeer()
	r.mu.Lock()
	m := r.of(p)
	over := route.Relayed(c)
	m.how[c] = way{how: r.howOf(m, c, over), took: time.Since(m.dialled)}
	var tell []func()
	hadRelay := false
	for o := range m.how {
		hadRelay = hadRelay || route.Relayed(o)
	}
	if !over {
		for k, f := range m.direct {
			tell = append(tell, f)
			delete(m.direct, k)
		}
	}
	call := over && c.Stat().Direction == network.DirOutbound && !m.hasDirect() && m.active == 0 && r.ctx.Err() == nil
	if call {
		m.active++
		r.wg.Go(func() { r.meet(p) })
	}
	r.mu.Unlock()
	for _, f := range tell {
		f()
	}
	if !over && hadRelay {
		if r.cfg.OnDirect != nil {
			r.cfg.OnDirect(p)
		}
		r.spawn(func() { r.leaveRelay(p) })
	}
}

// catchUp hears of the connections that were made before anybody listened: whoever joins
// a swarm connects at once.
func (r *Reach) catchUp() {
	n := (*notifiee)(r)
	for _, c := range r.inner.Network().Conns() {
		if n.Connected(r.inner.Network(), c); c.IsClosed() {
			n.Disconnected(r.inner.Network(), c)
		}
	}
}

// called reports whether it is this node's part to begin: it made the connection
// over the relay.
func (m *met) called() bool {
	for c := range m.how {
		if route.Relayed(c) && c.Stat().Direction == network.DirOutbound {
			return true
		}
	}
	return false
}

func (m *met) hasDirect() bool {
	for c := range m.how {
		if !route.Relayed(c) {
			return true
		}
	}
	return false
}

// howOf says how a new connection came to be. mu is held.
func (r *Reach) howOf(m *met, c network.Conn, over bool) string {
	switch {
	case over:
		return "relay"
	case route.WebSocket(c.RemoteMultiaddr()) && proxied(c):
		return "proxy"
	case route.WebSocket(c.RemoteMultiaddr()) && c.Stat().Direction == network.DirOutbound:
		return "dial"
	case route.WebSocket(c.RemoteMultiaddr()):
		return "incoming"
	case m.active > 0 && !manet.IsPublicAddr(c.RemoteMultiaddr()):
		return "lan"
	case m.active > 0:
		return "punch"
	case c.Stat().Direction == network.DirInbound:
		return "incoming"
	}
	return "dial"
}

// Disconnected implements network.Notifiee.
func (n *notifiee) Disconnected(_ network.Network, c network.Conn) {
	r := (*Reach)(n)
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.peers[c.RemotePeer()]
	if m == nil {
		return
	}
	delete(m.how, c)
	if m.lost = m.lost || !route.Relayed(c) && m.called() && !m.hasDirect(); m.lost && m.active == 0 {
		r.regain(c.RemotePeer(), m)
	}
	if len(m.how) == 0 && m.active == 0 && len(m.notices) == 0 {
		delete(r.peers, c.RemotePeer())
	}
}

// untilDirect calls f when p is connected directly, at once if it is. The function
// that it returns takes that back.
func (r *Reach) untilDirect(p peer.ID, f context.CancelFunc) func() {
	key := new(func())
	r.mu.Lock()
	m := r.of(p)
	now := m.hasDirect()
	if !now {
		m.direct[key] = f
	}
	r.mu.Unlock()
	if now {
		f()
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(m.direct, key)
	}
}

// under notes that p wants to meet; false while it tries already.
func (r *Reach) under(p peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.of(p)
	if m.active >= 2 { // one of ours, one of theirs
		return false
	}
	m.active++
	return true
}

// over notes the end of an attempt to meet. The caller tries again after a while,
// as long as there is a relay between.
func (r *Reach) over(p peer.ID, ok, caller bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.of(p)
	m.active--
	m.failed = !ok
	if m.lost && caller {
		r.regain(p, m)
		return
	}
	if ok || !caller || r.ctx.Err() != nil {
		m.wait = 0
		return
	}
	m.wait = min(max(2*m.wait, retryFirst), retryMax)
	r.again(p, m.wait)
}

// regain meets p anew that gave up a connection which stood here: with both sides
// dialling, each may give up the other's. mu is held.
func (r *Reach) regain(p peer.ID, m *met) {
	m.lost = false
	wait := time.Duration(retrySoon)
	if m.regained++; m.regained > retriesSoon {
		wait = retryMax
	}
	if r.ctx.Err() == nil {
		r.again(p, wait)
	}
}

// again meets p after a while, if there is still only a relay between. mu is held.
func (r *Reach) again(p peer.ID, wait time.Duration) {
	r.wg.Go(func() {
		if pause(r.ctx, wait) != nil {
			return
		}
		r.mu.Lock()
		m := r.peers[p]
		again := m != nil && len(m.how) > 0 && !m.hasDirect() && m.active == 0
		if again {
			m.active++
		}
		r.mu.Unlock()
		if again {
			r.meet(p)
		}
	})
}

// leaveRelay closes the relayed connections to a peer that is connected directly,
// when all has moved.
func (r *Reach) leaveRelay(p peer.ID) {
	const settle = 5 * time.Second
	if pause(r.ctx, settle) != nil {
		return
	}
	conns := r.inner.Network().ConnsToPeer(p)
	if direct(conns) == nil {
		return
	}
	for _, c := range conns {
		if route.Relayed(c) {
			_ = c.Close()
		}
	}
}
