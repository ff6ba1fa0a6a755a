package upload

import (
	"testing"
	"time"
)

// A slow line is written to at its rate, or a little less, so that hardly anything waits
// in it; a fast one is not held up.
func TestPace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line  float64       // bytes/s
		trip  time.Duration // of the peers
		least float64       // share of the line that is used in the end
		wait  time.Duration // what is written last waits at most, in the mean
	}{
		"1 Mbit/s":           {125e3, 10 * time.Millisecond, 0.5, 250 * time.Millisecond},
		"1 Mbit/s, far":      {125e3, 200 * time.Millisecond, 0.4, 250 * time.Millisecond},
		"300 kbit/s":         {40e3, 10 * time.Millisecond, 0.4, 500 * time.Millisecond},
		"20 Mbit/s":          {2.5e6, 10 * time.Millisecond, 0.95, 250 * time.Millisecond},
		"20 Mbit/s, far off": {2.5e6, 300 * time.Millisecond, 0.1, 250 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p pace
			now := time.Unix(0, 0)
			written, free := now, now // when all is written, and has left
			end := now.Add(40 * time.Second)
			bytes, waits, n := 0, time.Duration(0), 0
			var acks []time.Time // of two frames on the way
			for now.Before(end) {
				if len(acks) == 2 {
					now, acks = acks[0], acks[1:]
				}
				written = later(written, now)
				if p.rate > 0 {
					written = written.Add(time.Duration(block / p.rate * 1e9))
				}
				// what is written evenly leaves the line as evenly
				free = later(later(free, now).Add(time.Duration(block/c.line*1e9)), written)
				came, at := free.Add(c.trip), written
				acks = append(acks, came)
				if now.Sub(end) > -20*time.Second {
					bytes, waits, n = bytes+block, waits+free.Sub(written), n+1
				}
				p.came(came, at, came.Sub(at)-c.trip, c.line)
			}
			if got := float64(bytes) / 20 / c.line; got < c.least {
				t.Errorf("%.2f of the line", got)
			}
			if got := waits / time.Duration(n); got > c.wait {
				t.Errorf("what was written waits %v", got)
			}
		})
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// What is late in one span alone, as while programs start, sets no pace; and what is
// written no faster than it leaves is soon written at once again.
func TestPaceEnds(t *testing.T) {
	t.Parallel()
	var p pace
	now := time.Unix(0, 0)
	span := func(lag time.Duration, rate float64) float64 {
		p.came(now, now, lag, rate)
		now = now.Add(paceSpan)
		p.came(now, now.Add(-time.Millisecond), lag, rate)
		return p.rate
	}
	if got := span(500*time.Millisecond, 100e3); got != 0 {
		t.Errorf("%.0f bytes/s after the first span", got)
	}
	span(0, 100e3)
	span(500*time.Millisecond, 100e3)
	if got := span(500*time.Millisecond, 10e6); got != 0 {
		t.Errorf("%.0f bytes/s for a line of 10 MB/s", got)
	}
	if got := span(500*time.Millisecond, 100e3); got != 50e3 {
		t.Fatalf("%.0f bytes/s, want half of 100,000", got)
	}
	spans := 0
	for ; p.rate > 0; spans++ {
		span(0, 100e3)
	}
	if spans > 6 {
		t.Errorf("%d spans until it is written at once again", spans)
	}
}
