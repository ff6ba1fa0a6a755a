package node

import (
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
)

// What one address can hold half-open does not keep another one out.
func TestHalfOpenConnections(t *testing.T) {
	t.Parallel()
	m, err := resources()
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	const half = 16 + 2*15 // at once, and a second for as long as libp2p waits
	for range half {
		c, err := m.OpenConnection(network.DirInbound, true, ma.StringCast("/ip4/192.0.2.1/tcp/1"))
		must(t, err)
		t.Cleanup(c.Done)
	}
	for range 128 {
		c, err := m.OpenConnection(network.DirInbound, true, ma.StringCast("/ip4/192.0.2.2/tcp/1"))
		if err != nil {
			t.Fatalf("another address: %v", err)
		}
		t.Cleanup(c.Done)
	}
}

// 200 peers behind one address work at once, in both directions: an office or a
// lab. Each has the streams of an exchange, of the DHT and of identify.
func TestOfficeBehindOneAddress(t *testing.T) {
	t.Parallel()
	for name, addr := range map[string]string{"ip4": "/ip4/192.0.2.1/tcp/1", "ip6": "/ip6/2001:db8::1/udp/1/quic-v1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := resources()
			must(t, err)
			t.Cleanup(func() { must(t, m.Close()) })
			for i := range 200 {
				dir := []network.Direction{network.DirInbound, network.DirOutbound}[i%2]
				c, err := m.OpenConnection(dir, name == "ip4", ma.StringCast(addr))
				if err != nil {
					t.Fatalf("connection %d: %v", i, err)
				}
				t.Cleanup(c.Done)
				id := peer.ID(fmt.Sprint("peer", i))
				if err := c.SetPeer(id); err != nil {
					t.Fatalf("peer %d: %v", i, err)
				}
				for _, p := range []protocol.ID{"/shoal/exchange/1.0.0", "/shoal/pieces/1.0.0", "/shoal/kad/1.0.0", "/ipfs/id/1.0.0"} {
					for _, dir := range []network.Direction{network.DirInbound, network.DirOutbound} {
						s, err := m.OpenStream(id, dir)
						if err == nil {
							t.Cleanup(s.Done)
							err = s.SetProtocol(p)
						}
						if err != nil {
							t.Fatalf("%s of peer %d: %v", p, i, err)
						}
					}
				}
			}
		})
	}
}
