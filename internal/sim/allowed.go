package sim

import (
	"slices"
	"time"
)

// allowed is the mean time of those who arrive when they do if at any moment all that
// who is here can send is sent, and divided equally, as scripts/crowd.sh reckons it
// of a lab. All peers are taken to be like the last one.
func (c *Crowd) allowed() time.Duration {
	var us, up, down float64
	var at []time.Duration
	stays := true
	for _, p := range c.peers {
		if p.spec.Holder {
			us += p.up
			continue
		}
		up, down, stays = p.up, p.down, p.spec.Stay < 0
		at = append(at, p.spec.Arrives)
	}
	if us == 0 {
		return 0
	}
	slices.Sort(at)
	size := float64(len(c.sizes)*c.cfg.Piece) * c.cfg.Overhead
	left, sum, came := []float64{}, time.Duration(0), 0
	for now := time.Duration(0); came < len(at) || len(left) > 0; {
		if len(left) == 0 {
			now = max(now, at[came])
		}
		for came < len(at) && at[came] <= now {
			left, came = append(left, size), came+1
		}
		others := len(left)
		if stays {
			others = came
		}
		if len(left) == 1 {
			others-- // nobody sends to himself
		}
		rate := min(down, (us+up*float64(others))/float64(len(left)))
		step := seconds(left[0]/rate) + 1 // the first to come is the first to be done
		if came < len(at) {
			step = min(step, at[came]-now)
		}
		now += step
		sum += step * time.Duration(len(left))
		for i := range left {
			left[i] -= rate * step.Seconds()
		}
		left = slices.DeleteFunc(left, func(bytes float64) bool { return bytes <= 0 })
	}
	return sum / time.Duration(max(1, len(at)))
}
