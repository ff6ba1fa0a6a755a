package sim

import (
	"time"

	"github.com/shoal-p2p/shoal/exchange/upload"
)

// Of internal/freerider.
const (
	grabWindow = 3 // pieces asked of one peer at a time
	grabCopies = 3 // peers that one piece is asked of
	grabStuck  = 5 * time.Second
	grabTick   = 100 * time.Millisecond
	grabPause  = 5 * time.Millisecond // between two looks, which cost the simulation much
)

// grab is the download of a client made to free-ride, as internal/freerider: it asks
// everybody for pieces at random, those first that it asked nobody for, and never says
// that it asked others too.
type grab struct {
	heard map[*link][]uint64              // what others have
	asked map[*link]map[int]time.Duration // when a block last came, or it was asked
	first time.Duration                   // of the next look at what is stuck
}

func newGrab() *grab {
	return &grab{heard: map[*link][]uint64{}, asked: map[*link]map[int]time.Duration{}}
}

// hear notes what the other end has.
func (g *grab) hear(l *link, first, count int, pieces int) {
	if g.heard[l] == nil {
		g.heard[l] = make([]uint64, (pieces+63)/64)
		g.asked[l] = map[int]time.Duration{}
	}
	for i := first; i < first+count; i++ {
		g.heard[l][i>>6] |= 1 << (i & 63)
	}
}

func (g *grab) forget(l *link) {
	delete(g.heard, l)
	delete(g.asked, l)
}

// came notes blocks of a piece.
func (g *grab) came(now time.Duration, l *link, piece int) {
	if of := g.asked[l]; of != nil {
		if _, ok := of[piece]; ok {
			of[piece] = now
		}
	}
}

// grabs is think of such a client.
func (c *Crowd) grabs(p *peer) {
	g := p.grab
	if c.now >= g.first {
		g.first = c.now + grabTick
		for _, l := range p.links {
			for piece, at := range g.asked[l] {
				if c.now-at > grabStuck {
					c.ungrab(l, piece)
				}
			}
		}
	}
	total := make([]int, len(c.sizes))
	for _, l := range p.links {
		for piece := range g.asked[l] {
			total[piece]++
		}
	}
	for _, at := range p.rng.Perm(len(p.links)) {
		if l := p.links[at]; l.live && g.asked[l] != nil {
			c.grabFrom(l, total)
		}
	}
	c.wakeAt(p, g.first)
}

// grabFrom fills the window of the other end, of pieces that were asked of so many.
func (c *Crowd) grabFrom(l *link, total []int) {
	p, of, heard := l.self, l.self.grab.asked[l], l.self.grab.heard[l]
	for asked := 0; asked < grabCopies; asked++ {
		from := p.rng.IntN(len(total))
		for i := range total {
			if len(of) >= grabWindow {
				return
			}
			piece := (from + i) % len(total)
			if _, ok := of[piece]; ok || total[piece] != asked || p.has(piece) || heard[piece>>6]>>(piece&63)&1 == 0 {
				continue
			}
			of[piece] = c.now
			total[piece]++
			l.pending = append(l.pending, incoming{piece, 1<<c.blocks(piece) - 1})
			c.grabPiece(l, piece)
		}
	}
}

// grabPiece asks the other end for a piece, or takes its offer of one.
func (c *Crowd) grabPiece(l *link, piece int) {
	ask := upload.Part{Root: root, Piece: piece, Count: c.blocks(piece), Size: c.sizes[piece]}
	c.tell(l, func(c *Crowd) { c.onRequest(l.back, []upload.Part{ask}) })
}

// ungrab takes back what was asked of the other end.
func (c *Crowd) ungrab(l *link, piece int) {
	delete(l.self.grab.asked[l], piece)
	l.drop(piece)
	c.cancel(l, piece)
}

// grabbed takes back what was asked of others of a piece that is here now.
func (c *Crowd) grabbed(p *peer, piece int) {
	for _, l := range p.links {
		if _, ok := p.grab.asked[l][piece]; ok {
			c.ungrab(l, piece)
		}
	}
}
