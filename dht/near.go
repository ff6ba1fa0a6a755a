package dht

import (
	"net"
	"net/netip"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
)

// sharedNAT is RFC 6598's range. Overlay networks use it as a private one, and
// an address in it is never reachable from the Internet.
var sharedNAT = netip.MustParsePrefix("100.64.0.0/10")

// nearIP says whether ip is loopback, link-local, private, or inside one of the
// onLink subnets.
func nearIP(ip netip.Addr, onLink []netip.Prefix) bool {
	ip = ip.Unmap().WithZone("")
	if ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || sharedNAT.Contains(ip) {
		return true
	}
	for _, p := range onLink {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// nearAddr is nearIP for the first host in a. An address through a relay is
// near if the relay is. Names are near only if they are so by definition
// (localhost and mDNS's .local): resolving them could not be trusted to last.
func nearAddr(a ma.Multiaddr, onLink []netip.Prefix) bool {
	if ip, ok := firstIP(a); ok {
		return nearIP(ip, onLink)
	}
	first, _ := ma.SplitFirst(a)
	if first == nil {
		return false
	}
	switch first.Protocol().Code {
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		name := strings.TrimSuffix(strings.ToLower(first.Value()), ".")
		return name == "localhost" || strings.HasSuffix(name, ".local")
	}
	return false
}

// firstIP returns the IP address that a starts with.
func firstIP(a ma.Multiaddr) (netip.Addr, bool) {
	first, rest := ma.SplitFirst(a)
	if first != nil && first.Protocol().Code == ma.P_IP6ZONE {
		first, _ = ma.SplitFirst(rest)
	}
	if first == nil {
		return netip.Addr{}, false
	}
	switch first.Protocol().Code {
	case ma.P_IP4, ma.P_IP6:
		ip, ok := netip.AddrFromSlice(first.RawValue())
		return ip.Unmap(), ok
	}
	return netip.Addr{}, false
}

// loopbackAddr says whether a can only be dialled on this machine.
func loopbackAddr(a ma.Multiaddr) bool {
	ip, ok := firstIP(a)
	return ok && (ip.IsLoopback() || ip.IsUnspecified())
}

// dropLoopback returns addrs without those of this machine alone.
func dropLoopback(addrs []ma.Multiaddr) []ma.Multiaddr {
	return ma.FilterAddrs(addrs, func(a ma.Multiaddr) bool { return !loopbackAddr(a) })
}

// interfaceSubnets returns the subnets of the interfaces that are up, without
// those of one address. Errors read as "no subnet": the caller then relies on
// private ranges alone.
func interfaceSubnets() []netip.Prefix {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []netip.Prefix
	for _, i := range ifaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		out = append(out, subnets(addrs)...)
	}
	return out
}

// subnets returns the prefixes in addrs that can hold a neighbour.
func subnets(addrs []net.Addr) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		if !ok {
			continue
		}
		ones, bits := n.Mask.Size()
		ip = ip.Unmap()
		if bits != ip.BitLen() || ones == 0 || ones == bits {
			continue
		}
		out = append(out, netip.PrefixFrom(ip, ones).Masked())
	}
	return out
}
