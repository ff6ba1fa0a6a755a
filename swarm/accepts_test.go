package swarm

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// burst counts how many of n connections from a are let on to their handshake.
func burst(l limited, a string, n int) (let int) {
	for range n {
		if _, err := l.OpenConnection(network.DirInbound, true, ma.StringCast(a)); err == nil {
			let++
		}
	}
	return let
}

func TestAcceptLimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limited{&network.NullResourceManager{}, newAccepts()}
		if got := burst(l, "/ip4/192.0.2.1/tcp/1", 1000); got != strangerBurst {
			t.Errorf("a stranger gets %d connections at once", got)
		}
		if got := burst(l, "/ip4/192.0.2.2/udp/1/quic-v1", 1); got != 1 {
			t.Error("the next stranger gets none")
		}
		if got := burst(l, "/ip6/2001:db8::1/tcp/1", 500) + burst(l, "/ip6/2001:db8::2/tcp/1", 500); got != strangerBurst {
			t.Errorf("a subnet gets %d connections at once", got)
		}
		time.Sleep(10 * time.Second)
		if got := burst(l, "/ip4/192.0.2.1/tcp/1", 1000); got != strangerBurst {
			t.Errorf("10 s later it gets %d", got)
		}
		// Strangers from everywhere use up what there is for strangers.
		for i := range 250 {
			burst(l, "/ip4/198.51.100."+string(rune('0'+i%10))+"/tcp/1", 20)
			burst(l, "/ip4/203.0.113."+string(rune('0'+i%10))+"/tcp/1", 20)
		}
		if got := burst(l, "/ip4/192.0.2.77/tcp/1", 20); got != 0 {
			t.Errorf("one more stranger gets %d", got)
		}
		l.accepts.member(ma.StringCast("/ip4/192.0.2.78/tcp/5"))
		if got := burst(l, "/ip4/192.0.2.78/tcp/1", 20); got != 20 {
			t.Errorf("a member gets %d of 20", got)
		}
		if got := burst(l, "/ip4/127.0.0.1/tcp/1", 500); got != 500 {
			t.Errorf("this machine gets %d of 500", got)
		}
		if _, err := l.OpenConnection(network.DirOutbound, true, ma.StringCast("/ip4/192.0.2.77/tcp/1")); err != nil {
			t.Errorf("an own connection: %v", err)
		}
		at := func(ip string) net.Addr { return &net.UDPAddr{IP: net.ParseIP(ip), Port: 1} }
		if !l.VerifySourceAddress(at("192.0.2.77")) || l.VerifySourceAddress(at("192.0.2.78")) || l.VerifySourceAddress(at("127.0.0.1")) {
			t.Error("strangers' addresses are to be verified, and no others")
		}
		time.Sleep(memberFor + time.Second)
		if got := burst(l, "/ip4/192.0.2.78/tcp/1", 1000); got != strangerBurst {
			t.Errorf("a former member's address gets %d", got)
		}
	})
}
