package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestRankVectors holds the ranks still: all versions of all nodes have to
// agree on them.
func TestRankVectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		node  string
		group uint64
		want  uint64
	}{
		{"", 0, 0xe9d327596b869820},
		{"12D3KooWA", 0, 0x218dc52ed26ee236},
		{"12D3KooWA", 1, 0x4a3028d218f57fab},
		{"12D3KooWB", 1, 0x63c90ef87559a4ff},
	} {
		if got := mix(hash(c.node), c.group); got != c.want {
			t.Errorf("rank of %q in group %d is %#x, want %#x", c.node, c.group, got, c.want)
		}
	}
}

// TestRanksDivide has N nodes that fetch from the origin and see each other
// divide the pieces: each piece falls to exactly one of them, and nobody has more
// than twice his share.
func TestRanksDivide(t *testing.T) {
	t.Parallel()
	const nodes, pieces = 10, 1024
	sizes := make([]int, pieces)
	for i := range sizes {
		sizes[i] = 1 << 20
	}
	owners := make([]int, pieces)
	for n := range nodes {
		p := New(Config{Class: Economy}, sizes, fmt.Sprint("node", n), rand.New(rand.NewPCG(1, uint64(n))))
		p.WantAll(epoch)
		for m := range nodes {
			if m != n {
				p.OnPeer(epoch, fmt.Sprint("node", m))
				p.OnClaim(epoch, fmt.Sprint("node", m), m, epoch.Add(time.Second))
			}
		}
		mine := 0
		for i := range owners {
			if p.eligible(i) {
				owners[i]++
				mine++
			}
		}
		if mine > 2*pieces/nodes {
			t.Errorf("node %d has %d of %d pieces", n, mine, pieces)
		}
	}
	for i, n := range owners {
		if n != 1 {
			t.Fatalf("piece %d falls to %d nodes", i, n)
		}
	}
}
