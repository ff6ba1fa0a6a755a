package node

import (
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"
)

// Who has the content is reached over a relay alone, which carries no more: the
// fetch ends soon, not when its time is over, and says whose budget it was.
func TestRelaySpent(t *testing.T) {
	t.Parallel()
	relay := start(t, func(c *Config) { c.Relay, c.RelayData = true, "1MiB" })
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", noise(42, 8*mib)), AddOptions{})
	at := peer.AddrInfo{ID: relay.host.ID(), Addrs: relay.host.Addrs()}
	must(t, a.host.Connect(t.Context(), at))
	_, err := client.Reserve(t.Context(), a.host, at)
	must(t, err)
	for _, n := range []*Node{a, b} { // nothing goes between them but by the relay
		net := n.host.Network()
		net.(interface{ ListenClose(...ma.Multiaddr) }).ListenClose(ma.FilterAddrs(net.ListenAddresses(), func(a ma.Multiaddr) bool {
			return transportName(a) != "p2p-circuit"
		})...)
	}
	began := time.Now()
	_, err = get(t, b, target, FetchOptions{
		Peers:   []string{relay.Addrs()[0] + "/p2p-circuit/p2p/" + a.ID()},
		Timeout: time.Minute, Deadline: time.Minute,
	})
	e := as[*UnavailableError](t, err)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	if !strings.Contains(e.Why, "relay") || !strings.Contains(e.Hint, "--origin") || len(e.Tried) != 1 || !strings.Contains(e.Tried[0], "carries no more") {
		t.Errorf("%+v does not say that a relay's budget is spent", e)
	}
}
