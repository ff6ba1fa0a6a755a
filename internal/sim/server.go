package sim

import (
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// Limits of exchange, see exchange/wire.go and exchange/server.go.
const (
	block     = 64 << 10
	maxBlocks = 32
	maxQueued = 1 << 12
	perPeer   = 2
	slotTime  = time.Second
)

// server is the upload side of a peer: exchange's lane, its ledger and slots.
type server struct {
	slots  int
	ledger *ledger.Ledger
}

// item is a request that waits, a run of blocks of one piece.
type item struct{ piece, first, count int }

// frame is what is on its way through a slot.
type frame struct {
	item
	sent, gone int // blocks that the line has begun to send, and has sent
	vacated    bool
}

// queue takes a request; false when the peer has too many waiting.
func (c *Crowd) queue(l *link, it item) bool {
	if len(l.items) >= maxQueued {
		return false
	}
	l.items = append(l.items, it)
	l.blocks += it.count
	c.expose(l)
	return true
}

// expose tells the ledger of the blocks that may be served now.
func (c *Crowd) expose(l *link) {
	want := l.blocks
	if l.busy >= perPeer {
		want = 0
	}
	switch now := c.clock(); {
	case want > l.exposed:
		l.self.ledger.Queue(now, ledger.PeerKey(l.other.key), int64(want-l.exposed)*block)
	case want < l.exposed:
		l.self.ledger.Unqueue(now, ledger.PeerKey(l.other.key), int64(l.exposed-want)*block)
	}
	l.exposed = want
}

// dispatch gives out the free slots.
func (c *Crowd) dispatch(p *peer) {
	for p.slots > 0 {
		key, ok := p.ledger.Next(c.clock())
		if !ok {
			return
		}
		l := p.byKey[string(key)]
		it := l.items[0]
		if it.count > maxBlocks {
			l.items[0].first += maxBlocks
			l.items[0].count -= maxBlocks
			it.count = maxBlocks
		} else {
			l.items = l.items[1:]
		}
		l.blocks -= it.count
		l.busy++
		c.expose(l)
		p.slots--
		c.upload(l, &frame{item: it})
	}
}

// upload serves one frame: it holds its slot until it is written, slotTime at most.
func (c *Crowd) upload(l *link, f *frame) {
	c.after(slotTime, func() { c.vacate(l.self, f) })
	l.writing = append(l.writing, f)
	c.put(l, f)
}

func (c *Crowd) vacate(p *peer, f *frame) {
	if !f.vacated {
		f.vacated = true
		p.slots++
		c.dispatch(p)
	}
}

// written accounts a frame that was sent.
func (c *Crowd) written(l *link, f *frame) {
	p, n := l.self, c.span(f.piece, f.first, f.count)
	p.sentAll += int64(n)
	l.sent += int64(n)
	if !f.vacated {
		f.vacated = true
		p.slots++
	}
	if l.live {
		p.ledger.OnSent(c.clock(), ledger.PeerKey(l.other.key), int64(n))
		l.busy--
		c.expose(l)
	}
	c.dispatch(p)
}

// unqueue takes the waiting parts of a piece off a peer's queue.
func (c *Crowd) unqueue(l *link, piece int) {
	kept := l.items[:0]
	l.blocks = 0
	for _, it := range l.items {
		if it.piece != piece {
			kept = append(kept, it)
			l.blocks += it.count
		}
	}
	l.items = kept
	c.expose(l)
}
