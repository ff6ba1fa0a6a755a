package exchange

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestPacer: frames are written at the pace, whole ones at once when there is none.
func TestPacer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, start := newPacer(), time.Now()
		write := func(n int) (calls int) {
			next := 0
			err := p.steps(t.Context(), 0, n, func(from, to int) error {
				if from != next {
					t.Errorf("from %d, want %d", from, next)
				}
				calls, next = calls+1, to
				return nil
			})
			if err != nil || next != n {
				t.Errorf("%d bytes of %d written, %v", next, n, err)
			}
			return calls
		}
		if calls := write(2 << 20); calls != 1 || time.Since(start) != 0 {
			t.Errorf("%d writes in %v without a pace", calls, time.Since(start))
		}
		p.set(100e3)
		write(500e3)
		if took := time.Since(start).Round(100 * time.Millisecond); took != 5*time.Second {
			t.Errorf("500,000 bytes in %v at 100,000 bytes/s", took)
		}
		p.set(0)
		start = time.Now()
		if calls := write(64 << 10); calls != 1 || time.Since(start) != 0 {
			t.Errorf("%d writes in %v when the pace has ended", calls, time.Since(start))
		}
	})
}
