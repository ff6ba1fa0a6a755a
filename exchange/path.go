package exchange

import (
	"net"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
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

// pathOf classifies a connection: relay if limited or by circuit; lan if the
// remote address is loopback, link-local, in the subnet of a local interface or
// in lan, or private and the peer is near (found by mDNS, or seen by others
// under our own public address); else wan.
func pathOf(c network.Conn, lan []netip.Prefix, near bool) Path {
	addr := c.RemoteMultiaddr()
	if _, err := addr.ValueForProtocol(ma.P_CIRCUIT); err == nil || c.Stat().Limited {
		return Relay
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
	if inAny(a, lan) {
		return LAN
	}
	return WAN
}

// onLink lists the subnets of the local interfaces, loopback left out.
func onLink() []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []netip.Prefix
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLoopback() {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		if !ok {
			continue
		}
		ones, size := n.Mask.Size()
		if ip.Is4In6() && size == 128 {
			ones -= 96
		}
		// A point-to-point address of full length names no one else.
		if p, err := ip.Unmap().Prefix(ones); err == nil && ones < ip.Unmap().BitLen() {
			out = append(out, p)
		}
	}
	return out
}

// Local reports whether one of the addresses is in a network that counts as LAN.
func (x *Exchange) Local(addrs []ma.Multiaddr) bool {
	for _, m := range addrs {
		if ip, err := manet.ToIP(m); err == nil {
			if a, ok := netip.AddrFromSlice(ip); ok && inAny(a.Unmap(), x.lan) {
				return true
			}
		}
	}
	return false
}

func inAny(a netip.Addr, nets []netip.Prefix) bool {
	for _, p := range nets {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
