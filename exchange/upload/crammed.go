package upload

import (
	"slices"
	"time"
)

// prompts is within how many times of what the buffers may hold, beyond a round trip,
// a peer acknowledges whose own line is not what holds us up.
const prompts = 2

// full reports whether enough is on the way.
func (u *Uploads) full(now time.Time) bool {
	if u.line.full() {
		u.wakeAt(now.Add(u.line.roomIn()))
		return true
	}
	if float64(u.line.out) < u.line.prompt(0) || !u.crammed(now) || u.spread() {
		return false
	}
	u.wakeAt(now.Add(u.line.buffered() / 4))
	return true
}

// spread reports whether we are given nothing and are asked for nothing that is to be had
// here alone: what a seed has begun then, others have as well. It serves as many at once
// as like, who may all be slow.
func (u *Uploads) spread() bool { return u.gavers == 0 && !slices.ContainsFunc(u.order, u.sole) }

// crammed reports whether so much is on the way to peers who acknowledge soon that it
// waits in our own line, whatever is reckoned.
func (u *Uploads) crammed(now time.Time) bool {
	out, trip := 0, time.Duration(0)
	for _, p := range u.order {
		if len(p.flights) > 0 && u.prompt(now, p) {
			out += p.window.out
			trip = max(trip, p.window.trip)
		}
	}
	return float64(out) >= u.line.prompt(trip)
}

// prompt reports whether what a peer is sent comes as soon as our line carries it: it
// waits nowhere else for long.
func (u *Uploads) prompt(now time.Time, p *peer) bool {
	patience := p.window.trip + prompts*u.line.buffered()
	return p.took <= patience && now.Sub(p.flights[0].at) <= patience
}
