package exchange

import (
	"context"

	"golang.org/x/time/rate"
)

// Limit bounds a direction. The zero value is unlimited.
type Limit struct {
	Rate float64 // bytes/s; 0 is unlimited, negative is off
	LAN  bool    // counts LAN traffic too
}

// limiter is a token bucket over the paths that it counts.
type limiter struct {
	lan bool
	off bool
	b   *rate.Limiter // nil: unlimited
}

func newLimiter(l Limit) *limiter {
	switch {
	case l.Rate == 0:
		return &limiter{}
	case l.Rate < 0:
		return &limiter{off: true, lan: l.LAN}
	}
	// The burst holds one frame of the size that limited lanes send.
	return &limiter{lan: l.LAN, b: rate.NewLimiter(rate.Limit(l.Rate), limitedFrame)}
}

// limits reports whether traffic over path is counted.
func (l *limiter) limits(p Path) bool { return (l.b != nil || l.off) && (p != LAN || l.lan) }

// wait takes n tokens if path is counted, in steps of the burst.
func (l *limiter) wait(ctx context.Context, p Path, n int) error {
	if l.b == nil || !l.limits(p) {
		return nil
	}
	for n > 0 {
		step := min(n, l.b.Burst())
		if err := l.b.WaitN(ctx, step); err != nil {
			return err
		}
		n -= step
	}
	return nil
}

// WaitDownload takes n bytes of download from the limit over path, for sources
// other than peers.
func (x *Exchange) WaitDownload(ctx context.Context, path Path, n int) error {
	return x.down.wait(ctx, path, n)
}
