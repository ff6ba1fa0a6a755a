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
	seq   uint64        // the how manieth of that it is
	from  int32         // whose it was: the order of events at one time
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
	turns  []turn  // a heap with four children a node
	events []event // where turns say, in no order
	free   []int32 // places there
	steps  uint64  // events that happened
}

// turn is what orders an event, mostly: the heap is moved about all the time, and so
// is small.
type turn struct {
	at    time.Duration
	lot   uint64
	place int32
}

func (e *engine) clock() time.Time { return epoch.Add(e.now) }

// first is when the first event is; never if there is none.
func (e *engine) first() time.Duration {
	if len(e.turns) == 0 {
		return never
	}
	return e.turns[0].at
}

// add has an event happen.
func (e *engine) add(ev event) {
	t := turn{ev.at, ev.lot, int32(len(e.events))}
	if n := len(e.free); n > 0 {
		t.place, e.free = e.free[n-1], e.free[:n-1]
		e.events[t.place] = ev
	} else {
		e.events = append(e.events, ev)
	}
	e.turns = append(e.turns, t)
	i := len(e.turns) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.earlier(&t, &e.turns[up]) {
			break
		}
		e.turns[i] = e.turns[up]
		i = up
	}
	e.turns[i] = t
}

// pop takes the earliest event, of those there are, and moves the clock to it.
func (e *engine) pop() event {
	top, n := e.turns[0], len(e.turns)-1
	last := e.turns[n]
	if e.turns = e.turns[:n]; n > 0 {
		e.sift(last)
	}
	ev := &e.events[top.place]
	was := *ev
	ev.frame, ev.f = nil, nil // the rest outlives it anyway
	e.free = append(e.free, top.place)
	e.now = top.at
	e.steps++
	return was
}

// sift puts t where the top was, and restores the order.
func (e *engine) sift(t turn) {
	h, i := e.turns, 0
	for {
		best := 4*i + 1
		if best >= len(h) {
			break
		}
		for c := best + 1; c < min(best+4, len(h)); c++ {
			if e.earlier(&h[c], &h[best]) {
				best = c
			}
		}
		if !e.earlier(&h[best], &t) {
			break
		}
		h[i] = h[best]
		i = best
	}
	h[i] = t
}

func (e *engine) earlier(a, b *turn) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	return a.lot < b.lot || a.lot == b.lot && e.before(a, b)
}

// before is earlier of two events at one time that come of the same.
func (e *engine) before(a, b *turn) bool {
	x, y := &e.events[a.place], &e.events[b.place]
	if x.from != y.from {
		return x.from < y.from
	}
	return x.seq < y.seq
}
