package cdnfallback

import "time"

// minProgress is the least that must arrive in a window of waiting, bytes. One
// byte would let an origin hold a request for years.
const minProgress = 4 << 10

// watchdog ends a request that does not get on. Only time spent waiting for the
// origin counts, so a slow reader never looks like a stall. One owner: the
// goroutine that reads.
type watchdog struct {
	timer  *time.Timer
	window time.Duration // of waiting in which minProgress bytes must arrive
	left   time.Duration // of the present window
	moved  int           // bytes in the present window
	since  time.Time     // wait was called
}

// newWatchdog makes one that calls bite, from a goroutine of its own, when a
// window has passed.
func newWatchdog(window time.Duration, bite func()) *watchdog {
	w := &watchdog{timer: time.AfterFunc(window, bite), window: window, left: window}
	w.timer.Stop()
	return w
}

// setWindow begins a new window of another length.
func (w *watchdog) setWindow(d time.Duration) { w.window, w.left, w.moved = d, d, 0 }

// wait says that the owner waits for the origin from now on.
func (w *watchdog) wait() {
	w.since = time.Now()
	w.timer.Reset(w.left)
}

// got says that the wait is over and brought n bytes.
func (w *watchdog) got(n int) {
	w.timer.Stop()
	w.moved += n
	if w.moved >= minProgress {
		w.left, w.moved = w.window, 0
		return
	}
	w.left = max(w.left-time.Since(w.since), 0)
}

func (w *watchdog) stop() { w.timer.Stop() }
