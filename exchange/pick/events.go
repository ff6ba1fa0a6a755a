package pick

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// OnBlocks tells that n more blocks of a peer's attempt arrived, in order.
// Blocks that were not asked do not count.
func (p *Picker) OnBlocks(now time.Time, key PeerKey, piece, n int) {
	p.clock(now)
	q := p.peers[key]
	if q == nil || n <= 0 || !p.valid(piece) {
		return
	}
	bytes := 0
	if a := q.attempt(piece); a != nil {
		n = min(n, a.asked-a.got)
		bytes = p.span(piece, a.got, n)
		q.meter.add(p.now, bytes)
		p.outstanding(q, -bytes)
		if n > 0 {
			p.came(a, n)
		}
		if a.whole() {
			p.refresh(piece)
		}
	}
	q.grown = min(q.grown+bytes, p.cfg.MaxPeer)
	q.alive, q.silent, q.refused.rests = p.now, 0, 0
	if q.out > 0 {
		q.since = p.now
		p.expect(q)
	}
	q.proven = q.proven || bytes > 0
	p.snub(q, false)
	if p.roomy(q) {
		p.feedSoon(q)
	}
}

// OnOffer tells that a peer would now send a piece that was asked of others too, or
// that others have.
// It is taken, and leaves the queues of the others, unless it comes already.
func (p *Picker) OnOffer(now time.Time, key PeerKey, piece int) {
	p.clock(now)
	q := p.peers[key]
	if q == nil || !p.valid(piece) {
		return
	}
	a := q.attempt(piece)
	if a == nil {
		p.cancels = append(p.cancels, Cancel{Peer: key, Piece: piece})
		return
	}
	if a.begun() {
		return
	}
	q.alive, q.silent = p.now, 0
	if a.taken { // the peer did not hear of it
		p.own(a)
		return
	}
	if a.wish = a.waits(); !a.wish {
		p.take(a)
	}
}

// take takes an offer, unless another peer is bound to send the piece and does not
// take long.
func (p *Picker) take(a *attempt) {
	q, piece := a.peer, a.piece
	for _, b := range slices.Clone(p.tries[piece]) {
		switch {
		case b == a || b.stalled() || b.late && !a.late && p.tooLate(b, q):
		case b.bound():
			p.cancel(a)
			return
		default:
			p.cancel(b)
		}
	}
	p.own(a)
	if q.out > 0 {
		q.since = p.now
		p.expect(q)
	}
	p.refresh(piece)
}

// own tells a peer that it is the one that is to send a piece.
func (p *Picker) own(a *attempt) {
	a.tied, a.taken, a.wish = false, true, false
	p.taken = append(p.taken, Request{Peer: a.peer.key, Piece: a.piece, Count: a.asked, Again: true})
}

// OnReject tells that a peer does not serve what it was asked of a piece.
// It is asked again a second later, then two, and so on.
func (p *Picker) OnReject(now time.Time, key PeerKey, piece int) {
	p.clock(now)
	q := p.peers[key]
	if q == nil {
		return
	}
	a := q.attempt(piece)
	if a == nil || a.whole() {
		return
	}
	q.alive = p.now
	q.ask.remove(piece)
	p.check(q, q.refused.add(p.now, piece))
	p.check(q, q.refused.rest)
	p.due.hot = true
	p.drop(a)
}

// OnPiece tells the hash result of a finished attempt. ok implies Done; if it
// is not, the peer is never asked for the piece again.
func (p *Picker) OnPiece(now time.Time, key PeerKey, piece int, ok bool) {
	p.clock(now)
	if !p.valid(piece) {
		return
	}
	p.due.hot = true
	q := p.peers[key]
	var a *attempt
	if q != nil {
		a = q.attempt(piece)
	}
	if ok {
		if q != nil {
			q.honest = true
		}
		if a != nil {
			p.took.add(p.now.Sub(a.at))
		}
		p.Done(now, piece)
		return
	}
	p.lied = true
	switch {
	case q == nil:
	case q.passes(piece):
		p.doubt(q)
	default:
		q.ask.remove(piece)
		q.refused.never(piece)
	}
	if a != nil {
		p.cancel(a)
	}
}

// attempt returns the peer's attempt at a piece, nil if there is none.
func (q *peer) attempt(piece int) *attempt {
	for _, a := range q.tries {
		if a.piece == piece {
			return a
		}
	}
	return nil
}

// snub sets whether a peer is snubbed. What it was asked becomes open to
// others, or stops to be.
func (p *Picker) snub(q *peer, snubbed bool) {
	if q.snubbed == snubbed {
		return
	}
	q.snubbed = snubbed
	if snubbed {
		q.grown = 2 * p.cfg.Block
	}
	p.look(q)
	p.ranked = time.Time{}
	p.due.hot = true
	for _, a := range q.tries {
		p.refresh(a.piece)
		p.retry(a)
	}
}

// tick does what time brings: refusals end, silent peers are snubbed, and then,
// when it is known who delivers, their attempts are replaced. Only peers that are
// due are looked at.
func (p *Picker) tick() {
	p.overdue()
	var due []*peer
	for len(p.checks) > 0 && p.past(p.checks[0].checkAt) {
		q := heap.Pop(&p.checks).(*peer)
		due = append(due, q)
	}
	for _, q := range due {
		p.checkPeer(q)
	}
	for _, q := range due {
		if q.snubbed && q.silence(p.now) >= snubMax {
			p.replace(q)
		}
	}
}

// check has a peer checked at that time, or before. What makes silence begin anew
// leaves the time as it is: the check finds nothing, and sets another.
func (p *Picker) check(q *peer, at time.Time) {
	switch {
	case !at.After(p.now):
	case q.checkAt.IsZero():
		q.checkAt = at
		heap.Push(&p.checks, q)
	case at.Before(q.checkAt):
		q.checkAt = at
		heap.Fix(&p.checks, q.check)
	}
}

// checks is a heap of peers, the next to be checked first.
type checks []*peer

func (h checks) Len() int { return len(h) }

func (h checks) Less(i, j int) bool {
	return cmp.Or(h[i].checkAt.Compare(h[j].checkAt), cmp.Compare(h[i].nth, h[j].nth)) < 0
}

func (h checks) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].check, h[j].check = i, j
}

func (h *checks) Push(x any) {
	q := x.(*peer)
	q.check = len(*h)
	*h = append(*h, q)
}

func (h *checks) Pop() any {
	old := *h
	q := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	q.checkAt = time.Time{}
	return q
}

// checkPeer ends the refusals of a peer whose time has come, and snubs it if it
// is silent.
func (p *Picker) checkPeer(q *peer) {
	for _, i := range q.refused.expired(p.now) {
		if q.have.has(i) && !p.barred(q, i) {
			q.ask.add(i)
			p.look(q)
		}
	}
	if len(q.refused.until) > 0 {
		p.check(q, q.refused.until[0].at)
	}
	if p.past(q.refused.rest) {
		q.refused.rest = time.Time{}
		p.look(q)
	}
	p.check(q, q.refused.rest)
	if q.out > 0 {
		p.listen(q)
	}
}

// listen snubs a peer that was asked and is silent.
func (p *Picker) listen(q *peer) {
	silence := q.silence(p.now)
	patience := p.patience(q)
	if silence >= patience {
		p.snub(q, true)
	}
	for _, limit := range []time.Duration{patience, snubMax, deadAfter, deadMax} {
		p.check(q, p.now.Add(limit-silence))
	}
	if silence >= deadAfter {
		p.check(q, q.alive.Add(deadAfter))
	}
}

// replace cancels what a silent peer was asked long ago and another source
// has or is fetching.
func (p *Picker) replace(q *peer) {
	for _, a := range slices.Clone(q.tries) {
		if a.whole() {
			continue
		}
		if old := a.at.Add(snubMax); p.now.Before(old) {
			p.check(q, old)
			continue
		}
		if p.held[a.piece] || len(p.tries[a.piece]) > 1 || p.elsewhere(q, a.piece) {
			p.cancel(a)
		} else {
			p.check(q, p.now.Add(snubMin))
		}
	}
}

// elsewhere reports whether another peer that delivers has a piece.
func (p *Picker) elsewhere(but *peer, piece int) bool {
	for _, q := range p.order {
		if q != but && !q.snubbed && q.ask.has(piece) && !q.passes(piece) {
			return true
		}
	}
	return false
}

// Dead returns the peers to hang up on: they were asked, delivered nothing for
// 30 s (2 min if they showed signs of life), and keep their place from others.
func (p *Picker) Dead(now time.Time) []PeerKey {
	p.clock(now)
	if p.now.Before(p.deadAt) {
		return nil
	}
	p.deadAt = p.now.Add(deadAfter) // of a peer that comes now
	var dead []PeerKey
	for _, q := range p.order {
		silence := q.silence(p.now)
		left := deadAfter - min(silence, p.now.Sub(q.alive))
		if left = min(left, deadMax-silence); left <= 0 {
			dead = append(dead, q.key)
		}
		p.deadAt = sooner(p.deadAt, p.now.Add(left))
	}
	return dead
}
