package pick

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkPiece is what one piece costs the download loop: its request, 16
// blocks in four events, its hash result, the Have of one peer, and five
// Advance, with 80 peers that are seeds or have a random half.
func BenchmarkPiece(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		for _, kind := range []string{"seeds", "halves", "mixed-paths"} {
			b.Run(fmt.Sprintf("%s/pieces=%d", kind, n), func(b *testing.B) {
				s := newBench(n, 80, kind)
				b.ReportAllocs()
				for b.Loop() {
					s.piece()
				}
			})
		}
	}
}

// BenchmarkHave is one piece more at one of 80 peers.
func BenchmarkHave(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("pieces=%d", n), func(b *testing.B) {
			s := newBench(n, 80, "empty")
			for i := 0; b.Loop(); i++ {
				if i%n == n-1 {
					s.p.OnUnhave(s.now, s.keys[i/n%80], 0, n)
				}
				s.p.OnHave(s.now, s.keys[i/n%80], i%n, 1)
			}
		})
	}
}

type bench struct {
	p    *Picker
	now  time.Time
	keys []PeerKey
	rng  *rand.Rand
	todo []Request
	n    int
}

func newBench(n, peers int, kind string) *bench {
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = 1 << 20
	}
	rng := rand.New(rand.NewPCG(1, 2))
	s := &bench{p: New(Config{MaxStarted: 128}, sizes, rng), now: epoch, rng: rng, n: n}
	s.p.WantAll(s.now)
	for i := range peers {
		key := PeerKey(fmt.Sprint(i))
		s.keys = append(s.keys, key)
		path := LAN
		if kind == "mixed-paths" {
			path = Path(i % 3)
		}
		s.p.OnPeer(s.now, key, path, time.Millisecond)
		switch kind {
		case "seeds":
			s.p.OnHave(s.now, key, 0, n)
		case "halves", "mixed-paths":
			for j := range n {
				if rng.IntN(2) == 0 {
					s.p.OnHave(s.now, key, j, 1)
				}
			}
		}
	}
	return s
}

// piece has the next piece asked for arrive, and lose itself again so that the
// download does not end.
func (s *bench) piece() {
	for len(s.todo) == 0 {
		s.advance()
	}
	r := s.todo[0]
	s.todo = s.todo[1:]
	for got := 0; got < r.Count; got += 4 {
		s.p.OnBlocks(s.now, r.Peer, r.Piece, min(4, r.Count-got))
		s.advance()
	}
	if r.First+r.Count < 16 {
		return
	}
	s.p.OnPiece(s.now, r.Peer, r.Piece, true)
	s.p.Lost(s.now, (r.Piece+s.n/2)%s.n)
	s.p.OnHave(s.now, s.keys[s.rng.IntN(80)], r.Piece, 1)
	s.advance()
}

func (s *bench) advance() {
	s.now = s.now.Add(50 * time.Microsecond)
	plan := s.p.Advance(s.now)
	s.todo = append(s.todo, plan.Requests...)
}
