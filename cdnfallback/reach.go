package cdnfallback

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// reach tells how far inside an address is. A request may be sent to addresses
// up to a reach: an origin that a stranger named stays public, and a redirect
// never leads further inside than the server that sent it.
type reach uint8

const (
	public reach = iota // anyone's
	site                // private networks: RFC 1918, RFC 6598 (carrier NAT), RFC 4193 (ULA)
	local               // loopback, link-local, unspecified, multicast, reserved
	reaches
)

func (r reach) String() string {
	return [...]string{"public", "private", "loopback or link-local"}[r]
}

var (
	carrierNAT = netip.MustParsePrefix("100.64.0.0/10")
	thisNet    = netip.MustParsePrefix("0.0.0.0/8")
	reserved   = netip.MustParsePrefix("240.0.0.0/4")
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64local = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	globalIPv6 = netip.MustParsePrefix("2000::/3")
)

// reachOf classes an address. IPv6 forms that carry an IPv4 address (mapped,
// NAT64, 6to4) are classed as that: they are ways to the same host.
func reachOf(ip netip.Addr) reach {
	ip = ip.WithZone("").Unmap()
	if ip.Is6() {
		b := ip.As16()
		switch {
		case nat64.Contains(ip):
			return reachOf(netip.AddrFrom4([4]byte(b[12:16])))
		case sixToFour.Contains(ip):
			return reachOf(netip.AddrFrom4([4]byte(b[2:6])))
		case ip.IsPrivate() || nat64local.Contains(ip):
			return site
		case globalIPv6.Contains(ip):
			return public
		}
		return local
	}
	switch {
	case ip.IsPrivate() || carrierNAT.Contains(ip):
		return site
	case ip.IsLoopback(), ip.IsLinkLocalUnicast(), ip.IsMulticast(), thisNet.Contains(ip), reserved.Contains(ip):
		return local
	}
	return public
}

// check refuses an address further inside than r.
func (r reach) check(ip netip.Addr) error {
	if got := reachOf(ip); got > r {
		return &privateError{ip: ip, reach: got}
	}
	return nil
}

// dialer connects to addresses up to r only. It checks what the name resolved
// to, at the moment of dialling, so a name that changes its address does not help.
func (r reach) dialer(cfg Config) *net.Dialer {
	classify := cfg.classify
	if classify == nil {
		classify = reachOf
	}
	return &net.Dialer{
		Timeout:  10 * time.Second,
		Resolver: cfg.resolver,
		Control: func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: %s cannot be read", ErrPrivate, address)
			}
			if got := classify(ap.Addr()); got > r {
				return &privateError{ip: ap.Addr(), reach: got}
			}
			return nil
		},
	}
}

// checkProxied refuses what lies inside when a redirect leads there through a
// proxy. The named host itself may be asked for anything. Others must not be
// called as only a host of the site is, nor be inside by the DNS of this machine;
// a name that only the proxy knows is left to its rules.
func (o *Origin) checkProxied(ctx context.Context, at hop) error {
	host := strings.ToLower(strings.TrimSuffix(at.url.Hostname(), "."))
	if strings.EqualFold(host, o.base.Hostname()) {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return at.reach.check(ip)
	}
	if inside(host) {
		return fmt.Errorf("%w: %s is a name of this site; only an origin that you name yourself (--origin) may be there", ErrPrivate, host)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	found, _ := o.resolver.LookupNetIP(ctx, "ip", host) // behind a proxy there may be no DNS
	for _, ip := range found {
		if err := at.reach.check(ip); err != nil {
			return err
		}
	}
	return nil
}

// insideNames end names that are no public ones: RFC 6762, 6761, 8375, ICANN's
// .internal, and what routers and offices use (RFC 6762, appendix G).
var insideNames = []string{"local", "localhost", "internal", "home.arpa", "intranet", "private", "corp", "home", "lan"}

// inside tells whether a name without a dot at its end is one of a site.
func inside(host string) bool {
	if !strings.Contains(host, ".") {
		return true
	}
	for _, suffix := range insideNames {
		if strings.HasSuffix(host, "."+suffix) {
			return true
		}
	}
	return false
}
