package exchange

import (
	"context"
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
		"wan":              {Limit{Rate: 1 << 20}, WAN, 10<<20 + limitedFrame, 10 * time.Second},
		"relay":            {Limit{Rate: 1 << 20}, Relay, 1<<20 + limitedFrame, time.Second},
		"lan is exempt":    {Limit{Rate: 1}, LAN, 1 << 30, 0},
		"lan counts":       {Limit{Rate: 1 << 20, LAN: true}, LAN, 1<<20 + limitedFrame, time.Second},
		"within the burst": {Limit{Rate: 1000}, WAN, limitedFrame, 0},
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
