package pick

import (
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
	}
	q.proven = q.proven || bytes > 0
	p.snub(q, false)
}

// OnOffer tells that a peer would now send a piece that was asked of others too.
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
	if a.bound() || !a.tied {
		return
	}
	for _, b := range slices.Clone(p.tries[piece]) {
		switch {
		case b == a || b.stalled():
		case b.bound():
			p.cancel(a)
			return
		default:
			p.cancel(b)
		}
	}
	a.tied, a.taken = false, true
	q.alive, q.silent = p.now, 0
	if q.out > 0 {
		q.since = p.now
	}
	p.refresh(piece)
	p.taken = append(p.taken, Request{Peer: key, Piece: piece, Count: a.asked, Again: true})
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
	q.refused.add(p.now, piece)
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
		if a != nil {
			p.took.add(p.now.Sub(a.at))
		}
		p.Done(now, piece)
		return
	}
	if q != nil {
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
	p.ranked = time.Time{}
	p.due.hot = true
	for _, a := range q.tries {
		p.refresh(a.piece)
		p.retry(a)
	}
}

// tick does what time brings: refusals end, silent peers are snubbed, and then,
// when it is known who delivers, their attempts are replaced.
func (p *Picker) tick() {
	p.overdue()
	for _, q := range p.order {
		for _, i := range q.refused.expired(p.now) {
			if q.have.has(i) && !p.barred(q, i) {
				q.ask.add(i)
				q.look()
			}
		}
		if len(q.refused.until) > 0 {
			p.wakeAt(q.refused.until[0].at)
		}
		p.wakeAt(q.refused.rest)
		if q.out > 0 {
			p.listen(q)
		}
	}
	for _, q := range p.order {
		if q.snubbed && q.silence(p.now) >= snubMax {
			p.replace(q)
		}
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
		p.wakeAt(p.now.Add(limit - silence))
	}
	if silence >= deadAfter {
		p.wakeAt(q.alive.Add(deadAfter))
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
			p.wakeAt(old)
			continue
		}
		if p.held[a.piece] || len(p.tries[a.piece]) > 1 || p.elsewhere(q, a.piece) {
			p.cancel(a)
		}
	}
}

// elsewhere reports whether another peer that delivers has a piece.
func (p *Picker) elsewhere(but *peer, piece int) bool {
	for _, q := range p.order {
		if q != but && !q.snubbed && q.ask.has(piece) {
			return true
		}
	}
	return false
}

// Dead returns the peers to hang up on: they were asked, delivered nothing for
// 30 s (2 min if they showed signs of life), and keep their place from others.
func (p *Picker) Dead(now time.Time) []PeerKey {
	p.clock(now)
	var dead []PeerKey
	for _, q := range p.order {
		silence := q.silence(p.now)
		if silence >= deadMax || silence >= deadAfter && p.now.Sub(q.alive) >= deadAfter {
			dead = append(dead, q.key)
		}
	}
	return dead
}
