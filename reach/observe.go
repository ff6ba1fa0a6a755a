package reach

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/shoal-p2p/shoal/internal/route"
	"github.com/shoal-p2p/shoal/reach/plan"
)

const (
	lookEvery = time.Second // at the interfaces, and whether to ask somebody
	maxAskers = 32
)

// watch takes in what peers say until Close.
func (r *Reach) watch(sub event.Subscription) {
	defer sub.Close()
	for {
		select {
		case <-r.ctx.Done():
			return
		case e, ok := <-sub.Out():
			if !ok {
				return
			}
			if e, ok := e.(event.EvtPeerIdentificationCompleted); ok {
				r.onIdentified(e)
			}
		}
	}
}

// mapped reports whether a router forwards a port: an address of the internet is
// among those of this host that is none of its own, the interfaces'.
func (r *Reach) mapped(own []netip.Addr) bool {
	all, ok := r.inner.(interface{ AllAddrs() []ma.Multiaddr })
	return ok && slices.ContainsFunc(all.AllAddrs(), func(a ma.Multiaddr) bool {
		at, _, ok := endpoint(a)
		return ok && manet.IsPublicAddr(a) && !slices.Contains(own, at.Addr())
	})
}

// onIdentified notes how a peer sees this node.
func (r *Reach) onIdentified(e event.EvtPeerIdentificationCompleted) {
	if route.WebSocket(e.Conn.RemoteMultiaddr()) && !route.Relayed(e.Conn) && e.Conn.Stat().Direction == network.DirOutbound && manet.IsPublicAddr(e.Conn.RemoteMultiaddr()) {
		r.mu.Lock()
		r.book.OnWeb()
		r.mu.Unlock()
		r.tell()
		return
	}
	if route.Relayed(e.Conn) || e.ObservedAddr == nil {
		return
	}
	from, _, ok := endpoint(e.Conn.RemoteMultiaddr())
	at, t, ok2 := endpoint(e.ObservedAddr)
	if !ok || !ok2 {
		return
	}
	s := plan.Sight{By: string(e.Peer), From: from.Addr(), Transport: t, Addr: at}
	if local, _, ok := endpoint(e.Conn.LocalMultiaddr()); ok {
		s.Local = local.Port()
	}
	r.log.Debug("seen", "by", e.Peer, "from", from, "local", e.Conn.LocalMultiaddr(), "at", e.ObservedAddr)
	r.mu.Lock()
	r.book.OnSight(s)
	if slices.Contains(e.Protocols, r.id("dialback")) && !from.Addr().IsPrivate() {
		r.askers = append(slices.DeleteFunc(r.askers, func(p peer.ID) bool { return p == e.Peer }), e.Peer)
		r.askers = r.askers[max(len(r.askers)-maxAskers, 0):]
	}
	r.mu.Unlock()
	r.askSoon()
	r.tell()
}

// listens reports whether this node listens on a port.
func (r *Reach) listens(t plan.Transport, port uint16) bool {
	return slices.Contains(r.ports(t), port)
}

// ports are those that this node listens on, each once.
func (r *Reach) ports(t plan.Transport) []uint16 {
	var out []uint16
	for _, a := range r.inner.Network().ListenAddresses() {
		if at, tt, ok := endpoint(a); ok && tt == t && !slices.Contains(out, at.Port()) {
			out = append(out, at.Port())
		}
	}
	return out
}

// mind looks at the interfaces, and whether somebody should be asked, until Close.
func (r *Reach) mind() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
		}
		own := interfaces()
		mapped := r.mapped(own) // libp2p does not tell of a mapping while relays stand for its addresses
		r.mu.Lock()
		gone, changed := r.book.OnInterfaces(own)
		r.book.OnMapped(mapped)
		r.mu.Unlock()
		if changed {
			r.moved(gone)
		}
		r.askSoon()
		r.tell()
	}
}

// moved ends what cannot go on: connections from addresses that are gone. Those
// from a socket that is bound to no address may have used one of them.
func (r *Reach) moved(gone []netip.Addr) {
	r.log.Info("this machine has other addresses", "gone", gone)
	if r.cfg.OnMoved != nil {
		r.cfg.OnMoved()
	}
	for _, c := range r.inner.Network().Conns() {
		if !ended(c, gone) {
			continue
		}
		r.mu.Lock()
		r.book.Forget(string(c.RemotePeer()))
		r.mu.Unlock()
		_ = c.Close()
	}
}

// ended reports whether a connection cannot go on without some addresses.
func ended(c network.Conn, gone []netip.Addr) bool {
	if route.WebSocket(c.RemoteMultiaddr()) && !route.Relayed(c) {
		ip, err := manet.ToIP(c.LocalMultiaddr())
		at, ok := netip.AddrFromSlice(ip)
		return err == nil && ok && slices.Contains(gone, at.Unmap())
	}
	at, _, ok := endpoint(c.LocalMultiaddr())
	to, _, ok2 := endpoint(c.RemoteMultiaddr())
	return ok && ok2 && !to.Addr().IsLoopback() && slices.ContainsFunc(gone, func(a netip.Addr) bool {
		return a == at.Addr() || at.Addr().IsUnspecified() && a.Is4() == to.Addr().Is4()
	})
}

// askSoon asks a peer to dial this node back, if that is worth knowing now.
func (r *Reach) askSoon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if ask, _ := r.book.Ask(now); !ask || r.cfg.Public || r.cfg.Relay || len(r.askers) == 0 || r.ctx.Err() != nil {
		return
	}
	p := r.askers[0] // in turn
	r.askers = append(r.askers[1:], p)
	r.book.OnAsked(now)
	r.wg.Go(func() {
		ctx, cancel := context.WithTimeout(r.ctx, backTimeout)
		defer cancel()
		reached, err := r.askDialBack(ctx, p)
		r.log.Debug("dialled back", "by", p, "reached", reached, "err", err)
		if err != nil {
			r.mu.Lock()
			r.askers = slices.DeleteFunc(r.askers, func(o peer.ID) bool { return o == p })
			r.mu.Unlock()
			return
		}
		r.mu.Lock()
		r.book.OnAnswer(time.Now(), reached)
		r.mu.Unlock()
		r.tell()
	})
}

// interfaces are the addresses of this machine that others may know.
func interfaces() []netip.Addr {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap().IsGlobalUnicast() {
				out = append(out, ip.Unmap())
			}
		}
	}
	return out
}

// endpoint is the address, port and transport that a multiaddr begins with; false
// for what is neither TCP nor QUIC.
func endpoint(a ma.Multiaddr) (netip.AddrPort, plan.Transport, bool) {
	if route.WebSocket(a) {
		return netip.AddrPort{}, 0, false
	}
	n, err := manet.ToNetAddr(head(a))
	if err != nil {
		return netip.AddrPort{}, 0, false
	}
	var at netip.AddrPort
	t := plan.TCP
	switch n := n.(type) {
	case *net.TCPAddr:
		at = n.AddrPort()
	case *net.UDPAddr:
		at, t = n.AddrPort(), plan.UDP
	default:
		return netip.AddrPort{}, 0, false
	}
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port()), t, true
}

// head is the part of a multiaddr that names an IP address and a port.
func head(a ma.Multiaddr) ma.Multiaddr {
	for i, c := range a {
		if code := c.Protocol().Code; code == ma.P_TCP || code == ma.P_UDP {
			return a[:i+1]
		}
	}
	return a
}

// direct is a connection that does not go over a relay, nil if there is none.
func direct(conns []network.Conn) network.Conn {
	for _, c := range conns {
		if !route.Relayed(c) {
			return c
		}
	}
	return nil
}
