package sim

import (
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
	"github.com/shoal-p2p/shoal/exchange/pick"
	"github.com/shoal-p2p/shoal/exchange/upload"
)

// Limits of exchange, see exchange/wire.go and exchange/server.go.
const (
	block     = 64 << 10
	maxBlocks = 32
	maxQueued = 1 << 12
	perPeer   = 2
	slotTime  = time.Second
)

// root is the one that all peers share.
var root upload.RootKey = "root"

// server is the upload side of a peer: exchange's lane.
type server struct {
	slots   int // free
	uploads *upload.Uploads
	alarm   time.Duration // when uploads are asked again without an event
}

// frame is what goes out through a slot.
type frame struct {
	upload.Part
	sent, gone int // blocks that the line has begun to send, and has sent
	vacated    bool
}

// dispatch gives out the free slots.
func (c *Crowd) dispatch(p *peer) {
	c.learnCopies(p)
	for p.slots > 0 {
		key, part, ok := p.uploads.Next(c.clock())
		for _, o := range p.uploads.Offers() {
			c.offer(p.byKey[string(o.Peer)], o.Piece)
		}
		if !ok {
			c.alarm(p)
			return
		}
		p.slots--
		c.upload(p.byKey[string(key)], &frame{Part: part})
	}
}

// offer asks the other end whether it still wants a piece.
func (c *Crowd) offer(l *link, piece int) {
	c.tell(l, func(c *Crowd) {
		if l.other.grab != nil && l.back.waiting(piece) != nil {
			c.grabPiece(l.back, piece)
			return
		}
		if l.other.picker == nil || l.back.waiting(piece) == nil {
			c.cancel(l.back, piece)
			return
		}
		l.other.picker.OnOffer(c.clock(), pick.PeerKey(l.self.key), piece)
		c.poke(l.other)
	})
}

// alarm has the dispatcher look again when uploads say so.
func (c *Crowd) alarm(p *peer) {
	at := p.uploads.Deadline()
	if at.IsZero() {
		return
	}
	due := at.Sub(epoch)
	if p.alarm > c.now && p.alarm <= due {
		return
	}
	p.alarm = due
	c.after(due-c.now, func() {
		if p.alarm == c.now {
			c.dispatch(p)
		}
	})
}

// upload serves one frame: it holds its slot until it is written, slotTime at most.
func (c *Crowd) upload(l *link, f *frame) {
	l.writing = append(l.writing, f)
	c.put(l, f)
	if !f.vacated {
		c.after(slotTime, func() {
			c.vacate(l.self, f)
			c.dispatch(l.self)
		})
	}
}

func (c *Crowd) vacate(p *peer, f *frame) {
	if !f.vacated {
		f.vacated = true
		p.slots++
	}
}

// written tells that a frame was handed to the transport.
func (c *Crowd) written(l *link, f *frame) {
	c.vacate(l.self, f)
	if l.live {
		l.self.uploads.OnSent(c.clock(), ledger.PeerKey(l.other.key), f.Part, true)
	}
}
