package pick

import (
	"math"
	"time"
)

const (
	meterTau   = 2 * time.Second        // reacts within a few windows; algorithms.md 12.1
	meterKnown = 100 * time.Millisecond // measured time from which a rate bounds the window
)

// meter measures a rate: bytes and time, both forgotten with the same time
// constant, so that it is a plain average at first. Only time with something
// in flight counts: a peer that is not asked is not slow.
type meter struct {
	bytes   float64
	time    float64 // seconds
	last    time.Time
	running bool
}

func (m *meter) start(now time.Time) { m.last, m.running = now, true }

func (m *meter) stop(now time.Time) {
	m.pass(now)
	m.running = false
}

func (m *meter) add(now time.Time, n int) {
	m.pass(now)
	m.bytes += float64(n)
}

func (m *meter) pass(now time.Time) {
	if dt := now.Sub(m.last).Seconds(); m.running && dt > 0 {
		keep := math.Exp(-dt / meterTau.Seconds())
		m.bytes *= keep
		m.time = m.time*keep + dt
		m.last = now
	}
}

// rate is in bytes/s as of the last change, 0 if unknown.
func (m *meter) rate() float64 { return m.bytes / max(m.time, 1e-3) }

// rateAt is the rate if nothing arrives until now.
func (m *meter) rateAt(now time.Time) float64 {
	c := *m
	c.pass(now)
	return c.rate()
}

func (m *meter) known() bool { return m.time >= meterKnown.Seconds() }

// spread is a smoothed mean and mean deviation of durations, as TCP keeps of
// round trips.
type spread struct {
	mean, dev time.Duration
	known     bool
}

func (s *spread) add(d time.Duration) {
	if !s.known {
		s.mean, s.dev, s.known = d, d/2, true
		return
	}
	s.dev += ((d - s.mean).Abs() - s.dev) / 4
	s.mean += (d - s.mean) / 8
}

// get returns mean and deviation, 1 s and 0.5 s while nothing is known.
func (s *spread) get() (mean, dev time.Duration) {
	if !s.known {
		return time.Second, time.Second / 2
	}
	return s.mean, s.dev
}
