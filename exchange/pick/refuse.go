package pick

import (
	"container/heap"
	"time"
)

const (
	refuseFirst = time.Second      // a refused piece is asked again at that peer after this, then twice as long, …
	refuseMax   = 64 * time.Second // … up to this
	refuseCap   = 256              // pieces remembered per peer; one that refuses more is left alone as a whole
)

// refusals are the pieces that a peer may not be asked for now.
type refusals struct {
	times map[int]int // refusals by piece; -1: it sent wrong bytes, never ask again
	until expiries    // by time
	rest  time.Time   // ask nothing at all before
	rests int         // rests in a row without a block between
}

// add notes a refusal and returns when the piece may be asked again.
func (r *refusals) add(now time.Time, piece int) time.Time {
	if r.times == nil {
		r.times = map[int]int{}
	}
	if len(r.times) >= refuseCap {
		r.rest = now.Add(backoff(r.rests))
		r.rests++
	}
	if r.times[piece] < 0 {
		return time.Time{}
	}
	at := now.Add(backoff(r.times[piece]))
	r.times[piece]++
	heap.Push(&r.until, expiry{at: at, piece: piece})
	return at
}

// never notes that a piece is not to be asked again.
func (r *refusals) never(piece int) {
	if r.times == nil {
		r.times = map[int]int{}
	}
	r.times[piece] = -1
}

// expired returns the pieces that may be asked again. A peer that has served
// something since is forgiven when the list gets long.
func (r *refusals) expired(now time.Time) []int {
	var pieces []int
	for len(r.until) > 0 && !now.Before(r.until[0].at) {
		e := heap.Pop(&r.until).(expiry)
		if r.times[e.piece] < 0 {
			continue
		}
		if len(r.times) >= refuseCap {
			delete(r.times, e.piece)
		}
		pieces = append(pieces, e.piece)
	}
	return pieces
}

// mask takes what may not be asked now out of the pieces first to end of ask.
func (r *refusals) mask(ask *set, first, end int) {
	if len(r.times) == 0 && len(r.until) == 0 {
		return
	}
	for _, e := range r.until {
		if e.piece >= first && e.piece < end {
			ask.remove(e.piece)
		}
	}
	for piece, times := range r.times {
		if times < 0 && piece >= first && piece < end {
			ask.remove(piece)
		}
	}
}

func backoff(times int) time.Duration {
	return min(refuseFirst<<min(times, 16), refuseMax)
}

type expiry struct {
	at    time.Time
	piece int
}

// expiries is a heap, earliest first.
type expiries []expiry

func (h expiries) Len() int { return len(h) }

func (h expiries) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].piece < h[j].piece
}

func (h expiries) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *expiries) Push(x any) { *h = append(*h, x.(expiry)) }

func (h *expiries) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}
