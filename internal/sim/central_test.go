package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/exchange/upload"
)

// A central schedule reaches M + log2 N slots, the optimum of Mundinger, Weber &
// Weiss for a holder and N = 2^k downloaders of one upload rate: the network
// neither adds to it nor takes away.
//
// In every slot the downloaders are k groups, of which the i-th has 2^i members
// that all send the piece that the holder gave out i+1 slots ago, and one that
// is idle. The largest group sends to all others, and so is done with its piece;
// its members are who the holder and the other groups send to.
func TestCentralSchedule(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ k, pieces int }{{1, 5}, {2, 1}, {3, 8}, {5, 100}, {8, 20}} {
		t.Run(fmt.Sprintf("N=%d/M=%d", 1<<tt.k, tt.pieces), func(t *testing.T) {
			t.Parallel()
			const slot = 100 * time.Millisecond
			rate := float64(block) / slot.Seconds()
			peers := []Peer{{Up: rate, Down: rate, Holder: true}}
			for range 1 << tt.k {
				peers = append(peers, Peer{Up: rate, Down: rate})
			}
			c := New(Config{Peers: peers, Pieces: tt.pieces, Piece: block, RTT: -1})
			s := &central{c: c, groups: make([][]*peer, tt.k)}
			for _, p := range c.peers {
				p.here = true
				for _, l := range p.links {
					l.live, l.delay = true, 0
				}
			}
			var next func(n int)
			next = func(n int) {
				if n < tt.pieces+tt.k {
					s.slot(n)
					c.after(slot, func() { next(n + 1) })
				}
			}
			next(0)
			for c.first() < never {
				ev := c.pop()
				if ev.kind == arrived {
					s.arrived(ev)
				} else {
					c.happen(ev)
				}
			}
			for _, p := range c.peers {
				if p.count != tt.pieces {
					t.Fatalf("%s has %d pieces of %d", p.key, p.count, tt.pieces)
				}
			}
			if want := time.Duration(tt.pieces+tt.k) * slot; s.last != want {
				t.Errorf("took %v, want %v", s.last, want)
			}
		})
	}
}

// central is the schedule; groups[i] send piece slot-1-i.
type central struct {
	c      *Crowd
	groups [][]*peer
	last   time.Duration
}

func (s *central) slot(n int) {
	k := len(s.groups)
	largest := s.groups[k-1]
	var rest, to []*peer
	for _, p := range s.c.peers[1:] {
		if !slices.Contains(largest, p) {
			rest = append(rest, p)
		}
		if n >= k && slices.Contains(largest, p) || n < k && p.count == 0 {
			to = append(to, p)
		}
	}
	for i, p := range largest {
		s.send(p, rest[i], n-k)
	}
	next := make([][]*peer, k)
	if n < len(s.c.sizes) {
		s.send(s.c.peers[0], to[0], n)
		next[0], to = to[:1:1], to[1:]
	}
	for i, group := range s.groups[:k-1] {
		next[i+1] = slices.Concat(group, to[:len(group)])
		for j, p := range group {
			s.send(p, to[j], n-1-i)
		}
		to = to[len(group):]
	}
	s.groups = next
}

func (s *central) send(from, to *peer, piece int) {
	s.c.put(from.byKey[to.key], &frame{Part: upload.Part{Piece: piece, Count: 1}})
}

func (s *central) arrived(ev event) {
	if ev.link.self.add(ev.frame.Piece) {
		s.last = max(s.last, s.c.now)
	}
}
