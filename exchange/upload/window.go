package upload

import "time"

const windowStart = 256 << 10 // bytes, before anything is known of a peer

// window is how much may be on the way to a peer: what it acknowledges in a round
// trip and in the time for which its line, and ours, may hold what was sent. It
// grows while frames take no longer than that, and shrinks while they do. The rule
// is TCP Vegas's, with the delay as target.
type window struct {
	min, max int
	out      int           // bytes on the way
	trip     time.Duration // shortest round trip; 0: unknown
	limit    float64       // bytes
}

func (w *window) full() bool { return w.out >= int(w.limit) }

func (w *window) depart(n int) { w.out += n }

func (w *window) arrive(n int) { w.out -= n }

// pull adapts the window to a frame that was acknowledged. It took so long; what is
// beyond the round trip it may have waited here and there.
func (w *window) pull(n int, took, waits time.Duration) {
	if took > w.trip+waits {
		w.limit = min(w.limit, float64(w.out+n)) - float64(n)/2
	} else {
		w.limit += float64(n)
	}
	w.limit = min(max(w.limit, float64(w.min)), float64(w.max))
}

// came notes a round trip to the peer.
func (w *window) came(trip time.Duration) {
	if trip > 0 && (w.trip == 0 || trip < w.trip) {
		w.trip = trip
	}
}
