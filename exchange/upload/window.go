package upload

import (
	"math"
	"time"
)

const (
	windowStart = 256 << 10   // before anything is known: a second of 2 Mbit/s
	windowTau   = time.Second // of the rate
	windowPiece = 1 << 20     // bytes of a piece
	mostAheads  = 5           // half Aheads for which a line may buffer
	windowKnown = 0.05        // busy seconds from which a rate is believed
	tripGain    = 1.0 / 8     // of the line's round trip, as TCP smooths it
)

// window is how many bytes may be on the way: what is acknowledged in a round
// trip, and a buffer (see buffered). If the round trip is longer than thought, less
// is on the way than fits, the measured rate is window/trip, and the window grows
// with every round; if more is in buffers than wanted, it shrinks at once. The
// rule is TCP Vegas's, with the delay as target.
type window struct {
	ahead    time.Duration
	min, max int
	out      int           // on the way
	trip     time.Duration // shortest of a peer, mean of the line's peers; 0: unknown
	bytes    float64       // acknowledged, and in how much
	time     float64       // busy time, both forgotten with windowTau
	last     time.Time
	limit    float64 // of a peer
	best     peak    // of a line, whose receivers may be what is slow just now
}

// peak is the best rate of late: the bytes acknowledged in the best of the last
// spans.
type peak struct {
	on    bool
	spans [peakSpans]float64
	at    int64 // number of the span that goes on
}

const (
	peakSpan  = 500 * time.Millisecond
	peakSpans = 6
)

func (p *peak) add(now time.Time, n int) {
	at := now.UnixNano() / int64(peakSpan)
	for ; p.at < at; p.at = max(p.at+1, at-peakSpans) {
		p.spans[(p.at+1)%peakSpans] = 0
	}
	p.spans[at%peakSpans] += float64(n)
}

// rate is in bytes/s.
func (p *peak) rate() float64 {
	best := 0.0
	for _, n := range p.spans {
		best = max(best, n)
	}
	return best / peakSpan.Seconds()
}

// size is the window in bytes.
func (w *window) size() int {
	if !w.best.on {
		return int(w.limit)
	}
	if w.time < windowKnown {
		return min(max(windowStart, w.min), w.max)
	}
	return min(max(int(w.rate()*(w.trip+w.buffered()).Seconds()), w.min), w.max)
}

// buffered is for how long a line's buffers hold what to send: Ahead, or up to
// mostAheads if a piece takes longer. Acknowledgements wait in lines that are as
// busy as ours, so that with Ahead alone the uplinks of a crowd of homes stood
// still for 12% of the time.
func (w *window) buffered() time.Duration {
	if w.time < windowKnown {
		return w.ahead
	}
	piece := time.Duration(windowPiece / max(w.rate(), 1) * float64(time.Second))
	return min(max(piece, w.ahead), w.ahead*mostAheads/2)
}

// rate is in bytes/s, once it is known.
func (w *window) rate() float64 { return max(w.bytes/w.time, w.best.rate()) }

// slack is the part of the window that waits in buffers.
func (w *window) slack() int {
	buffered := w.buffered()
	return int(float64(w.size()) * buffered.Seconds() / (w.trip + buffered).Seconds())
}

func (w *window) full() bool { return w.out >= w.size() }

// depart notes bytes that go out.
func (w *window) depart(now time.Time, n int) {
	w.pass(now)
	w.out += n
}

// pull adapts the window of a peer to a frame that was acknowledged: it grows
// while that takes no longer than what is buffered for the line and Ahead, and
// shrinks while it does, since then the receiver's line is what is full.
func (w *window) pull(n int, took, buffered time.Duration) {
	if took > w.trip+buffered+w.ahead {
		w.limit -= float64(n) / 2
	} else {
		w.limit += float64(n)
	}
	w.limit = min(max(w.limit, float64(w.min)), float64(w.max))
}

// arrive notes bytes that were acknowledged.
func (w *window) arrive(now time.Time, n int) {
	w.pass(now)
	w.out -= n
	w.bytes += float64(n)
	if w.best.on {
		w.best.add(now, n)
	}
}

// came notes a round trip to a peer.
func (w *window) came(trip time.Duration) {
	if trip > 0 && (w.trip == 0 || trip < w.trip) {
		w.trip = trip
	}
}

// drains is how long the line takes for what is on the way and n bytes more;
// a quarter of a second while its rate is
// unknown.
func (w *window) drains(n int) time.Duration {
	if w.time < windowKnown || w.bytes <= 0 {
		return time.Second / 4
	}
	return time.Duration(float64(w.out+n) / w.rate() * float64(time.Second))
}

// lose notes bytes of which nothing more will be heard.
func (w *window) lose(now time.Time, n int) {
	w.pass(now)
	w.out -= n
}

// near draws the round trip of a line towards that of a peer on it.
func (w *window) near(trip time.Duration) {
	if w.trip == 0 {
		w.trip = trip
		return
	}
	w.trip += time.Duration(tripGain * float64(trip-w.trip))
}

// pass lets time go by: only time with something on the way counts.
func (w *window) pass(now time.Time) {
	if dt := now.Sub(w.last).Seconds(); w.out > 0 && dt > 0 {
		keep := math.Exp(-dt / windowTau.Seconds())
		w.bytes *= keep
		w.time = w.time*keep + dt
	}
	w.last = now
}
