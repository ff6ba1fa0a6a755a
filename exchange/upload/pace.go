package upload

import "time"

const (
	paceBelow = 512 << 10              // bytes/s: from there on, what buffers hold in any case has left them in 250 ms
	paceLeast = 16 << 10               // bytes/s
	paceSpan  = 500 * time.Millisecond // after which the pace is judged
	longLag   = 150 * time.Millisecond // what comes so long after it was written, beyond the round trip, has waited
	shortLag  = 50 * time.Millisecond  // it has not
	fullLag   = 800 * time.Millisecond // programs that start were up to 0.55 s late
	lagSpans  = 2                      // in which all has waited, before a pace is set: who starts a program is late as well
	paceLess  = 0.5                    // times the pace, when all waits
	paceKept  = 5 * time.Second        // after we were given something
	paceMore  = 1.15                   // times the pace, when nothing waits; the square of it the next time, and so on
)

// pace is how fast a slow line is written to. A frame that is written at once waits in
// its buffers, half a second at 1 Mbit/s. So do our acknowledgements and requests behind
// it, and then nobody can send us anything as fast as our line receives. As in LEDBAT
// (RFC 6817) the wait is the target, and the rate follows.
type pace struct {
	rate  float64       // bytes/s; 0: at once
	more  float64       // by how much it grows next
	since time.Time     // when it was judged last
	lag   time.Duration // the least of frames that were written since
	known bool          // there were some
	late  int           // spans in which all waited, one after the other
}

// came notes how long after it was written, beyond the round trip, a frame came, and
// which rate the line was seen to carry. What was written before the pace was judged
// says nothing of it.
func (p *pace) came(now, written time.Time, lag time.Duration, rate float64) {
	if p.since.IsZero() {
		p.since = written
	}
	if written.Before(p.since) {
		return
	}
	if !p.known {
		p.known, p.lag = true, lag
	}
	if p.lag = min(p.lag, lag); now.Sub(p.since) < paceSpan {
		return
	}
	p.judge(rate)
	p.since, p.known = now, false
}

func (p *pace) judge(rate float64) {
	switch {
	case p.lag > longLag:
		p.late, p.more = p.late+1, paceMore
		switch {
		case p.rate > 0:
			p.rate = max(p.rate*paceLess, paceLeast)
		case (p.late >= lagSpans || p.lag > fullLag) && rate < paceBelow:
			p.rate = max(rate*paceLess, paceLeast)
		}
	case p.lag < shortLag && p.rate > 0:
		p.late = 0
		if p.rate *= p.more; p.rate >= paceBelow {
			p.rate = 0
		}
		p.more *= p.more
	default:
		p.late = 0
	}
}

// adjust sets the pace by a frame that was acknowledged. Who gets nothing has nothing
// to keep his line clear for.
func (u *Uploads) adjust(now time.Time, p *peer, f *flight) {
	switch {
	case now.Sub(u.got) > paceKept:
		u.pace = pace{}
	case !f.written.IsZero():
		u.pace.came(now, f.written, now.Sub(f.written)-p.window.trip, u.line.mean())
	}
}

// Pace is the rate in bytes/s at which frames are to be written, all together; 0: each
// at once.
func (u *Uploads) Pace() float64 { return u.pace.rate }
