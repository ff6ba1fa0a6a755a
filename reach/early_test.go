package reach

import (
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// TestEarly: of a connection that was made before anybody listened it is known how it
// came to be.
func TestEarly(t *testing.T) {
	t.Parallel()
	_, other := start(t, Config{})
	r := New(Config{})
	h, err := libp2p.New(append(r.Options(), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(),
		libp2p.ResourceManager(&network.NullResourceManager{}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	r.Bind(h)
	if err := h.Connect(t.Context(), peer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()}); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(h); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if how, _ := r.How(h.Network().ConnsToPeer(other.ID())[0]); how != "dial" {
		t.Errorf("it came by %q, want dial", how)
	}
}
