package policy

import (
	"container/heap"
	"time"
)

const (
	claimLongest  = time.Minute // whatever a peer says: a dead claimant must not block a piece
	claimShortest = 2 * time.Second
	claimMost     = 1024        // live claims of one peer: two long runs; more are ignored
	claimLonger   = time.Second // a claim that lasts no longer than this more is the same, by another way
	claimBroken   = 16          // claims of a peer that came to nothing; it is not believed any more then
	existsFor     = 15 * time.Second
	existsMost    = 5 * time.Minute
	aliveFor      = 5 * time.Second // without a new holder or claim in view: the crowd does not move
)

// claims are the pieces that other nodes say they are fetching from the origin.
type claims struct {
	until map[int]claim
	order times // may have entries that until contradicts
	far   int   // of them, those that were relayed
}

type claim struct {
	until time.Time
	by    *rival
	far   bool      // relayed: it is fetched by a peer of by
	since time.Time // that it was made
}

// OnClaim tells that a peer says it is fetching a piece from the origin until
// then; a time that is past takes that back. The claim is believed for a minute
// at most, and only of a peer that is connected. It reports whether that is news,
// which is worth relaying: a new claim, or one that lasts longer.
func (p *Policy) OnClaim(now time.Time, peer string, piece int, until time.Time) bool {
	p.clock(now)
	by := p.peers[peer]
	if by != nil && !until.After(p.now) {
		return p.unclaim(by, piece)
	}
	if by != nil && by.broken < claimBroken {
		by.claimed, p.heard = p.now, p.now
	}
	return p.claim(by, piece, until, false)
}

// OnRelayed tells that a peer says one of its own peers is fetching a piece until
// then. Afterwards the piece is taken to exist somewhere for 15 s more, and as long as
// the crowd moves up to five minutes, since its holder need not be in view. It
// reports whether that is news.
func (p *Policy) OnRelayed(now time.Time, peer string, piece int, until time.Time) bool {
	p.clock(now)
	return p.claim(p.peers[peer], piece, until, true)
}

func (p *Policy) claim(by *rival, piece int, until time.Time, far bool) bool {
	if longest := p.now.Add(claimLongest); until.After(longest) {
		until = longest
	}
	if far {
		until = until.Add(existsFor)
	}
	if by == nil || by.broken >= claimBroken || !p.valid(piece) || !until.After(p.now) {
		return false
	}
	c := &p.claims
	old, known := c.until[piece]
	if (!known || old.by != by) && by.live >= claimMost || known && p.same(old, until, far) {
		return false
	}
	if known {
		p.drop(piece, old)
	}
	by.live++
	if far {
		c.far++
	} else {
		by.near++
	}
	c.until[piece] = claim{until, by, far, p.now}
	heap.Push(&c.order, timed{until, piece})
	p.sign = p.now
	p.pieces[piece].claimed = true
	p.refresh(piece)
	return !known || far == old.far
}

// same reports whether a claim says nothing that a known one does not: of the
// claimant himself more is known than others can tell.
func (p *Policy) same(old claim, until time.Time, far bool) bool {
	if far != old.far {
		return far && old.until.After(p.now)
	}
	return until.Sub(old.until) < claimLonger
}

// unclaim takes a peer's own claim back.
func (p *Policy) unclaim(by *rival, piece int) bool {
	c, ok := p.claims.until[piece]
	if !ok || c.by != by || c.far {
		return false
	}
	p.drop(piece, c)
	p.pieces[piece].claimed = false
	p.refresh(piece)
	p.changed = true
	return true
}

// drop takes a claim out; its entry in the order ends by itself.
func (p *Policy) drop(piece int, c claim) {
	c.by.live--
	if c.far {
		p.claims.far--
	} else {
		c.by.near--
	}
	delete(p.claims.until, piece)
}

// fulfil ends the claim of a piece that somebody in view has now.
func (p *Policy) fulfil(piece int) {
	if c, ok := p.claims.until[piece]; ok {
		p.drop(piece, c)
		p.pieces[piece].claimed = false
		p.freed = p.now
	}
}

// leave ends the claims of a peer that is gone, so that others take its pieces.
func (p *Policy) leave(by *rival) {
	if by.live == 0 {
		return
	}
	for piece, c := range p.claims.until {
		if c.by == by {
			p.drop(piece, c)
			p.pieces[piece].claimed = false
			p.refresh(piece)
		}
	}
	p.changed = true
}

// expire ends the claims whose time is over.
func (p *Policy) expire() {
	c := &p.claims
	for len(c.order) > 0 && !p.now.Before(c.order[0].at) {
		e := heap.Pop(&c.order).(timed)
		live, ok := c.until[e.piece]
		if !ok || !live.until.Equal(e.at) {
			continue
		}
		if live.far && p.now.Sub(p.sign) < aliveFor && p.now.Sub(live.since) < existsMost {
			live.until = p.now.Add(existsFor) // it comes nearer while the crowd is busy
			c.until[e.piece] = live
			heap.Push(&c.order, timed{live.until, e.piece})
			continue
		}
		if pc := p.pieces[e.piece]; !live.far && pc.holders == 0 && !pc.done {
			live.by.broken++
		}
		p.drop(e.piece, live)
		p.pieces[e.piece].claimed = false
		p.refresh(e.piece)
		p.changed = true
	}
}

// timed is a piece and when something is due for it.
type timed struct {
	at    time.Time
	piece int
}

// times is a heap, the earliest first.
type times []timed

func (h times) Len() int { return len(h) }

func (h times) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].piece < h[j].piece
}

func (h times) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *times) Push(x any) { *h = append(*h, x.(timed)) }

func (h *times) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}
