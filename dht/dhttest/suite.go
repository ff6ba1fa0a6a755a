package dhttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
		{"many found by another", 3, manyFound},
		{"two of many", 3, twoOfMany},
		{"many at once", 3, manyAtOnce},
		{"none of many", 2, noneOfMany},
		{"many and nobody to tell", 1, manyNobody},
		{"many in an ended context", 2, manyEnded},
		{"withdrawn and provided again", 2, withdrawn},
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

// Keys are the multihashes of n CIDs, which Root names PREFIX0, PREFIX1, …
func Keys(t testing.TB, prefix string, n int) []mh.Multihash {
	t.Helper()
	out := make([]mh.Multihash, n)
	for i := range out {
		out[i] = Root(t, fmt.Sprint(prefix, i)).Hash()
	}
	return out
}

// provideMany announces keys, some of them twice, and checks what is said of the cost.
func provideMany(t *testing.T, n Node, keys []mh.Multihash) {
	t.Helper()
	cost, err := n.ProvideMany(t.Context(), append(keys[:len(keys):len(keys)], keys[:len(keys)/2]...))
	if err != nil {
		t.Errorf("ProvideMany: %v", err)
		return
	}
	if cost.Keys != len(keys) || cost.Peers != n.Size() || cost.Records != len(keys)*n.Size() {
		t.Errorf("%d keys among %d others cost %+v", len(keys), n.Size(), cost)
	}
}

// foundOne checks that holder, and nobody else, is found for each key.
func foundOne(t *testing.T, finder, holder Node, keys []mh.Multihash) {
	t.Helper()
	for i, key := range keys {
		got := All(finder.Find(t.Context(), cid.NewCidV1(cid.Raw, key), 0))
		if len(got) != 1 || got[0].ID != holder.Self.ID || len(got[0].Addrs) == 0 {
			t.Fatalf("key %d: found %v, want %v with an address", i, got, holder.Self.ID)
		}
	}
}

func manyFound(t *testing.T, nodes []Node) {
	keys := Keys(t, "many", 100)
	provideMany(t, nodes[1], keys)
	foundOne(t, nodes[2], nodes[1], keys)
	if got := All(nodes[2].Find(t.Context(), Root(t, "many100"), 0)); len(got) != 0 {
		t.Errorf("found %v for a key that was not among them", got)
	}
}

func twoOfMany(t *testing.T, nodes []Node) {
	for _, n := range []int{1, 2} {
		keys := Keys(t, fmt.Sprint("few", n, "-"), n)
		provideMany(t, nodes[1], keys)
		foundOne(t, nodes[0], nodes[1], keys)
	}
}

func manyAtOnce(t *testing.T, nodes []Node) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { provideMany(t, nodes[0], Keys(t, fmt.Sprint("at once ", i, "-"), 10)) })
	}
	wg.Wait()
	for i := range 4 {
		foundOne(t, nodes[1], nodes[0], Keys(t, fmt.Sprint("at once ", i, "-"), 10))
	}
}

func noneOfMany(t *testing.T, nodes []Node) {
	if cost, err := nodes[0].ProvideMany(t.Context(), nil); err != nil || cost.Records != 0 || cost.Keys != 0 {
		t.Errorf("ProvideMany of nothing = %+v, %v", cost, err)
	}
	if _, err := nodes[0].ProvideMany(t.Context(), []mh.Multihash{Root(t, "x").Hash(), nil}); err == nil {
		t.Error("ProvideMany of no key succeeded")
	}
}

func manyNobody(t *testing.T, nodes []Node) {
	if _, err := nodes[0].ProvideMany(t.Context(), Keys(t, "alone", 5)); !errors.Is(err, dht.ErrNoPeers) {
		t.Errorf("ProvideMany alone = %v, want ErrNoPeers", err)
	}
}

func manyEnded(t *testing.T, nodes []Node) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := nodes[0].ProvideMany(ctx, Keys(t, "ended", 5)); !errors.Is(err, context.Canceled) {
		t.Errorf("ProvideMany with an ended context = %v", err)
	}
	provideMany(t, nodes[0], Keys(t, "ended", 5)) // as if nothing had been
}

func withdrawn(t *testing.T, nodes []Node) {
	root := Root(t, "withdrawn")
	nodes[0].Withdraw(root) // never provided
	nodes[0].Withdraw(cid.Undef)
	provide(t, nodes[0], root)
	nodes[0].Withdraw(root)
	provide(t, nodes[0], root)
	foundOne(t, nodes[1], nodes[0], []mh.Multihash{root.Hash()})
}

func closeTwice(t *testing.T, nodes []Node) {
	for i := range 2 {
		if err := nodes[0].Close(); err != nil {
			t.Errorf("Close %d: %v", i+1, err)
		}
	}
}
