package exchange

import (
	"net"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/shoal-p2p/shoal/internal/route"
)

// home is where this node is: the networks that count as LAN, and the public
// addresses under which others see it. Guarded by Exchange.mu.
type home struct {
	given  []netip.Prefix // by the user
	nets   []netip.Prefix // these and those of the interfaces
	seenAs []netip.Addr   // the newest last
}

const seenAsKept = 8 // a house has few lines, and a stranger may tell us anything

// onLink lists the subnets of the local interfaces: of those on which neighbours
// share a wire or air. A tunnel is no LAN although its subnet is on-link: what
// goes through it goes over the internet. --lan says otherwise.
func onLink() []netip.Prefix {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []netip.Prefix
	for _, i := range ifaces {
		addrs, err := i.Addrs()
		if err != nil || !shared(i.Flags) {
			continue
		}
		for _, a := range addrs {
			if p, ok := subnet(a); ok {
				out = append(out, p)
			}
		}
	}
	return out
}

// shared reports whether neighbours are on an interface: not on that of a VPN
// (WireGuard, OpenVPN's tun, PPP), which has one end here and one elsewhere.
func shared(f net.Flags) bool {
	return f&net.FlagUp != 0 && f&net.FlagBroadcast != 0 && f&(net.FlagPointToPoint|net.FlagLoopback) == 0
}

// subnet is the network of an interface's address; false if it names no one else.
func subnet(a net.Addr) (netip.Prefix, bool) {
	n, ok := a.(*net.IPNet)
	if !ok {
		return netip.Prefix{}, false
	}
	ip, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	ones, size := n.Mask.Size()
	if ip.Is4In6() && size == 128 {
		ones -= 96
	}
	p, err := ip.Unmap().Prefix(ones)
	return p, err == nil && ones < ip.Unmap().BitLen() && !ip.IsLoopback()
}

// lookAround reads the interfaces again: a laptop moves. Paths change with it.
func (x *Exchange) lookAround() {
	nets := append(onLink(), x.home.given...)
	x.mu.Lock()
	same := slices.Equal(nets, x.home.nets)
	x.home.nets = nets
	x.mu.Unlock()
	if !same {
		x.reclassify()
	}
}

func (x *Exchange) reclassify() {
	for _, s := range x.Sessions() {
		s.classify()
	}
}

// identified takes in what identify told: the record of a peer, and under which
// address it sees us.
func (x *Exchange) identified(ev event.EvtPeerIdentificationCompleted) {
	if ev.SignedPeerRecord != nil {
		if b, err := ev.SignedPeerRecord.Marshal(); err == nil && len(b) <= maxRecord {
			x.records.byPeer.Add(ev.Peer, b)
			x.named(ev.Peer)
		}
	}
	if a, ok := publicOf(ev.ObservedAddr); ok && x.sawUs(a) {
		x.reclassify()
	} else if s := x.session(ev.Peer); s != nil {
		s.classify() // its addresses are known now
	}
}

// sawUs notes a public address of ours, and reports whether it is new.
func (x *Exchange) sawUs(a netip.Addr) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if slices.Contains(x.home.seenAs, a) {
		return false
	}
	x.home.seenAs = append(x.home.seenAs[max(0, len(x.home.seenAs)-seenAsKept+1):], a)
	return true
}

// publicOf is the public IP address in m.
func publicOf(m ma.Multiaddr) (netip.Addr, bool) {
	if m == nil || !manet.IsPublicAddr(m) {
		return netip.Addr{}, false
	}
	if route.Circuit(m) {
		return netip.Addr{}, false // the relay's
	}
	ip, err := manet.ToIP(m)
	a, ok := netip.AddrFromSlice(ip)
	return a.Unmap(), err == nil && ok
}

// pathTo classifies a connection to a peer.
func (x *Exchange) pathTo(s *Session) Path {
	addrs := x.host.Peerstore().Addrs(s.Peer)
	x.mu.Lock()
	defer x.mu.Unlock()
	near := x.near[s.Peer] || x.home.behind(addrs) || slices.ContainsFunc(s.seenAs, x.home.sees)
	return pathOf(s.stream.Conn(), x.home.nets, near)
}

// behind reports whether one of the addresses is a public one of ours: the peer
// is behind the same router.
func (h *home) behind(addrs []ma.Multiaddr) bool {
	for _, m := range addrs {
		if a, ok := publicOf(m); ok && h.sees(a) {
			return true
		}
	}
	return false
}

func (h *home) sees(a netip.Addr) bool { return slices.Contains(h.seenAs, a) }

// seenAs are the public addresses of ours to tell over a connection, none unless
// that is one between private addresses.
func (x *Exchange) seenAs(c network.Conn) [][]byte {
	ip, err := manet.ToIP(c.RemoteMultiaddr())
	if a, ok := netip.AddrFromSlice(ip); err != nil || !ok || !a.Unmap().IsPrivate() || route.WebSocket(c.RemoteMultiaddr()) {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var out [][]byte
	for _, a := range x.home.seenAs {
		out = append(out, a.AsSlice())
	}
	return out
}

// readSeenAs reads the public addresses of a stranger.
func readSeenAs(told [][]byte) (out []netip.Addr) {
	for _, b := range told[:min(len(told), seenAsKept)] {
		if a, ok := netip.AddrFromSlice(b); ok {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// Local reports whether a peer with these addresses is likely on our LAN: one of
// them is in a network of ours, or one is a public one of ours and another, which
// is to be tried, is private.
func (x *Exchange) Local(p peer.AddrInfo) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	private := false
	for _, m := range p.Addrs {
		ip, err := manet.ToIP(m)
		a, ok := netip.AddrFromSlice(ip)
		if err != nil || !ok {
			continue
		}
		if inAny(a.Unmap(), x.home.nets) {
			return true
		}
		private = private || a.IsPrivate()
	}
	return private && x.home.behind(p.Addrs)
}
