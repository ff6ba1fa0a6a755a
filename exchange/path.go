package exchange

import (
	"net/netip"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/shoal-p2p/shoal/internal/route"
)

// Path is how a peer is reached: lan, wan or relay. Lower is preferred.
type Path uint8

// The paths, best first.
const (
	LAN Path = iota
	WAN
	Relay
)

func (p Path) String() string { return [...]string{"lan", "wan", "relay"}[p] }

// pathOf classifies a connection: relay if limited or by circuit; wan if by
// WebSocket, whose address may be that of a proxy on either side; lan if the
// remote address is loopback, link-local or in nets, or private and the peer is
// near (found by mDNS, or with a public address that is ours too); else wan.
func pathOf(c network.Conn, nets []netip.Prefix, near bool) Path {
	addr := c.RemoteMultiaddr()
	if route.Relayed(c) {
		return Relay
	}
	if route.WebSocket(c.RemoteMultiaddr()) {
		return WAN
	}
	ip, err := manet.ToIP(addr)
	if err != nil {
		return WAN
	}
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return WAN
	}
	a = a.Unmap()
	if a.IsLoopback() || a.IsLinkLocalUnicast() || (near && a.IsPrivate()) {
		return LAN
	}
	if inAny(a, nets) {
		return LAN
	}
	return WAN
}

// prefixOf is what newcomers from one place have in common: the /24 or /56 of a
// public address, the whole of any other, since one lab is one /24. A relayed
// peer has its relay's.
func prefixOf(m ma.Multiaddr) string { return cut(m, 24) }

// placeOf is what has turns of its own: an address, of IPv6 the /56 that one line
// has. "" if there is none.
func placeOf(m ma.Multiaddr) string { return cut(m, 32) }

// cut is the network of a public address, with so many bits of IPv4, or the whole
// of any other; "" if there is none.
func cut(m ma.Multiaddr, v4 int) string {
	ip, err := manet.ToIP(m)
	a, ok := netip.AddrFromSlice(ip)
	if err != nil || !ok {
		return ""
	}
	a = a.Unmap()
	bits := a.BitLen()
	switch {
	case !manet.IsPublicAddr(m):
	case a.Is4():
		bits = v4
	default:
		bits = 56
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

func inAny(a netip.Addr, nets []netip.Prefix) bool {
	for _, p := range nets {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
