package exchange

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// A VPN's interface is no LAN, whatever its subnet; a wire, air and a bridge are.
func TestSharedInterfaces(t *testing.T) {
	t.Parallel()
	const up = net.FlagUp | net.FlagRunning
	for name, c := range map[string]struct {
		flags net.Flags
		want  bool
	}{
		"ethernet":  {up | net.FlagBroadcast | net.FlagMulticast, true},
		"down":      {net.FlagBroadcast | net.FlagMulticast, false},
		"loopback":  {up | net.FlagLoopback, false},
		"wireguard": {up | net.FlagPointToPoint, false},
		"tun":       {up | net.FlagPointToPoint | net.FlagMulticast, false},
		"dummy":     {up, false},
	} {
		if got := shared(c.flags); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSubnet(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.168.7.9/24": "192.168.7.0/24", "10.1.2.3/32": "", "127.0.0.1/8": "", "fe80::1/64": "fe80::/64", "2001:db8::7/128": "",
	} {
		ip, n, err := net.ParseCIDR(in)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if p, ok := subnet(&net.IPNet{IP: ip, Mask: n.Mask}); ok {
			got = p.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// Who has our public address and a private one is tried as a neighbour.
func TestLocal(t *testing.T) {
	t.Parallel()
	x := &Exchange{home: home{
		nets:   []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24")},
		seenAs: []netip.Addr{netip.MustParseAddr("11.0.0.7")},
	}}
	for _, c := range []struct {
		addrs []string
		want  bool
	}{
		{[]string{"/ip4/192.168.7.20/tcp/1"}, true},
		{[]string{"/ip4/192.168.8.20/tcp/1"}, false},
		{[]string{"/ip4/192.168.8.20/tcp/1", "/ip4/11.0.0.7/udp/1/quic-v1"}, true},
		{[]string{"/ip4/192.168.8.20/tcp/1", "/ip4/11.0.0.8/udp/1/quic-v1"}, false},
		{[]string{"/ip4/11.0.0.7/udp/1/quic-v1"}, false}, // a port of the router: nothing to try on the LAN
		{[]string{"/dns4/example.com/tcp/1"}, false},
		{nil, false},
	} {
		var p peer.AddrInfo
		for _, a := range c.addrs {
			p.Addrs = append(p.Addrs, ma.StringCast(a))
		}
		if got := x.Local(p); got != c.want {
			t.Errorf("%v: %v", c.addrs, got)
		}
	}
	for i := range 20 {
		x.sawUs(netip.AddrFrom4([4]byte{11, 0, 1, byte(i)}))
	}
	if len(x.home.seenAs) != seenAsKept || !x.home.behind([]ma.Multiaddr{ma.StringCast("/ip4/11.0.1.19/tcp/1")}) {
		t.Errorf("seen as %v", x.home.seenAs)
	}
}

// What a stranger says of his public addresses is read with care.
func TestReadSeenAs(t *testing.T) {
	t.Parallel()
	many := make([][]byte, 100)
	for i := range many {
		many[i] = []byte{11, 0, 0, byte(i)}
	}
	if got := readSeenAs(many); len(got) != seenAsKept || got[0] != netip.MustParseAddr("11.0.0.0") {
		t.Errorf("%v", got)
	}
	if got := readSeenAs([][]byte{{}, {1, 2, 3}, make([]byte, 17), nil}); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

// Newcomers of a public /24 are one, of a private one each is himself.
func TestPrefix(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/ip4/11.0.0.7/tcp/1":                 "11.0.0.0/24",
		"/ip4/192.168.7.20/tcp/1":             "192.168.7.20/32",
		"/ip4/127.0.0.1/tcp/1":                "127.0.0.1/32",
		"/ip4/100.64.1.1/udp/1/quic-v1":       "100.64.1.1/32",
		"/ip6/2a00:1450:4001:82a::200e/tcp/1": "2a00:1450:4001:800::/56",
		"/ip6zone/eth0/ip6/fe80::1/tcp/1":     "fe80::1/128",
		"/ip4/11.0.0.7/tcp/1/p2p/12D3KooWL5799qzdgoPVaksJ9PWpHBG5N4bckB4rgoZVmiKXdjRH/p2p-circuit": "11.0.0.0/24",
		"/dns4/example.com/tcp/1": "",
	} {
		if got := prefixOf(ma.StringCast(in)); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
		if got := placeOf(ma.StringCast(in)); got != strings.Replace(want, "11.0.0.0/24", "11.0.0.7/32", 1) {
			t.Errorf("%s: place %q", in, got)
		}
	}
}
