package sim

import (
	"math"
	"slices"
	"time"
)

// Result is what came of a run.
type Result struct {
	Times     []time.Duration // from arrival to the last piece, of each downloader that finished, ascending
	Riders    []time.Duration // the same of those that ride
	Missing   int             // downloaders that did not finish
	Left      int             // of them, those that left
	Origin    float64         // copies that the origin sent
	Bound     time.Duration   // max(F/u_s, F/d_min, N*F/(u_s+sum u_i)): no schedule is faster; for peers that arrive together
	Allowed   time.Duration   // the mean time of downloaders that arrive when they do, if the lines were always full; 0 without a holder
	Chunked   time.Duration   // the bound when only whole pieces are passed on, algorithms.md 1.2
	Copies    float64         // that the holders sent
	Spread    float64         // that they had sent when every piece was elsewhere too; negative: never
	Duplicate float64         // payload bytes that did not help, of all that came
	Dropped   int             // peers given up for dead
	Steps     uint64          // events
	Busy      []float64       // share of the lines' time that was used, by second
}

// Median, P99 and Last are of Times; 0 if there are none.
func (r Result) Median() time.Duration { return r.quantile(0.5) }
func (r Result) P99() time.Duration    { return r.quantile(0.99) }
func (r Result) Last() time.Duration   { return r.quantile(1) }

// Mean is of Times; 0 if there are none.
func (r Result) Mean() time.Duration {
	var sum time.Duration
	for _, t := range r.Times {
		sum += t
	}
	return sum / time.Duration(max(1, len(r.Times)))
}

func (r Result) quantile(q float64) time.Duration { return quantile(r.Times, q) }

func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return times[max(0, int(math.Ceil(q*float64(len(times))))-1)]
}

// Ride is what the median rider took over what the median of the others did.
func (r Result) Ride() float64 { return quantile(r.Riders, 0.5).Seconds() / r.Median().Seconds() }

// Ratio is a time over the bound.
func (r Result) Ratio(t time.Duration) float64 { return t.Seconds() / r.Bound.Seconds() }

func (c *Crowd) result() Result {
	r := Result{Copies: c.holderCopies(), Spread: c.copies, Dropped: c.dropped, Steps: c.steps}
	var good, waste int64
	var worked []time.Duration
	for _, p := range c.peers {
		good += p.received
		waste += p.wasted
		switch {
		case p.spec.Holder:
		case p.done < 0:
			r.Missing++
		case p.spec.Rides:
			r.Riders = append(r.Riders, p.done-p.began)
		default:
			r.Times = append(r.Times, p.done-p.began)
		}
	}
	slices.Sort(r.Times)
	slices.Sort(r.Riders)
	r.Left = c.left
	for _, s := range c.shares {
		r.Dropped += s.dropped
		r.Steps += s.steps
		for i, t := range s.worked {
			if i == len(worked) {
				worked = append(worked, 0)
			}
			worked[i] += t
		}
	}
	if c.origin != nil {
		r.Origin = float64(c.origin.sentAll) / float64(len(c.sizes)*c.cfg.Piece)
	}
	r.Duplicate = float64(waste) / float64(max(1, good+waste))
	r.Bound, r.Chunked = c.bounds()
	r.Allowed = c.allowed()
	for _, t := range worked {
		r.Busy = append(r.Busy, t.Seconds()/float64(len(c.peers)))
	}
	return r
}

// bounds are the times that no schedule can beat.
func (c *Crowd) bounds() (fluid, chunked time.Duration) {
	var us, ups, n float64
	slowest := math.Inf(1)
	if c.origin != nil {
		us = c.origin.up
	}
	for _, p := range c.peers {
		if p.spec.Holder {
			us += p.up
			continue
		}
		n++
		if !p.spec.Rides {
			ups += p.up
		}
		slowest = min(slowest, p.down)
	}
	if n == 0 || us == 0 {
		return 0, 0
	}
	size := float64(len(c.sizes)*c.cfg.Piece) * c.cfg.Overhead
	fluid = seconds(max(size/us, size/slowest, n*size/(us+ups)))
	// The first whole piece at the mean peer is log2(N)-1 forwards old.
	forward := float64(c.cfg.Piece) * c.cfg.Overhead * n / max(ups, 1)
	late := forward * max(0, math.Log2(n)-1)
	if n == 1 {
		forward = 0
	}
	chunked = seconds(max(size/us+forward, size/slowest, (n*size+ups*late)/(us+ups)))
	return fluid, max(fluid, chunked)
}
