package pick

import (
	"cmp"
	"slices"
	"time"
)

// Advance returns what to do now. Without an event and before Deadline, a
// second call returns an empty plan.
func (p *Picker) Advance(now time.Time) Plan {
	p.clock(now)
	p.wake = time.Time{}
	p.tick()
	p.rank()
	var plan Plan
	plan.Requests, p.taken = p.taken, nil
	p.urgent(&plan)
	for _, q := range p.order {
		p.feed(&plan, q)
	}
	if p.unasked == 0 && p.missing.len > 0 && len(p.order) > 0 {
		p.endgame(&plan)
	}
	plan.Cancels, p.cancels = p.cancels, nil
	plan.Requests = slices.DeleteFunc(plan.Requests, p.lapsed)
	plan.Freed, p.freed = p.stillFree(), nil
	p.claimed(&plan)
	return plan
}

// lapsed reports whether an offer that was taken has been cancelled since.
func (p *Picker) lapsed(r Request) bool {
	if !r.Again {
		return false
	}
	q := p.peers[r.Peer]
	return q == nil || q.attempt(r.Piece) == nil
}

// stillFree returns the freed pieces that are missing, each once.
func (p *Picker) stillFree() []int {
	slices.Sort(p.freed)
	free := slices.Compact(p.freed)
	return slices.DeleteFunc(free, func(i int) bool { return !p.missing.has(i) })
}

// feed fills the window of a peer: first the rest of what it has begun, then
// new pieces.
func (p *Picker) feed(plan *Plan, q *peer) {
	if q.refused.rest.After(p.now) {
		return
	}
	window := p.window(q)
	least := max(p.cfg.Block, window/4) // longer requests, fewer messages
	for _, a := range q.tries {
		if a.asked == a.blocks {
			continue
		}
		if n := p.fit(a.piece, a.asked, window-q.out, least); n > 0 {
			p.ask(plan, a, n)
		}
		if a.asked < a.blocks {
			return
		}
	}
	for {
		if window-q.out < least {
			return
		}
		i := p.choose(q)
		if i < 0 {
			return
		}
		tied := p.queued.has(i)
		a := p.begin(q, i)
		a.tied = tied
		p.ask(plan, a, max(1, p.fit(i, 0, window-q.out, p.cfg.Block)))
		if a.asked < a.blocks {
			return
		}
	}
}

// fit is how many blocks of a piece to ask with room bytes left: all that is
// missing if they fit, else at least the given bytes, else none.
func (p *Picker) fit(i, first, room, least int) int {
	if rest := p.rest(i, first); rest <= room {
		return (rest + p.cfg.Block - 1) / p.cfg.Block
	}
	if room < least {
		return 0
	}
	return room / p.cfg.Block
}

// share is the part of MaxStarted, in eighths, that bulk pieces of a path may
// fill: deadlines and better paths always find a place.
var share = [paths]int{LAN: 7, WAN: 6, Relay: 4}

// full reports whether no attempt may be begun at a peer.
func (p *Picker) full(q *peer) bool {
	eighths := share[q.path]
	if q.snubbed {
		eighths = share[Relay]
	}
	return p.crowded(eighths)
}

// crowded reports whether so many eighths of the places or bytes are taken.
func (p *Picker) crowded(eighths int) bool {
	return len(p.started) >= p.cfg.MaxStarted*eighths/8 || p.buffers+p.waiting/maxWaiting >= p.cfg.MaxBytes*int64(eighths)/8
}

// rankEvery is how often peers are put into order and paths are weighed.
const rankEvery = 100 * time.Millisecond

// rank orders peers by path and rate, snubbed ones last, so that a place goes
// to who uses it best.
func (p *Picker) rank() {
	if !p.ranked.IsZero() && p.now.Sub(p.ranked) < rankEvery {
		return
	}
	p.ranked = p.now
	slices.SortStableFunc(p.order, func(a, b *peer) int {
		return cmp.Or(
			cmp.Compare(btoi(a.snubbed), btoi(b.snubbed)),
			cmp.Compare(a.path, b.path),
			-cmp.Compare(a.meter.rate(), b.meter.rate()),
			cmp.Compare(a.nth, b.nth))
	})
	p.weigh()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
