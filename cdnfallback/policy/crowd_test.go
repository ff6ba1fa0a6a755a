package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestCrowdCopies has crowds begin together, with nobody but the origin holding
// anything, and counts the copies that it sends: in small crowds that see each
// other and in a large one of which each sees a few. The other side is a rough
// one: pieces go from node to node at a rate, one at a time; claims take
// 40 ms a hop and haves 60.
func TestCrowdCopies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                string
		class               Class
		nodes, view, pieces int
		origin, up          float64 // pieces/s
		copies              float64 // at most
	}{
		{"8 in a hurry", Interactive, 8, 7, 128, 12, 6, 1.15},
		{"8 that save", Economy, 8, 7, 128, 12, 6, 1.08},
		{"32, a piece for each", Economy, 32, 31, 32, 3, 1.5, 1.1},
		{"5 of 3 pieces", Interactive, 5, 4, 3, 12, 6, 1.4},
		{"a fast origin", Economy, 20, 19, 64, 400, 12, 1.15},
		{"200 with views of 20", Economy, 200, 20, 256, 25, 2, 1.15},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newCrowd(c.class, c.nodes, c.view, c.pieces)
			s.origin, s.up = c.origin, c.up
			for s.now.Before(epoch.Add(20*time.Minute)) && s.step() {
			}
			copies := float64(s.sent) / float64(c.pieces)
			t.Logf("%.3f copies, first complete after %v, last %v; requested twice: %v", copies, s.first, s.now.Sub(epoch), s.again)
			if s.left > 0 || copies > c.copies {
				t.Errorf("%d nodes are not done, %.3f copies; want at most %.2f", s.left, copies, c.copies)
			}
		})
	}
}

const crowdTick = 20 * time.Millisecond

type crowdSim struct {
	rng        *rand.Rand
	now        time.Time
	nodes      []*simNode
	origin, up float64
	sent, left int
	first      time.Duration
	again      map[string]int // pieces requested twice, by why
	later      []later        // events under way, in order of time but for relays
}

type later struct {
	at time.Time
	do func()
}

type simNode struct {
	name    string
	p       *Policy
	peers   []int
	has     []bool
	count   int
	known   []map[int]bool // by piece: peers that have it
	flights []*landing
	credit  float64
	sendTo  int // who gets the piece under way, -1: nobody
	piece   int
	coming  map[int]bool
}

func newCrowd(class Class, nodes, view, pieces int) *crowdSim {
	s := &crowdSim{again: map[string]int{}, rng: rand.New(rand.NewPCG(7, uint64(nodes))), now: epoch, left: nodes}
	sizes := make([]int, pieces)
	for i := range sizes {
		sizes[i] = 1 << 20
	}
	for i := range nodes {
		n := &simNode{
			name: fmt.Sprint("n", i), has: make([]bool, pieces), sendTo: -1, coming: map[int]bool{},
			p: New(Config{Class: class}, sizes, fmt.Sprint("n", i), rand.New(rand.NewPCG(9, uint64(i)))),
		}
		for range pieces {
			n.known = append(n.known, map[int]bool{})
		}
		n.p.WantAll(epoch)
		s.nodes = append(s.nodes, n)
	}
	linked := map[[2]int]bool{}
	for a := range s.nodes {
		for _, b := range s.rng.Perm(nodes) {
			if a == b || linked[[2]int{a, b}] || len(s.nodes[a].peers) >= view || len(s.nodes[b].peers) >= view && view < nodes-1 {
				continue
			}
			linked[[2]int{a, b}], linked[[2]int{b, a}] = true, true
			s.nodes[a].peers = append(s.nodes[a].peers, b)
			s.nodes[b].peers = append(s.nodes[b].peers, a)
		}
	}
	for i, n := range s.nodes { // they find each other within the first second
		met := time.Duration(s.rng.Int64N(int64(200 * time.Millisecond)))
		s.after(met, func() {
			for _, j := range s.nodes[i].peers {
				n.p.OnPeer(s.now, s.nodes[j].name)
				s.nodes[j].p.OnPeer(s.now, n.name)
			}
			n.p.OnLooked(s.now, len(n.peers))
		})
	}
	return s
}

func (s *crowdSim) after(d time.Duration, do func()) {
	s.later = append(s.later, later{s.now.Add(d), do})
}

// step lets a tick pass; false when all is done.
func (s *crowdSim) step() bool {
	s.now = s.now.Add(crowdTick)
	due := s.later
	s.later = nil
	for _, e := range due {
		if e.at.After(s.now) {
			s.later = append(s.later, e)
		} else {
			e.do()
		}
	}
	flying := 0
	for i, n := range s.nodes {
		for _, sp := range n.p.Advance(s.now) {
			n.flights = append(n.flights, &landing{Spend: sp, began: s.now, next: sp.First, told: s.now})
			s.twice(i, sp)
			s.claim(i, sp)
		}
		for _, f := range n.flights {
			if s.now.Sub(f.told) > 2*f.Claim/3 {
				f.told = s.now
				s.claim(i, f.Spend)
			}
		}
		flying += len(n.flights)
	}
	for i, n := range s.nodes {
		for _, f := range append([]*landing(nil), n.flights...) {
			s.land(i, f, s.origin*crowdTick.Seconds()/float64(flying))
		}
		s.upload(i)
	}
	return s.left > 0
}

// twice counts the pieces of a request that somebody else has or fetches, by why.
func (s *crowdSim) twice(i int, sp Spend) {
	for k := sp.First; k < sp.First+sp.Count; k++ {
		for j, m := range s.nodes {
			what := ""
			if j != i && m.has[k] {
				what = "had"
			}
			for _, f := range m.flights {
				if j != i && k >= f.First && k < f.First+f.Count {
					what = "fetched"
					if s.now.Sub(f.began) > 250*time.Millisecond {
						what = "fetched since long"
					}
				}
			}
			if what != "" {
				s.again[string(sp.Reason)+" of what is "+what]++
				break
			}
		}
	}
}

// relayMost is how often node relays a claim.
const relayMost = 2

// claim tells the peers of i, and by them theirs.
func (s *crowdSim) claim(i int, sp Spend) {
	s.tell(i, i, sp, s.now.Add(sp.Claim), 0)
}

// tell has i tell all its peers but one of a claim that was relayed so often.
func (s *crowdSim) tell(i, but int, sp Spend, until time.Time, relayed int) {
	for _, j := range s.nodes[i].peers {
		if j == but {
			continue
		}
		s.after(40*time.Millisecond, func() {
			p, news := s.nodes[j].p, false
			for k := sp.First; k < sp.First+sp.Count; k++ {
				if relayed == 0 {
					news = p.OnClaim(s.now, s.nodes[i].name, k, until) || news
				} else {
					news = p.OnRelayed(s.now, s.nodes[i].name, k, until) || news
				}
			}
			if news && relayed < relayMost {
				s.tell(j, i, sp, until, relayed+1)
			}
		})
	}
}

// land brings a part of a request; several pieces may come in one tick.
func (s *crowdSim) land(i int, f *landing, pieces float64) {
	n := s.nodes[i]
	for f.bytes += pieces; f.bytes >= 1 && f.next < f.First+f.Count; f.next++ {
		f.bytes--
		s.sent++
		n.p.OnOriginPiece(s.now, f.next)
		s.got(i, f.next)
	}
	if f.next < f.First+f.Count {
		return
	}
	for k, g := range n.flights {
		if g == f {
			n.flights = append(n.flights[:k], n.flights[k+1:]...)
			break
		}
	}
	n.p.OnOriginRate(s.now, float64(f.Count)*(1<<20)/max(s.now.Sub(f.began).Seconds(), 0.01), 20*time.Millisecond)
	n.p.OnOrigin(s.now, f.First, f.Count, true, int64(f.Count)<<20)
}

// got makes a piece a node's own and tells its peers of it.
func (s *crowdSim) got(i, piece int) {
	n := s.nodes[i]
	delete(n.coming, piece)
	n.p.Done(s.now, piece)
	if n.has[piece] {
		return
	}
	n.has[piece] = true
	if n.count++; n.count == len(n.has) {
		if s.left--; s.first == 0 {
			s.first = s.now.Sub(epoch)
		}
	}
	count := n.count
	for _, j := range n.peers {
		s.after(60*time.Millisecond, func() {
			m := s.nodes[j]
			m.known[piece][i] = true
			m.p.OnHolders(s.now, piece, len(m.known[piece]))
			m.p.OnCount(s.now, n.name, count)
		})
	}
}

// upload sends what a node has, a piece at a time, to peers that lack it.
func (s *crowdSim) upload(i int) {
	n := s.nodes[i]
	n.credit = min(n.credit+s.up*crowdTick.Seconds(), 2)
	for n.credit >= 1 {
		n.credit--
		if n.sendTo >= 0 {
			to := s.nodes[n.sendTo]
			if to.coming[n.piece] {
				to.p.OnAsked(s.now, n.piece, false)
				to.p.OnBytes(s.now, 1<<20)
				s.got(n.sendTo, n.piece)
			}
			n.sendTo = -1
		}
		s.choose(i)
	}
	if n.sendTo < 0 {
		s.choose(i)
	}
}

// choose takes the piece that is rarest among those a random peer lacks.
func (s *crowdSim) choose(i int) {
	n := s.nodes[i]
	for _, at := range s.rng.Perm(len(n.peers)) {
		j := n.peers[at]
		to, best := s.nodes[j], -1
		if to.count == len(to.has) {
			continue
		}
		for _, piece := range s.rng.Perm(len(n.has)) {
			if n.has[piece] && !to.has[piece] && !to.coming[piece] && !to.p.pieces[piece].flying && to.known[piece][i] &&
				(best < 0 || len(to.known[piece]) < len(to.known[best])) {
				best = piece
			}
		}
		if best >= 0 {
			n.sendTo, n.piece = j, best
			to.coming[best] = true
			to.p.OnAsked(s.now, best, true)
			return
		}
	}
}
