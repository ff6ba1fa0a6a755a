package peers

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Advance returns whom to connect to and whom to leave now. Without an event
// and before Deadline, a second call returns an empty plan.
func (c *Crowd) Advance(now time.Time) Plan {
	c.wake = time.Time{}
	plan := Plan{Drop: c.turnover(now)}
	for _, m := range c.ready(now) {
		room := c.cfg.Want
		if m.how <= Near {
			room = c.cfg.Most
		}
		if c.busy >= c.cfg.AtOnce || c.live+c.busy >= room {
			continue // one found in another way may have room
		}
		m.state = dialling
		c.busy++
		plan.Dial = append(plan.Dial, m.key)
	}
	return plan
}

// ready are the candidates that may be tried now, the best first.
func (c *Crowd) ready(now time.Time) []*member {
	var out []*member
	for _, m := range c.all {
		switch {
		case m.state != waiting:
		case m.after.After(now):
			c.wakeAt(m.after)
		default:
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *member) int {
		if better(a, b) {
			return -1
		}
		return 1
	})
	return out
}

// better reports whether a is tried before b.
func better(a, b *member) bool {
	return cmp.Or(cmp.Compare(a.fails, b.fails), cmp.Compare(a.how, b.how), cmp.Compare(a.lot, b.lot), cmp.Compare(a.key, b.key)) < 0
}

func (c *Crowd) wakeAt(t time.Time) {
	if c.wake.IsZero() || t.Before(c.wake) {
		c.wake = t
	}
}

// OnMoved tells how many bytes went between us and a peer so far, both ways.
func (c *Crowd) OnMoved(now time.Time, key Key, total int64) {
	m := c.all[key]
	if m == nil || m.state != peer {
		return
	}
	fresh := max(total-m.total, 0)
	m.recent = m.recent*math.Exp(-now.Sub(m.told).Seconds()/c.cfg.Every.Seconds()) + float64(fresh)
	m.total, m.told = total, now
	if fresh > 0 {
		m.moved = now
	}
}

// turnover returns who is let go now.
func (c *Crowd) turnover(now time.Time) []Key {
	if c.live < c.cfg.Want {
		c.turn = time.Time{}
		return nil
	}
	if c.turn.IsZero() {
		c.turn = now.Add(c.cfg.Every)
	}
	if now.Before(c.turn) {
		c.wakeAt(c.turn)
		return nil
	}
	c.turn = now.Add(c.cfg.Every)
	c.wakeAt(c.turn)
	n := int(math.Ceil(float64(c.live) * c.cfg.Turnover))
	if c.live-n < c.cfg.Want { // replaced, and by no more than there are
		n = min(n, max(c.live-c.cfg.Want, c.fresh(now)))
	}
	var drop []Key
	for _, m := range c.worst(now) {
		if len(drop) == n {
			break
		}
		drop = append(drop, m.key)
	}
	for _, key := range drop {
		m := c.all[key]
		c.leave(m)
		m.fails, m.after = m.fails+1, now.Add(maxRetry)
	}
	return drop
}

// fresh counts candidates that could take somebody's place.
func (c *Crowd) fresh(now time.Time) int {
	n := 0
	for _, m := range c.all {
		if m.state == waiting && m.fails == 0 && !m.after.After(now) {
			n++
		}
	}
	return n
}

// worst are the peers that may leave, the worst first.
func (c *Crowd) worst(now time.Time) []*member {
	var out []*member
	for _, m := range c.all {
		if m.state != peer || now.Sub(m.since) < c.cfg.Young || m.how == Named {
			continue
		}
		if !m.moved.IsZero() && now.Sub(m.moved) < c.cfg.Active {
			continue
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b *member) int {
		idle := func(m *member) int { // who moved nothing lately, by path
			if m.recent < 1 {
				return 1 + int(m.path)
			}
			return 0
		}
		return cmp.Or(-cmp.Compare(idle(a), idle(b)), cmp.Compare(a.recent, b.recent), -cmp.Compare(a.trip, b.trip), cmp.Compare(a.key, b.key))
	})
	return out
}
