package exchange

import (
	"context"
	"io"
	"time"

	"golang.org/x/time/rate"
)

// Limit bounds a direction. The zero value is unlimited.
type Limit struct {
	Rate float64 // bytes/s on the wire; 0 is unlimited, negative is off
	LAN  bool    // counts LAN traffic too
}

const (
	// onWire is what the wire carries for a byte handed to the transport:
	// encryption, framing and headers of packets. TCP with TLS costs 1.046 in
	// Ethernet frames of 1,500 bytes, QUIC 1.06, loopback hardly anything: counted
	// so, the payload and the wire are both within 5% of the rate.
	onWire = 1.025

	// A bucket holds so much time of its rate: what a timer that is late may lose
	// and what may go out at once after a pause. 0.5% of 10 s.
	bucket     = 50 * time.Millisecond
	leastBurst = 256
)

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
	payload := l.Rate / onWire
	burst := max(leastBurst, int(payload*bucket.Seconds()))
	return &limiter{lan: l.LAN, b: rate.NewLimiter(rate.Limit(payload), burst)}
}

// limits reports whether traffic over path is counted.
func (l *limiter) limits(p Path) bool { return (l.b != nil || l.off) && (p != LAN || l.lan) }

// wait takes n tokens if path is counted, in steps of the burst.
func (l *limiter) wait(ctx context.Context, p Path, n int) error {
	return l.steps(ctx, p, n, func(int, int) error { return nil })
}

// steps calls f for the parts of n bytes, one behind the other, each as soon as
// there are tokens for it: a slow path is used evenly, not in lumps. It ends with
// the first error.
func (l *limiter) steps(ctx context.Context, p Path, n int, f func(from, to int) error) error {
	if l.b == nil || !l.limits(p) {
		return f(0, n)
	}
	return steps(ctx, l.b, 0, n, f)
}

// steps is limiter.steps of what lies between two offsets; without a limit, all at once.
func steps(ctx context.Context, b *rate.Limiter, from, to int, f func(from, to int) error) error {
	for from < to {
		step := to - from
		if b.Limit() != rate.Inf {
			step = min(step, b.Burst())
			if err := b.WaitN(ctx, step); err != nil {
				return err
			}
		}
		if err := f(from, from+step); err != nil {
			return err
		}
		from += step
	}
	return nil
}

// take takes n tokens at once and without waiting, for what must not wait: those
// who do wait the longer.
func (l *limiter) take(p Path, n int) {
	if l.b == nil || !l.limits(p) {
		return
	}
	for now := time.Now(); n > 0; n -= l.b.Burst() {
		l.b.ReserveN(now, min(n, l.b.Burst()))
	}
}

// readFull fills buf from r no faster than the limit allows.
func (l *limiter) readFull(ctx context.Context, p Path, r io.Reader, buf []byte) error {
	return l.steps(ctx, p, len(buf), func(from, to int) error {
		_, err := io.ReadFull(r, buf[from:to])
		return err
	})
}

// WaitDownload takes n bytes of download from the limit over path, for sources
// other than peers.
func (x *Exchange) WaitDownload(ctx context.Context, path Path, n int) error {
	return x.down.wait(ctx, path, n)
}
