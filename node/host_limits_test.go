package node

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
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
