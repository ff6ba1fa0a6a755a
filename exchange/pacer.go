package exchange

import (
	"context"

	"golang.org/x/time/rate"
)

// paceStep is how many bytes of a frame that is paced are written at once: three packets.
const paceStep = 4 << 10

// pacer writes frames no faster than a slow line carries them.
type pacer struct{ b *rate.Limiter }

func newPacer() *pacer { return &pacer{rate.NewLimiter(rate.Inf, paceStep)} }

// set changes the pace, in bytes/s; 0: at once.
func (p *pacer) set(pace float64) {
	limit := rate.Limit(pace)
	if pace == 0 {
		limit = rate.Inf
	}
	if limit != p.b.Limit() {
		p.b.SetLimit(limit)
	}
}

// steps calls f for the parts of what lies between two offsets, one behind the other,
// each when it is due. It ends with the first error.
func (p *pacer) steps(ctx context.Context, from, to int, f func(from, to int) error) error {
	return steps(ctx, p.b, from, to, f)
}
