package exchange

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// paceStep is for how long a step of a frame that is paced takes.
const paceStep = 50 * time.Millisecond

// pacer writes frames no faster than a slow line carries them.
type pacer struct{ b *rate.Limiter }

func newPacer() *pacer { return &pacer{rate.NewLimiter(rate.Inf, leastBurst)} }

// set changes the pace, in bytes/s; 0: at once.
func (p *pacer) set(pace float64) {
	limit := rate.Limit(pace)
	if pace == 0 {
		limit = rate.Inf
	}
	if limit == p.b.Limit() {
		return
	}
	if pace > 0 {
		p.b.SetBurst(max(leastBurst, int(pace*paceStep.Seconds())))
	}
	p.b.SetLimit(limit)
}

// steps calls f for the parts of what lies between two offsets, one behind the other,
// each when it is due.
func (p *pacer) steps(ctx context.Context, from, to int, f func(from, to int) error) error {
	if p.b.Limit() == rate.Inf {
		return f(from, to)
	}
	for from < to {
		step := min(to-from, p.b.Burst())
		if err := p.b.WaitN(ctx, step); err != nil {
			return err
		}
		if err := f(from, from+step); err != nil {
			return err
		}
		from += step
	}
	return nil
}
