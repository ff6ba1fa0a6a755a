package exchange

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit Limit
		path  Path
		bytes int
		want  time.Duration
	}{
		"unlimited":        {Limit{}, WAN, 100 << 20, 0},
		"wan":              {Limit{Rate: 1 << 20}, WAN, 10_230_015, 9950 * time.Millisecond},
		"relay":            {Limit{Rate: 1 << 20}, Relay, 1_023_001, 950 * time.Millisecond},
		"lan is exempt":    {Limit{Rate: 1}, LAN, 1 << 30, 0},
		"lan counts":       {Limit{Rate: 1 << 20, LAN: true}, LAN, 1_023_001, 950 * time.Millisecond},
		"within the burst": {Limit{Rate: 1000}, WAN, leastBurst, 0},
		"off never waits":  {Limit{Rate: -1}, WAN, 1 << 30, 0}, // requests are rejected before
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, start := newLimiter(c.limit), time.Now()
				if err := l.wait(t.Context(), c.path, c.bytes); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start).Round(time.Millisecond); took != c.want {
					t.Errorf("took %v, want %v", took, c.want)
				}
			})
		})
	}
}

// Over 10 s a rate is exact, by whatever is measured: bytes handed to the
// transport, or with what TCP or QUIC put around them on Ethernet.
func TestLimitExact(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{4e3, 20e3, 1e6, 2.5e6, 125e6} {
		for _, senders := range []int{1, 4} {
			t.Run(fmt.Sprint(rate, senders), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					l := newLimiter(Limit{Rate: rate})
					ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
					defer cancel()
					var sent atomic.Int64
					var all sync.WaitGroup
					for range senders {
						all.Go(func() {
							for ctx.Err() == nil {
								l.steps(ctx, WAN, limitedFrame, func(from, to int) error {
									sent.Add(int64(to - from))
									return nil
								})
							}
						})
					}
					for range 2 {
						before := sent.Load()
						time.Sleep(10 * time.Second)
						for _, around := range []float64{1, 1.046, 1.06} {
							if got := around * float64(sent.Load()-before) / 10; math.Abs(got/rate-1) > 0.05 {
								t.Errorf("%.0f bytes/s of %.0f, %.3f bytes a byte", got, rate, around)
							}
						}
					}
					cancel()
					all.Wait()
				})
			})
		}
	}
}

// What does not wait is counted all the same.
func TestLimitTake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, start := newLimiter(Limit{Rate: 1e6}), time.Now()
		l.take(LAN, 1<<30)
		l.take(WAN, 1e6)
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		if err := l.wait(t.Context(), WAN, 1e6); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start).Round(10 * time.Millisecond); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// Who waits for tokens stops when his context does.
func TestLimiterEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := newLimiter(Limit{Rate: 1})
		time.AfterFunc(time.Second, cancel)
		if err := l.wait(ctx, WAN, 1<<30); err == nil {
			t.Error("a GiB at a byte a second")
		}
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit Limit
		want  [3]bool // lan, wan, relay
	}{
		{Limit{}, [3]bool{}},
		{Limit{Rate: 5}, [3]bool{false, true, true}},
		{Limit{Rate: 5, LAN: true}, [3]bool{true, true, true}},
		{Limit{Rate: -1}, [3]bool{false, true, true}},
		{Limit{Rate: -1, LAN: true}, [3]bool{true, true, true}},
	} {
		l := newLimiter(c.limit)
		if got := [3]bool{l.limits(LAN), l.limits(WAN), l.limits(Relay)}; got != c.want {
			t.Errorf("%+v counts %v, want %v", c.limit, got, c.want)
		}
	}
}
