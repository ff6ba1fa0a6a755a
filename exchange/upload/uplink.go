package upload

import (
	"math"
	"slices"
	"time"
)

const (
	uplinkGuess = 1 << 20     // bytes/s, before anything is known
	uplinkLeast = 64 << 10    // bytes/s that it is believed to carry in any case
	uplinkKnown = 0.05        // seconds with something on the way from which a rate is believed
	uplinkTau   = time.Second // of the mean rate
	uplinkPiece = 1 << 20     // bytes of a piece
	mostAheads  = 5           // half Aheads for which the line may buffer
	peakSpan    = 500 * time.Millisecond
	peakSpans   = 6
	promptShare = 0.7                    // of what the buffers may hold may be on the way to those who acknowledge soon
	leastPrompt = 3 << 18                // bytes that may in any case: with less, lines of 20 Mbit/s run dry
	lateSpan    = 250 * time.Millisecond // in which every frame is late
)

// uplink is our own line. What waits in its buffers cannot be seen: an
// acknowledgement says that a frame has come, late, and after it has waited in the
// peer's lines as well. So it is reckoned: what is sent goes in, and what the line
// carries comes out. A frame that comes sooner than reckoned corrects that. Whoever
// takes long to acknowledge therefore keeps nobody else from being served.
type uplink struct {
	ahead  time.Duration
	least  int       // bytes that the buffers may hold in any case
	queue  float64   // bytes in them, as reckoned
	checks int       // corrections
	out    int       // bytes that are not acknowledged
	last   time.Time // when the reckoning was made
	bytes  float64   // acknowledged, and in how much
	time   float64   // busy time, in seconds, both forgotten with uplinkTau
	best   peak
	late   float64   // bytes by which frames were later than reckoned, the least of them since
	since  time.Time // then
}

// peak is the best rate of late: of the last spans in which much was acknowledged.
type peak struct {
	rates       [peakSpans]float64 // bytes/s
	first, last time.Time          // acknowledgements of the span that goes on
	bytes       float64            // acknowledged after the first
	next        int
}

func (p *peak) add(now time.Time, n int) {
	switch took := now.Sub(p.last); {
	case p.first.IsZero() || took > peakSpan:
		p.first, p.bytes = now, 0
	default:
		p.bytes += float64(n)
	}
	p.last = now
	if took := now.Sub(p.first); took >= peakSpan {
		p.rates[p.next] = p.bytes / took.Seconds()
		p.next = (p.next + 1) % peakSpans
		p.first, p.bytes = now, 0
	}
}

// rate is in bytes/s.
func (p *peak) rate() float64 { return slices.Max(p.rates[:]) }

// rate is what the line carries, in bytes/s.
func (l *uplink) rate() float64 {
	if l.bytes == 0 || l.time < uplinkKnown {
		return uplinkGuess
	}
	return max(l.mean(), l.best.rate(), uplinkLeast)
}

// mean is what was acknowledged in the last time, in bytes/s.
func (l *uplink) mean() float64 { return l.bytes / max(l.time, uplinkKnown) }

// buffered is for how long the buffers may hold what to send: Ahead, or up to
// mostAheads if a piece takes longer.
func (l *uplink) buffered() time.Duration {
	piece := time.Duration(uplinkPiece / l.rate() * float64(time.Second))
	return min(max(piece, l.ahead), l.ahead*mostAheads/2)
}

// most is how many bytes the buffers may hold.
func (l *uplink) most() int { return max(int(l.rate()*l.buffered().Seconds()), l.least) }

func (l *uplink) full() bool { return l.queue >= float64(l.most()) }

// prompt is how many bytes may be on the way to those who acknowledge at once, after a
// round trip.
func (l *uplink) prompt(trip time.Duration) float64 {
	return max(promptShare*float64(l.most()), leastPrompt) + l.rate()*trip.Seconds()
}

// roomIn is when half of what the buffers may hold will have left them.
func (l *uplink) roomIn() time.Duration {
	return time.Duration((l.queue - float64(l.most())/2) / l.rate() * float64(time.Second))
}

// depart notes a frame that goes out.
func (l *uplink) depart(now time.Time, f *flight) {
	l.pass(now)
	f.behind, f.checked = l.queue, l.checks
	l.queue += float64(f.bytes)
	l.out += f.bytes
}

// waited is for how long bytes keep those behind them waiting.
func (l *uplink) waited(bytes float64) time.Duration {
	return time.Duration(bytes / l.rate() * float64(time.Second))
}

// correct holds the reckoning against a frame that was acknowledged. One that came
// sooner corrects it at once; if all are late, it is our own line, not the peers'.
func (l *uplink) correct(now time.Time, f *flight, waited time.Duration) {
	if f.checked != l.checks || l.bytes == 0 { // reckoned as what was corrected since, or by a guess
		return
	}
	late := waited.Seconds()*l.rate() - f.behind - float64(f.bytes)
	if l.since.IsZero() {
		l.since, l.late = now, late
	}
	l.late = min(l.late, late)
	if l.late > 0 && now.Sub(l.since) < lateSpan {
		return
	}
	l.checks++
	l.queue = min(max(0, l.queue+l.late), float64(l.out))
	l.since = time.Time{}
}

// arrive notes a frame that was acknowledged so long beyond the round trip after it
// was sent.
func (l *uplink) arrive(now time.Time, f *flight, waited time.Duration) {
	l.pass(now)
	l.out -= f.bytes
	l.correct(now, f, waited)
	if l.bytes == 0 { // others may have been silent before
		l.time = min(l.time, now.Sub(f.at).Seconds())
	}
	l.bytes += float64(f.bytes)
	l.best.add(now, f.bytes)
}

// lose notes bytes of which nothing more will be heard.
func (l *uplink) lose(now time.Time, n int) {
	l.pass(now)
	l.out -= n
}

// pass lets time go by.
func (l *uplink) pass(now time.Time) {
	if dt := now.Sub(l.last).Seconds(); dt > 0 && !l.last.IsZero() {
		l.queue = max(0, l.queue-l.rate()*dt)
		if l.out > 0 {
			keep := math.Exp(-dt / uplinkTau.Seconds())
			l.bytes *= keep
			l.time = l.time*keep + dt
		}
	}
	l.last = now
}
