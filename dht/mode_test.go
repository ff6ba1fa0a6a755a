package dht

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// Each row is a history of inputs, with what the node is after each.
func TestModeRule(t *testing.T) {
	t.Parallel()
	const (
		unknown = network.ReachabilityUnknown
		public  = network.ReachabilityPublic
		private = network.ReachabilityPrivate
	)
	type step struct {
		at     time.Duration
		reach  network.Reachability
		near   bool
		server bool
		again  time.Duration // 0: not by itself
	}
	for _, tt := range []struct {
		name   string
		policy ServerPolicy
		steps  []step
	}{
		{"relay", ServerAlways, []step{{0, unknown, false, true, 0}, {1, private, false, true, 0}}},
		{"asks only", ServerNever, []step{{0, public, true, false, 0}}},
		{"unknown among near peers", ServerAuto, []step{{0, unknown, true, true, 0}}},
		{"unknown with a far bootstrap", ServerAuto, []step{{0, unknown, false, false, 0}}},
		{"private among near peers", ServerAuto, []step{{0, private, true, false, 0}}},
		{"a far peer joins a near swarm", ServerAuto, []step{
			{0, unknown, true, true, 0},
			{time.Second, unknown, false, false, 0},
			// It leaves: a client becomes a server only when confirmed.
			{2 * time.Second, unknown, true, false, 0},
		}},
		{"confirmed public", ServerAuto, []step{
			{0, unknown, false, false, 0},
			{time.Minute, public, false, true, 0},
		}},
		{"not back within ten minutes", ServerAuto, []step{
			{0, unknown, false, false, 0},
			{time.Minute, public, false, true, 0},
			{2 * time.Minute, private, false, true, 11 * time.Minute},
			{11*time.Minute - 1, private, false, true, 11 * time.Minute},
			{11 * time.Minute, private, false, false, 0},
			{12 * time.Minute, unknown, true, false, 0},
			{13 * time.Minute, public, true, true, 0},
		}},
		{"public again in time", ServerAuto, []step{
			{0, public, false, true, 0},
			{time.Minute, unknown, false, true, 10 * time.Minute},
			{2 * time.Minute, public, false, true, 0},
			{time.Hour, public, false, true, 0},
			{time.Hour, private, false, false, 0},
		}},
		{"near server confirmed, then far", ServerAuto, []step{
			{0, unknown, true, true, 0},
			{time.Second, public, true, true, 0},
			{2 * time.Second, unknown, false, true, time.Second + 10*time.Minute},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r modeRule
			start := time.Unix(1000, 0)
			for i, s := range tt.steps {
				server, again := r.decide(start.Add(s.at), modeInput{tt.policy, s.reach, s.near})
				var wait time.Duration
				if !again.IsZero() {
					wait = again.Sub(start)
				}
				if server != s.server || wait != s.again {
					t.Errorf("step %d: server %v again %v, want %v %v", i, server, wait, s.server, s.again)
				}
			}
		})
	}
}

func TestNearAddr(t *testing.T) {
	t.Parallel()
	onLink := []netip.Prefix{netip.MustParsePrefix("11.0.0.0/24"), netip.MustParsePrefix("2a00:1::/64")}
	const p2p = "/p2p/" + testID
	for addr, want := range map[string]bool{
		"/ip4/127.0.0.1/tcp/1":                                true,
		"/ip4/10.1.2.3/tcp/1":                                 true,
		"/ip4/172.16.0.1/udp/1/quic-v1":                       true,
		"/ip4/192.168.1.1/tcp/1":                              true,
		"/ip4/169.254.1.1/tcp/1":                              true,
		"/ip4/100.64.0.1/tcp/1":                               true,
		"/ip4/100.128.0.1/tcp/1":                              false,
		"/ip4/8.8.8.8/tcp/1":                                  false,
		"/ip4/11.0.0.9/tcp/1":                                 true,
		"/ip4/11.0.1.9/tcp/1":                                 false,
		"/ip6/::1/tcp/1":                                      true,
		"/ip6/fe80::1/tcp/1":                                  true,
		"/ip6zone/eth0/ip6/fe80::1/tcp/1":                     true,
		"/ip6/fd00::1/tcp/1":                                  true,
		"/ip6/::ffff:192.168.1.1/tcp/1":                       true,
		"/ip6/2a00:1::5/tcp/1":                                true,
		"/ip6/2a00:2::5/tcp/1":                                false,
		"/dns4/localhost/tcp/1":                               true,
		"/dns4/printer.local/tcp/1":                           true,
		"/dns4/example.com/tcp/1":                             false,
		"/ip4/8.8.8.8/tcp/1" + p2p + "/p2p-circuit" + p2p:     false,
		"/ip4/192.168.1.9/tcp/1" + p2p + "/p2p-circuit" + p2p: true,
		"/dns/local.example.com/tcp/1":                        false,
		"/ip4/0.0.0.0/tcp/1":                                  false,
		"/memory/1":                                           false,
	} {
		if got := nearAddr(ma.StringCast(addr), onLink); got != want {
			t.Errorf("nearAddr(%s) = %v, want %v", addr, got, want)
		}
	}
	if nearAddr(nil, onLink) {
		t.Error("no address is near")
	}
}

func TestSubnets(t *testing.T) {
	t.Parallel()
	mask := func(s string) net.Addr {
		ip, n, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		return &net.IPNet{IP: ip, Mask: n.Mask}
	}
	got := subnets([]net.Addr{
		mask("192.168.7.5/24"), mask("10.9.9.9/32"), mask("2a00:1::5/64"), mask("1.2.3.4/0"), &net.UnixAddr{},
	})
	want := []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24"), netip.MustParsePrefix("2a00:1::/64")}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("subnets = %v, want %v", got, want)
	}
}
