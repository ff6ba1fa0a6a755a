package policy

import (
	"container/heap"
	"time"
)

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
