package policy

import (
	"math"
	"time"
)

// meter is an exponentially weighted rate over all time, without the bias of a
// young average towards zero.
type meter struct {
	tau    float64 // seconds
	bytes  float64
	weight float64 // seconds, up to tau
	last   time.Time
}

const (
	fastTau = 2.0  // seconds: to react
	slowTau = 20.0 // seconds: to be sure
)

func newMeter(tau float64) meter { return meter{tau: tau} }

func (m *meter) pass(now time.Time) {
	if m.last.IsZero() {
		m.last = now
	}
	if dt := now.Sub(m.last).Seconds(); dt > 0 {
		keep := math.Exp(-dt / m.tau)
		m.bytes *= keep
		m.weight = m.weight*keep + m.tau*(1-keep)
		m.last = now
	}
}

func (m *meter) add(now time.Time, n int64) {
	m.pass(now)
	m.bytes += float64(n)
}

// rate is in bytes/s.
func (m *meter) rate(now time.Time) float64 {
	m.pass(now)
	return m.bytes / max(m.weight, 0.05)
}

// busy measures a rate over the time in which something was in flight.
type busy struct {
	bytes, time float64
	since       time.Time // zero: nothing is in flight
}

const busyTau = 5.0 // seconds

func (b *busy) pass(now time.Time) {
	if dt := now.Sub(b.since).Seconds(); !b.since.IsZero() && dt > 0 {
		keep := math.Exp(-dt / busyTau)
		b.bytes *= keep
		b.time = b.time*keep + dt
		b.since = now
	}
}

// run tells whether anything is in flight from now on.
func (b *busy) run(now time.Time, running bool) {
	b.pass(now)
	switch {
	case !running:
		b.since = time.Time{}
	case b.since.IsZero():
		b.since = now
	}
}

func (b *busy) add(now time.Time, n int64) {
	b.pass(now)
	b.bytes += float64(n)
}

// rate is in bytes/s, 0 if nothing was measured.
func (b *busy) rate() float64 { return b.bytes / max(b.time, 1e-2) }

// shortage watches whether the swarm delivers what is needed.
type shortage struct {
	tested time.Time // end of the last window
	short  int       // windows in a row with less than is needed
	ample  time.Time // since when there is clearly more
	on     bool
}

const (
	window      = time.Second
	ampleFactor = 1.3
	ampleFor    = 5 * time.Second
)

// test looks at the rates once a window. It turns on after the given number
// of short windows and off after 5 s with 1.3 times the need: without that
// margin a source that the origin relieves would turn it off at once.
func (s *shortage) test(now time.Time, short, long, need float64, windows int) {
	if s.tested.IsZero() {
		s.tested = now
	}
	if now.Sub(s.tested) < window {
		return
	}
	s.tested = now
	s.short++
	if short >= need || long >= need {
		s.short = 0
	}
	if s.short >= windows {
		s.on = true
	}
	if short <= ampleFactor*need {
		s.ample = time.Time{}
	} else if s.ample.IsZero() {
		s.ample = now
	} else if now.Sub(s.ample) >= ampleFor {
		s.on = false
	}
}
