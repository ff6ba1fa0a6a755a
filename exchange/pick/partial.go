package pick

import (
	"slices"
	"time"
)

// A peer that is getting a piece passes on what it has of it, block by block,
// before it can know that it is right. So a piece crosses a crowd in hardly more
// than the time that it takes to cross one line (algorithms.md 1.2, with the block
// in place of the piece). Such a piece is asked of a peer like any other, but only
// while nobody else is bound to send it; and if it is wrong, that proves nothing
// against the peer.

// maxPartial bounds the pieces that one peer is believed to be getting.
const maxPartial = 64

// OnPartial tells that a peer is getting a piece, and passes it on as it comes. It
// ends with OnHave, or with OnUnhave if nothing comes of it.
func (p *Picker) OnPartial(now time.Time, key PeerKey, piece int) {
	p.clock(now)
	q := p.peers[key]
	if q == nil || !p.valid(piece) || !p.Trusted(key) || q.have.has(piece) || len(q.partial) >= maxPartial {
		return
	}
	q.alive = p.now
	at, _ := slices.BinarySearch(q.partial, piece)
	q.partial = slices.Insert(q.partial, at, piece)
	q.have.add(piece)
	p.count(piece, 1)
	p.mayAsk(q, piece, piece+1)
}

// Partial reports whether a peer was last heard to be getting a piece, not to have it.
func (p *Picker) Partial(key PeerKey, piece int) bool {
	q := p.peers[key]
	return q != nil && q.passes(piece)
}

// Trusted reports whether what comes of a peer may be passed on before it is known
// to be right: nothing that came was wrong yet, or a piece of the peer was right. So
// a liar's piece is passed on once at most, however many names he has.
func (p *Picker) Trusted(key PeerKey) bool {
	q := p.peers[key]
	return q != nil && !q.doubted && (q.honest || !p.lied)
}

func (q *peer) passes(piece int) bool {
	_, ok := slices.BinarySearch(q.partial, piece)
	return ok
}

// settled notes that a peer is not getting pieces any more: it has them, or not.
func (q *peer) settled(first, end int) {
	if len(q.partial) == 0 {
		return
	}
	q.partial = slices.DeleteFunc(q.partial, func(i int) bool { return i >= first && i < end })
}

// doubt leaves what a peer is getting to others from now on: it was wrong once, and
// whose fault that was cannot be known.
func (p *Picker) doubt(q *peer) {
	q.doubted = true
	for _, i := range slices.Clone(q.partial) {
		p.OnUnhave(p.now, q.key, i, 1)
	}
}

// sent reports whether a peer is bound to send a piece.
func (p *Picker) sent(i int) bool {
	return slices.ContainsFunc(p.tries[i], (*attempt).bound)
}

// unsent takes the pieces that a peer is getting, and that another is bound to
// send, out of a word of those that it may be asked for.
func (p *Picker) unsent(q *peer, w int, x uint64) uint64 {
	for _, i := range q.partial {
		if i>>6 == w && x>>(i&63)&1 == 1 && p.sent(i) {
			x &^= 1 << (i & 63)
		}
	}
	return x
}
