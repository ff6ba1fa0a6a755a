package pick

import (
	"slices"
	"time"
)

const (
	firstBlock = 500 * time.Millisecond // a peer just asked is given this before worse paths take over
	reweigh    = 250 * time.Millisecond // a peer held back looks again after this
)

// class is what speaks for asking peers of one path: what better paths hold,
// and whether they need help.
type class struct {
	better *set // held by peers on better paths that deliver; nil: nobody is on a better path
	worth  bool // help ends the download sooner by more than Config.Worth
}

// weigh decides for each path whether its peers may be asked for what better
// paths hold: if the better paths alone would take longer for it than together
// with this path, by more than Config.Worth. So preferring the near path costs
// at most that much time in all, and a near path that is slow is not preferred.
// See testdata/lan.txt.
func (p *Picker) weigh() {
	p.lookAt = time.Time{}
	if p.mixed() || p.classes != [paths]class{} {
		for _, q := range p.order {
			p.look(q)
		}
	}
	if p.classes = [paths]class{}; !p.mixed() {
		return
	}
	var betterRate float64
	better, waiting := (*set)(nil), false
	for path := range paths {
		rate := p.pathRate(path)
		p.classes[path] = class{better: better}
		if better != nil {
			left := float64(overlap(better, p.missing)) * p.meanSize()
			alone := left / max(betterRate, 1)
			together := left / max(betterRate+rate, 1)
			p.classes[path].worth = !waiting && alone-together > p.cfg.Worth.Seconds()
		}
		if path == Relay {
			return
		}
		better = p.holdings(path, better)
		for _, q := range p.order {
			if q.path == path && q.proven && !q.snubbed {
				betterRate += p.speed(q)
			}
			waiting = waiting || q.path == path && p.expected(q)
		}
	}
}

// mixed reports whether peers are on several paths.
func (p *Picker) mixed() bool {
	n := len(p.order)
	return n > 0 && p.on[LAN] < n && p.on[WAN] < n && p.on[Relay] < n
}

// expected reports whether a peer is about to show what it can do.
func (p *Picker) expected(q *peer) bool {
	if q.proven || q.snubbed || q.ask.len == 0 {
		return false
	}
	if q.asked.IsZero() || p.now.Sub(q.asked) < firstBlock {
		if !q.asked.IsZero() {
			p.lookAt = sooner(p.lookAt, q.asked.Add(firstBlock))
		}
		return true
	}
	return false
}

// pathRate is what the peers of a path deliver, or are hoped to.
func (p *Picker) pathRate(path Path) float64 {
	var rate float64
	for _, q := range p.order {
		if q.path == path && !q.snubbed {
			rate += p.speed(q)
		}
	}
	return rate
}

// holdings adds what peers of a path hold and deliver to the holdings of
// better paths. Nil if there are no such peers, or nobody is on a worse path
// and nobody will look.
func (p *Picker) holdings(path Path, better *set) *set {
	if !slices.ContainsFunc(p.order, func(q *peer) bool { return q.path > path }) {
		return nil
	}
	var all *set
	for _, q := range p.order {
		if q.path != path || q.snubbed || q.ask.len == 0 {
			continue
		}
		if all == nil {
			all = newSet(len(p.pieces))
			if better != nil {
				all.merge(better)
			}
		}
		all.merge(&q.ask)
	}
	if all == nil {
		return better
	}
	return all
}

func (p *Picker) meanSize() float64 {
	if len(p.pieces) == 0 {
		return 0
	}
	return float64(p.pieces[0].size)/2 + float64(p.pieces[len(p.pieces)/2].size)/2
}
