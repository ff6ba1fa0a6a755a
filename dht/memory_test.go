package dht_test

import (
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/dht"
	"github.com/shoal-p2p/shoal/dht/dhttest"
	"github.com/shoal-p2p/shoal/internal/testnet"
)

// testPeer is a peer with the identity of testnet's host i.
func testPeer(t testing.TB, i int) peer.AddrInfo {
	t.Helper()
	id, err := peer.IDFromPrivateKey(testnet.Key(t, i))
	if err != nil {
		t.Fatal(err)
	}
	return peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/192.168.%d.%d/tcp/7461", i>>8, i&255))}}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	dhttest.Run(t, func(t *testing.T, n int, body func(*testing.T, []dhttest.Node)) {
		var reg dht.Registry
		var nodes []dhttest.Node
		for i := range n {
			self := testPeer(t, i)
			nodes = append(nodes, dhttest.Node{Router: reg.Join(self), Self: self})
		}
		body(t, nodes)
	})
}
