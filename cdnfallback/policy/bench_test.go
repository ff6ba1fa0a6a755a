package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkPiece is what one piece from a peer costs: holders, asked, bytes,
// done, and three Advance, with 80 peers and nothing for the origin to do; and
// with rarely anything that falls to this node.
func BenchmarkPiece(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		for _, kind := range []string{"held", "orphans"} {
			b.Run(fmt.Sprintf("%s/pieces=%d", kind, n), func(b *testing.B) {
				sizes := make([]int, n)
				for i := range sizes {
					sizes[i] = 1 << 20
				}
				p := New(Config{Class: Economy}, sizes, "self", rand.New(rand.NewPCG(1, 2)))
				now := epoch
				p.WantAll(now)
				p.OnLooked(now, 80)
				for i := range 80 {
					p.OnPeer(now, fmt.Sprint(i))
				}
				for i := range n {
					if kind == "held" {
						p.OnHolders(now, i, 40)
					}
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					piece := i % n
					p.OnHolders(now, piece, 1+i/n%40)
					p.OnAsked(now, piece, true)
					p.Advance(now)
					now = now.Add(time.Millisecond)
					p.OnAsked(now, piece, false)
					p.Advance(now)
					p.OnBytes(now, 1<<20)
					p.Done(now, piece)
					p.Advance(now)
					p.Lost(now, (piece+n/2)%n)
				}
			})
		}
	}
}
