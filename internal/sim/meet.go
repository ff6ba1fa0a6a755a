package sim

import (
	"fmt"

	"github.com/shoal-p2p/shoal/exchange/ledger"
	"github.com/shoal-p2p/shoal/exchange/pick"
)

// connect chooses who will be connected: everybody, or each with half a view of
// others at random, which gives it a whole one on average.
func (c *Crowd) connect() {
	n := len(c.peers)
	for i, p := range c.peers {
		if c.cfg.View == 0 || c.cfg.View >= n-1 || p.spec.Dials {
			for _, q := range c.peers[:i] {
				c.link(p, q)
			}
			continue
		}
		for range c.cfg.View / 2 {
			c.link(p, c.peers[c.rng.IntN(n)])
		}
	}
	for _, p := range c.peers {
		for p.spec.Dials && len(p.links) < n-1 {
			for _, q := range c.peers {
				c.link(p, q)
			}
		}
	}
}

// link has two peers connect when both are here, and returns the view of the
// first; nil if they do already.
func (c *Crowd) link(p, q *peer) *link {
	if p == q || p.byKey[q.key] != nil {
		return nil
	}
	a, b := &link{self: p, other: q}, &link{self: q, other: p}
	a.back, b.back = b, a
	for _, l := range []*link{a, b} {
		l.delay = c.cfg.RTT / 2
		l.window = c.cfg.Window + int(l.self.up*c.cfg.RTT.Seconds())
		l.self.links = append(l.self.links, l)
		l.self.byKey[l.other.key] = l
	}
	return a
}

// arrive starts a peer and connects it to those of its view that are here.
func (c *Crowd) arrive(p *peer) {
	p.here = true
	if !p.spec.Holder {
		c.begin(p)
	}
	p.rng.Shuffle(len(p.links), func(i, j int) { p.links[i], p.links[j] = p.links[j], p.links[i] })
	for _, l := range p.links {
		c.join(l)
	}
	if p.spec.Renames > 0 {
		c.after(p.spec.Renames, func() { c.rename(p) })
	}
}

// join connects two peers. Meeting takes two round trips: the connection, and
// what each opens and has.
func (c *Crowd) join(l *link) {
	c.after(4*l.delay, func() {
		if !l.self.here || !l.other.here || l.live {
			return
		}
		for _, side := range []*link{l, l.back} {
			side.live = true
			key, u := ledger.PeerKey(side.other.key), side.self.uploads
			side.serves = u.OnPeer(c.clock(), key, ledger.Balance{})
			u.OnPlace(key, side.other.spec.Prefix)
			u.Ledger().Prefix(key, side.other.spec.Prefix)
			if c.cfg.Private {
				u.Ledger().Class(key, ledger.Group)
			}
			u.OnTrip(key, 2*l.delay)
		}
		c.meet(l)
		c.meet(l.back)
	})
}

// part ends a connection.
func (c *Crowd) part(l *link) {
	for _, side := range []*link{l, l.back} {
		p := side.self
		c.unforwardAll(side)
		side.live, side.pending = false, nil
		if p.grab != nil {
			p.grab.forget(side)
		}
		side.serves = nil
		p.uploads.OnGone(c.clock(), ledger.PeerKey(side.other.key))
		if p.picker != nil && side.asks != nil {
			p.picker.OnGone(c.clock(), pick.PeerKey(side.other.key))
			p.policy.gone(c, p, side.other.key)
			c.poke(p)
		}
		side.asks = nil
	}
}

// leave ends a peer's part. Those it leaves look for others.
func (c *Crowd) leave(p *peer) {
	if !p.here {
		return
	}
	p.here = false
	if p.fetches() {
		p.picker, p.grab = nil, nil
		p.policy.stop()
		c.lacking--
		c.left++
	}
	for _, l := range p.links {
		if l.live {
			c.part(l)
			c.mend(l.other)
		}
	}
}

// mend connects a peer that lost half of its view to others at random.
func (c *Crowd) mend(p *peer) {
	live := 0
	for _, l := range p.links {
		if l.live {
			live++
		}
	}
	if c.cfg.View > 0 && p.picker != nil && live < c.cfg.View/2 {
		c.meetSome(p, c.cfg.View/2-live)
	}
}

// meetSome connects a peer to others that are here, as a lookup does.
func (c *Crowd) meetSome(p *peer, n int) {
	var here []*peer
	for _, q := range c.peers {
		if q.here && q != p && (p.byKey[q.key] == nil || !p.byKey[q.key].live) {
			here = append(here, q)
		}
	}
	for ; n > 0 && len(here) > 0; n-- {
		i := c.rng.IntN(len(here))
		q := here[i]
		here[i] = here[len(here)-1]
		here = here[:len(here)-1]
		l := p.byKey[q.key]
		if l == nil {
			l = c.link(p, q)
		}
		c.join(l)
	}
}

// lookAgain has a peer that gets nothing look for others.
func (c *Crowd) lookAgain(p *peer) {
	if c.now-p.useful <= starved || c.now-p.sought <= seekEvery {
		return
	}
	p.sought = c.now
	c.raise(0, func(c *Crowd) {
		for _, l := range p.links {
			if l.live && l.asks == nil {
				c.know(l)
			}
		}
		if c.cfg.View > 0 {
			c.meetSome(p, c.cfg.View/4)
		}
	})
}

// rename has a peer come back under a name that nobody knows.
func (c *Crowd) rename(p *peer) {
	if !p.here || !p.fetches() {
		return
	}
	c.renamed++
	old := p.key
	for _, l := range p.links {
		if l.live {
			c.part(l)
		}
	}
	p.key = fmt.Sprintf("%04d.%d", p.index, c.renamed)
	for _, l := range p.links {
		delete(l.other.byKey, old)
		l.other.byKey[p.key] = l.back
		c.join(l)
	}
	c.after(p.spec.Renames, func() { c.rename(p) })
}
