package pick

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

const (
	dueNear   = 128                    // pieces with the earliest deadlines that are looked at
	dueEvery  = 250 * time.Millisecond // and how often, without an event
	queueLong = 2 * time.Second        // a peer with more than this ahead is not asked by deadline; libtorrent
)

// deadlines are the pieces with a deadline that are missing: the earliest in
// near, the others in far, which may have entries that at contradicts.
type deadlines struct {
	at   map[int]time.Time
	near []expiry // sorted, at most dueNear
	far  expiries
	hot  bool      // something changed that may place a piece
	next time.Time // when to look if nothing does
}

func byTime(a, b expiry) int {
	return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.piece, b.piece))
}

// set changes the deadline of a piece; zero removes it.
func (d *deadlines) set(piece int, at time.Time) {
	old, had := d.at[piece]
	if had && old.Equal(at) || !had && at.IsZero() {
		return
	}
	d.hot = true
	if i, found := slices.BinarySearchFunc(d.near, expiry{old, piece}, byTime); had && found {
		d.near = slices.Delete(d.near, i, i+1)
	}
	if at.IsZero() {
		delete(d.at, piece)
	} else {
		d.at[piece] = at
		heap.Push(&d.far, expiry{at, piece})
	}
	d.fill()
}

// fill moves the earliest of far to near.
func (d *deadlines) fill() {
	for len(d.far) > 0 {
		e := d.far[0]
		full := len(d.near) >= dueNear
		if full && byTime(e, d.near[len(d.near)-1]) > 0 {
			return
		}
		heap.Pop(&d.far)
		i, found := slices.BinarySearchFunc(d.near, e, byTime)
		if at, ok := d.at[e.piece]; !ok || !at.Equal(e.at) || found {
			continue
		}
		d.near = slices.Insert(d.near, i, e)
		if full {
			heap.Push(&d.far, d.near[dueNear])
			d.near = d.near[:dueNear]
		}
	}
}

// urgent asks for the pieces whose deadline is near, earliest first, each at
// the peer that would have it soonest, beyond its window if need be. An
// attempt that takes longer than most is doubled at a peer that is sooner
// ready. Farther deadlines are left to rarity, which serves the swarm better.
//
// The rule is libtorrent's (docs/streaming.rst), with one peer a piece.
func (p *Picker) urgent(plan *Plan) {
	if len(p.due.near) == 0 {
		return
	}
	mean, dev := p.took.get()
	horizon := p.now.Add(mean + 4*dev + time.Second)
	if first := p.due.near[0].at; first.After(horizon) {
		p.wakeAt(p.now.Add(first.Sub(horizon)))
		return
	}
	p.wakeAt(p.now.Add(dueEvery))
	if !p.due.hot && p.now.Before(p.due.next) {
		return
	}
	p.due.hot, p.due.next = false, p.now.Add(dueEvery)
	for _, e := range p.due.near {
		if e.at.After(horizon) || p.crowded(8) {
			return
		}
		p.hurry(plan, e.piece, mean+dev/2)
	}
}

// hurry begins an attempt at a piece, or a further one if the others have taken
// longer than patience.
func (p *Picker) hurry(plan *Plan, i int, patience time.Duration) {
	copies := p.tries[i]
	if len(copies) >= maxCopies || len(copies) == 0 && p.held[i] {
		return
	}
	limit := time.Duration(1<<63 - 1)
	for _, a := range copies {
		if a.whole() || !a.stalled() && p.now.Sub(a.at) < patience {
			return
		}
		if !a.stalled() {
			limit = p.remaining(a)
		}
	}
	if q := p.soonest(i, limit); q != nil {
		p.double(plan, q, i)
		for j := range plan.Requests {
			if r := &plan.Requests[j]; r.Piece == i {
				r.Urgent = true
			}
		}
	}
}

// soonest returns the peer that would have a piece first, before limit, and
// whose queue is not long; nil if there is none.
func (p *Picker) soonest(i int, limit time.Duration) *peer {
	var best *peer
	for _, q := range p.order {
		if q.snubbed || q.passes(i) || q.refused.rest.After(p.now) || !p.askable(q, i) || p.eta(q, 0) > queueLong+q.rtt {
			continue
		}
		if eta := p.eta(q, int(p.pieces[i].size)); eta < limit {
			best, limit = q, eta
		}
	}
	return best
}

// whole asks a peer for a whole piece, tied while it is on trial.
func (p *Picker) whole(plan *Plan, q *peer, i int) {
	a := p.begin(q, i)
	p.ask(plan, a, a.blocks)
}

// remaining is when an attempt would be finished: by the rate at which its blocks
// come, or what its peer was asked before comes first.
func (p *Picker) remaining(a *attempt) time.Duration {
	rest := float64(p.rest(a.piece, a.got))
	if a.begun() {
		took := p.now.Sub(a.first) + a.peer.rtt + firstTime
		return seconds(rest * took.Seconds() / float64(p.span(a.piece, 0, a.got)))
	}
	for _, other := range a.peer.tries {
		if other == a {
			break
		}
		rest += float64(p.span(other.piece, other.got, other.asked-other.got))
	}
	return a.peer.rtt + seconds(rest/p.speed(a.peer))
}

// firstTime is what the first block is taken to have been on its way.
const firstTime = 20 * time.Millisecond
