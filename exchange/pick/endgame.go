package pick

import (
	"cmp"
	"slices"
	"time"
)

// lateEvery is how often, without an event, the endgame looks for a peer that
// became sooner than the one asked.
const lateEvery = 250 * time.Millisecond

// A second copy is taken of a piece that takes so long and so many times as long.
const (
	lateLeast = 3 * time.Second
	lateTimes = 3
)

// endgame asks for second copies when all that is missing is in flight: of
// what would be finished last, at peers that have room and would be sooner by
// at least a tenth. The first copy that verifies wins; Done cancels the other.
// What another source holds is asked of peers that have nothing else to do.
func (p *Picker) endgame(plan *Plan) {
	if len(p.order) > 1 {
		p.wakeAt(p.now.Add(lateEvery))
		for _, l := range p.late() {
			if p.crowded(8) {
				return
			}
			if q := p.spare(l.piece, l.left-l.left/10); q != nil {
				p.double(plan, q, l.piece)
			}
		}
	}
	if len(p.held) == 0 {
		return
	}
	for _, q := range p.order {
		if q.out == 0 && !q.snubbed && !p.full(q) && !q.refused.rest.After(p.now) {
			if i := p.heldAt(q); i >= 0 {
				p.whole(plan, q, i)
			}
		}
	}
}

type late struct {
	piece int
	left  time.Duration
}

// late returns the pieces in one copy, the latest first.
func (p *Picker) late() []late {
	var list []late
	for _, a := range p.started {
		if len(p.tries[a.piece]) == 1 && a.begun() && !a.whole() && !p.held[a.piece] {
			list = append(list, late{a.piece, p.remaining(a)})
		}
	}
	slices.SortFunc(list, func(a, b late) int {
		return cmp.Or(-cmp.Compare(a.left, b.left), cmp.Compare(a.piece, b.piece))
	})
	return list
}

// tooLate reports whether an attempt will take so much longer than the whole piece would
// of another peer that it is had twice.
func (p *Picker) tooLate(a *attempt, q *peer) bool {
	return p.remaining(a) >= max(lateLeast, lateTimes*p.eta(q, p.rest(a.piece, 0)))
}

// double asks a peer for a piece that others were asked for and take long with.
func (p *Picker) double(plan *Plan, q *peer, i int) {
	for _, a := range p.tries[i] {
		a.late = true
	}
	p.whole(plan, q, i)
}

// spare returns the peer with room that would have a piece first, before limit.
func (p *Picker) spare(i int, limit time.Duration) *peer {
	q := p.soonest(i, limit)
	if q == nil || p.full(q) || q.out > p.window(q)/2 {
		return nil
	}
	return q
}

// heldAt returns the highest piece that another source holds, no peer is
// asked for, and q has; -1 if there is none. The highest, because the origin
// sends runs in order: it is the last to get there.
func (p *Picker) heldAt(q *peer) int {
	best := -1
	for i := range p.held {
		if i > best && p.missing.has(i) && len(p.tries[i]) == 0 && q.ask.has(i) && !q.passes(i) {
			best = i
		}
	}
	return best
}
