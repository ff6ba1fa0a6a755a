package sim

import "time"

// epoch is the time at which every run begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// kind tells what an event is. The frequent ones carry their operands, so that
// they cost no allocation.
type kind uint8

const (
	call    kind = iota // f
	sent                // peer's line has sent a unit
	entered             // a unit has reached the receiver's line
	arrived             // it has passed it
	room                // the sender knows that it has
	heard               // a message, if the connection, link, still is; f
	acked               // of a frame that came; link is the receiver's view
	think               // peer's cores are asked, after an event
	wake                // the same, without one
)

type event struct {
	at    time.Duration // since epoch
	lot   uint64        // by whose event it came of, drawn anew each time: nobody is always first
	from  int           // whose that was, and
	seq   uint64        // the how manieth: the order of events at one time
	kind  kind
	first uint8 // of a unit: block
	count uint8
	peer  *peer  // to whom it happens; nil: to the crowd
	frame *frame // of a unit and acked
	link  *link  // the same: the receiver's view; of room the sender's
	f     func(c *Crowd)
}

// engine is a virtual clock and what is to happen, earliest first.
type engine struct {
	now    time.Duration
	events []event // a heap with four children a node
	steps  uint64  // events that happened
}

func (e *engine) clock() time.Time { return epoch.Add(e.now) }

// add has an event happen.
func (e *engine) add(ev event) {
	e.events = append(e.events, ev)
	i := len(e.events) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !earlier(&ev, &e.events[up]) {
			break
		}
		e.events[i] = e.events[up]
		i = up
	}
	e.events[i] = ev
}

// pop takes the earliest event and moves the clock to it; false if there is none.
func (e *engine) pop() (event, bool) {
	if len(e.events) == 0 {
		return event{}, false
	}
	top, n := e.events[0], len(e.events)-1
	last := e.events[n]
	e.events[n] = event{}
	e.events = e.events[:n]
	if n > 0 {
		e.sift(last)
	}
	e.now = top.at
	e.steps++
	return top, true
}

// sift puts ev where the top was, and restores the order.
func (e *engine) sift(ev event) {
	h, i := e.events, 0
	for {
		best := 4*i + 1
		if best >= len(h) {
			break
		}
		for c := best + 1; c < min(best+4, len(h)); c++ {
			if earlier(&h[c], &h[best]) {
				best = c
			}
		}
		if !earlier(&h[best], &ev) {
			break
		}
		h[i] = h[best]
		i = best
	}
	h[i] = ev
}

func earlier(a, b *event) bool {
	switch {
	case a.at != b.at:
		return a.at < b.at
	case a.lot != b.lot:
		return a.lot < b.lot
	case a.from != b.from:
		return a.from < b.from
	}
	return a.seq < b.seq
}
