package policy

import (
	"container/heap"
	"time"
)

const (
	claimLongest = time.Minute // whatever a peer says: a dead claimant must not block a piece
	claimMost    = 1024        // live claims of one peer: two long runs; more are ignored
)

// claims are the pieces that other nodes say they are fetching from the origin.
type claims struct {
	until map[int]claim
	order times // may have entries that until contradicts
}

type claim struct {
	until time.Time
	by    *rival
}

// OnClaim tells that a peer says it is fetching a piece from the origin until
// then. The claim is believed for a minute at most, and only of a peer that is
// connected.
func (p *Policy) OnClaim(now time.Time, peer string, piece int, until time.Time) {
	p.clock(now)
	by := p.peers[peer]
	if longest := p.now.Add(claimLongest); until.After(longest) {
		until = longest
	}
	if by == nil || by.live >= claimMost || !p.valid(piece) || !until.After(p.now) {
		return
	}
	if old, ok := p.claims.until[piece]; ok {
		if !until.After(old.until) {
			return
		}
		old.by.live--
	}
	by.live++
	p.claims.until[piece] = claim{until, by}
	heap.Push(&p.claims.order, timed{until, piece})
	p.sign = p.now
	p.pieces[piece].claimed = true
	p.refresh(piece)
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
		live.by.live--
		delete(c.until, e.piece)
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

// dues are the pieces with a deadline that are missing.
type dues struct {
	at    map[int]time.Time
	order times // may have entries that at contradicts
}

// set changes the deadline of a piece; zero removes it.
func (d *dues) set(piece int, at time.Time) {
	if at.IsZero() {
		delete(d.at, piece)
		return
	}
	if !d.at[piece].Equal(at) {
		d.at[piece] = at
		heap.Push(&d.order, timed{at, piece})
	}
}

// earliest returns the n earliest deadlines at most, in order.
func (d *dues) earliest(n int) []timed {
	var list []timed
	for len(d.order) > 0 && len(list) < n {
		e := heap.Pop(&d.order).(timed)
		again := len(list) > 0 && list[len(list)-1] == e
		if at, ok := d.at[e.piece]; ok && at.Equal(e.at) && !again {
			list = append(list, e)
		}
	}
	for _, e := range list {
		heap.Push(&d.order, e)
	}
	return list
}
