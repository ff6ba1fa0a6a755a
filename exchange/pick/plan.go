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
	p.wishes()
	plan.Requests, p.taken = p.taken, nil
	p.urgent(&plan)
	p.feedHungry(&plan)
	for p.swap(&plan) {
		p.feedHungry(&plan)
	}
	if p.unasked == 0 && p.missing.len > 0 && len(p.order) > 0 {
		p.endgame(&plan)
	}
	plan.Cancels, p.cancels = p.cancels, nil
	plan.Requests = slices.DeleteFunc(plan.Requests, p.lapsed)
	plan.Freed, p.freed = p.stillFree(), nil
	p.claimed(&plan)
	if len(p.checks) > 0 {
		p.wakeAt(p.checks[0].checkAt)
	}
	p.wakeAt(p.lookAt)
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

// feedHungry fills the windows of the peers of which something has changed, in
// order.
func (p *Picker) feedHungry(plan *Plan) {
	if len(p.hungry) == 0 {
		return
	}
	p.hungry, p.sated = p.sated[:0], p.hungry
	slices.SortFunc(p.sated, func(a, b *peer) int { return a.pos - b.pos })
	for _, q := range p.sated {
		q.hungry = false
		p.feed(plan, q)
	}
}

// feedSoon has the window of a peer filled at the next Advance.
func (p *Picker) feedSoon(q *peer) {
	if !q.hungry {
		q.hungry = true
		p.hungry = append(p.hungry, q)
	}
}

// look has it looked again for what to ask of a peer.
func (p *Picker) look(q *peer) {
	p.lookOpen(q)
	p.lookFew(q)
}

// lookOpen is look but for what hardly anybody has.
func (p *Picker) lookOpen(q *peer) {
	q.none, q.noneFar = 0, 0
	p.feedSoon(q)
}

// lookFew has it looked again whether a peer has something that hardly anybody has.
func (p *Picker) lookFew(q *peer) { q.noneFew, p.swaps = 0, true }

// lookAllFew has it looked again at all of them.
func (p *Picker) lookAllFew() {
	p.fewer++
	p.swaps = true
}

// rouse feeds the peers that had nothing to ask and have a piece that may be asked
// now.
func (p *Picker) rouse(piece int) {
	p.wakeIdle(func(q *peer) bool { return q.ask.has(piece) })
}

// makeRoom feeds the peers that found no place for what there was to ask, and the
// snubbed ones, which are asked for nothing that is in flight elsewhere.
func (p *Picker) makeRoom() {
	p.wakeIdle(func(q *peer) bool { return q.packed || q.snubbed })
}

func (p *Picker) wakeIdle(which func(*peer) bool) {
	kept := p.idle[:0]
	for _, q := range p.idle {
		if which(q) {
			q.idle, q.packed = false, false
			p.look(q)
		} else {
			kept = append(kept, q)
		}
	}
	p.idle = kept
}

// leaveIdle notes that a peer has room and nothing to ask.
func (p *Picker) leaveIdle(q *peer) {
	q.packed = p.full(q)
	if !q.idle {
		q.idle = true
		p.idle = append(p.idle, q)
	}
}

// feed fills the window of a peer: first the rest of what it has begun, then
// new pieces.
func (p *Picker) feed(plan *Plan, q *peer) {
	if q.refused.rest.After(p.now) {
		return
	}
	window, least := p.room(q)
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
		if window-q.out < least || q.onTrial() && p.seeds == len(p.order) {
			return
		}
		i := p.choose(q)
		if i < 0 {
			p.leaveIdle(q)
			return
		}
		a := p.begin(q, i)
		a.tied = a.tied || p.tied(i)
		p.ask(plan, a, max(1, p.fit(i, 0, window-q.out, p.cfg.Block)))
		if a.asked < a.blocks {
			return
		}
	}
}

// room is how much may be in flight at a peer, and how much of that must be free
// before more is asked: longer requests, fewer messages.
func (p *Picker) room(q *peer) (window, least int) {
	window = p.window(q)
	return window, max(p.cfg.Block, window/4)
}

// roomy reports whether a peer may be asked for something.
func (p *Picker) roomy(q *peer) bool {
	window, least := p.room(q)
	if window-q.out >= least {
		return true
	}
	for _, a := range q.tries { // the rest of a piece, however little
		if a.asked < a.blocks {
			return p.rest(a.piece, a.asked) <= window-q.out
		}
	}
	return false
}

// tied reports whether a piece that is asked of a peer now is to be offered
// before it is sent: others wait to send it, or could. Then nobody sends what
// another sends already, and who is free first has it.
func (p *Picker) tied(i int) bool {
	return len(p.tries[i]) > 1 || int(p.pieces[i].holders)+p.seeds > 1
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
	if p.past(p.lookAt) {
		p.ranked = time.Time{}
	}
	if !p.ranked.IsZero() && (p.now.Sub(p.ranked) < rankEvery || len(p.hungry) < 2 && !p.mixed()) {
		return
	}
	p.ranked = p.now
	slices.SortStableFunc(p.order, func(a, b *peer) int {
		switch {
		case a.snubbed != b.snubbed:
			return btoi(a.snubbed) - btoi(b.snubbed)
		case a.path != b.path:
			return int(a.path) - int(b.path)
		}
		return cmp.Or(-cmp.Compare(a.meter.rate(), b.meter.rate()), cmp.Compare(a.nth, b.nth))
	})
	for i, q := range p.order {
		q.pos = i
	}
	p.weigh()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
