package dhttest

import (
	"context"
	"errors"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	mh "github.com/multiformats/go-multihash"

	"github.com/shoal-p2p/shoal/dht"
)

// Node is one member of a swarm under test.
type Node struct {
	dht.Router
	Self peer.AddrInfo
}

// Swarm makes n routers that know each other and runs body with them. It closes
// them afterwards. It is called from parallel subtests; where virtual time is
// used, body runs inside the bubble.
type Swarm func(t *testing.T, n int, body func(t *testing.T, nodes []Node))

// Root returns a CID for name: version 1, raw, sha2-256.
func Root(t testing.TB, name string) cid.Cid {
	t.Helper()
	sum, err := mh.Sum([]byte(name), mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, sum)
}

// All drains ch.
func All(ch <-chan peer.AddrInfo) []peer.AddrInfo {
	var out []peer.AddrInfo
	for p := range ch {
		out = append(out, p)
	}
	return out
}

// Run runs the suite.
func Run(t *testing.T, swarm Swarm) {
	for _, tt := range []struct {
		name  string
		nodes int
		body  func(*testing.T, []Node)
	}{
		{"found by another", 3, foundByAnother},
		{"self left out", 2, selfLeftOut},
		{"each once", 5, eachOnce},
		{"limit", 5, limit},
		{"codec does not matter", 2, codec},
		{"unknown root", 2, unknown},
		{"undefined root", 2, undefined},
		{"nobody to tell", 1, nobody},
		{"ended context", 3, endedContext},
		{"close twice", 2, closeTwice},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			swarm(t, tt.nodes, tt.body)
		})
	}
}

func provide(t *testing.T, n Node, c cid.Cid) {
	t.Helper()
	if err := n.Provide(t.Context(), c); err != nil {
		t.Fatalf("Provide: %v", err)
	}
}

func foundByAnother(t *testing.T, nodes []Node) {
	root := Root(t, "found")
	provide(t, nodes[1], root)
	got := All(nodes[2].Find(t.Context(), root, 0))
	if len(got) != 1 || got[0].ID != nodes[1].Self.ID {
		t.Fatalf("found %v, want %v", got, nodes[1].Self.ID)
	}
	if len(got[0].Addrs) == 0 {
		t.Errorf("the provider has no address")
	}
	for _, n := range nodes {
		if n.Size() != len(nodes)-1 {
			t.Errorf("Size = %d, want %d", n.Size(), len(nodes)-1)
		}
		if m := n.Mode(); m != dht.ModeServer && m != dht.ModeClient {
			t.Errorf("Mode = %q", m)
		}
	}
}

func selfLeftOut(t *testing.T, nodes []Node) {
	root := Root(t, "self")
	provide(t, nodes[0], root)
	if got := All(nodes[0].Find(t.Context(), root, 0)); len(got) != 0 {
		t.Errorf("found itself: %v", got)
	}
}

func eachOnce(t *testing.T, nodes []Node) {
	root := Root(t, "once")
	for _, n := range nodes[1:] {
		provide(t, n, root)
		provide(t, n, root)
	}
	seen := make(map[peer.ID]int)
	for _, p := range All(nodes[0].Find(t.Context(), root, 0)) {
		seen[p.ID]++
	}
	for _, n := range nodes[1:] {
		if seen[n.Self.ID] != 1 {
			t.Errorf("%v was found %d times, want once", n.Self.ID, seen[n.Self.ID])
		}
	}
	if len(seen) != len(nodes)-1 {
		t.Errorf("found %d peers, want %d", len(seen), len(nodes)-1)
	}
}

func limit(t *testing.T, nodes []Node) {
	root := Root(t, "limit")
	for _, n := range nodes[1:] {
		provide(t, n, root)
	}
	if got := All(nodes[0].Find(t.Context(), root, 2)); len(got) != 2 {
		t.Errorf("found %d providers, want the limit of 2", len(got))
	}
	// The finder itself must not use up the limit.
	provide(t, nodes[0], root)
	if got := All(nodes[0].Find(t.Context(), root, 4)); len(got) != 4 {
		t.Errorf("found %d providers as one of them, want 4", len(got))
	}
}

func codec(t *testing.T, nodes []Node) {
	raw := Root(t, "codec")
	provide(t, nodes[0], raw)
	if got := All(nodes[1].Find(t.Context(), cid.NewCidV1(cid.DagProtobuf, raw.Hash()), 0)); len(got) != 1 {
		t.Errorf("found %d providers under the other codec, want 1", len(got))
	}
}

func unknown(t *testing.T, nodes []Node) {
	if got := All(nodes[0].Find(t.Context(), Root(t, "unknown"), 0)); len(got) != 0 {
		t.Errorf("found %v for a root that nobody has", got)
	}
}

func undefined(t *testing.T, nodes []Node) {
	if err := nodes[0].Provide(t.Context(), cid.Undef); err == nil {
		t.Error("Provide of no CID succeeded")
	}
	if got := All(nodes[0].Find(t.Context(), cid.Undef, 0)); len(got) != 0 {
		t.Errorf("found %v for no CID", got)
	}
}

func nobody(t *testing.T, nodes []Node) {
	root := Root(t, "nobody")
	if err := nodes[0].Provide(t.Context(), root); !errors.Is(err, dht.ErrNoPeers) {
		t.Errorf("Provide alone = %v, want ErrNoPeers", err)
	}
	if got := All(nodes[0].Find(t.Context(), root, 0)); len(got) != 0 {
		t.Errorf("found %v alone", got)
	}
	if n := nodes[0].Size(); n != 0 {
		t.Errorf("Size alone = %d", n)
	}
}

func endedContext(t *testing.T, nodes []Node) {
	root := Root(t, "ended")
	for _, n := range nodes[1:] {
		provide(t, n, root)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ch := nodes[0].Find(ctx, root, 0)
	<-ch
	cancel()
	rest := 0
	for range ch { // must be closed, or this hangs
		rest++
	}
	if rest > 1 {
		t.Errorf("%d providers came after the end", rest)
	}
	if err := nodes[1].Provide(ctx, root); err == nil {
		t.Error("Provide with an ended context succeeded")
	}
}

func closeTwice(t *testing.T, nodes []Node) {
	for i := range 2 {
		if err := nodes[0].Close(); err != nil {
			t.Errorf("Close %d: %v", i+1, err)
		}
	}
}
