package sim

import (
	"math/bits"

	"github.com/shoal-p2p/shoal/exchange/pick"
)

// forward passes on what comes of a piece, as node's and exchange's forwarding do:
// if that is worth while, from a peer that is trusted.
func (c *Crowd) forward(l *link, in *incoming) {
	p := l.self
	came := bits.TrailingZeros32(in.missing)
	from, passed := p.partial[in.piece]
	switch {
	case came == 0 || c.cfg.Whole || !p.tells() || p.spec.Rides || p.has(in.piece) || passed && from != l:
		return
	case !passed:
		if !p.uploads.Worth(root, in.piece) || !p.picker.Trusted(pick.PeerKey(l.other.key)) {
			return
		}
		p.partial[in.piece] = l
		p.coming = append(p.coming, in.piece)
		c.batchSoon(p)
	}
	p.uploads.OnPartial(c.clock(), root, in.piece, min(came, c.blocks(in.piece)))
	c.dispatch(p)
}

// unforward ends the passing on of a piece of which nothing more comes.
func (c *Crowd) unforward(l *link, piece int) {
	p := l.self
	if from, ok := p.partial[piece]; !ok || from != l {
		return
	}
	delete(p.partial, piece)
	p.uploads.Withdraw(c.clock(), root, piece)
	for _, to := range p.links {
		c.tell(to, func(c *Crowd) {
			if to.other.picker != nil && to.back.asks != nil {
				to.other.picker.OnUnhave(c.clock(), pick.PeerKey(p.key), piece, 1)
				c.poke(to.other)
			}
		})
	}
}

// unforwardAll is unforward of all that came over a link.
func (c *Crowd) unforwardAll(l *link) {
	for _, in := range append([]incoming(nil), l.pending...) {
		c.unforward(l, in.piece)
	}
}

// tellPartial tells all peers what is coming, with the batch.
func (c *Crowd) tellPartial(p *peer) {
	coming := p.coming
	p.coming = nil
	if len(coming) == 0 {
		return
	}
	for _, to := range p.links {
		c.tell(to, func(c *Crowd) {
			if to.other.picker == nil || to.back.asks == nil {
				return
			}
			for _, piece := range coming {
				to.other.picker.OnPartial(c.clock(), pick.PeerKey(p.key), piece)
			}
			c.poke(to.other)
		})
	}
}
