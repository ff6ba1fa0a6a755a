package upload

import (
	"slices"
	"time"
)

// What is being got here is passed on as it comes: a part of such a piece waits
// like any other, but of its blocks only those count that have come.

// grain is how many blocks are passed on at once: in the simulation single ones are
// no faster, and cost twice as many frames.
const grain = 2

// OnPartial tells that the first blocks of a piece are here, and the others are not
// yet; with as many as the piece has, that they all are.
func (u *Uploads) OnPartial(now time.Time, root RootKey, piece, blocks int) {
	b := u.open(root)
	u.arrive(now, root, piece, func() { b.partial[piece] = blocks })
}

// OnWhole ends that: the piece is here.
func (u *Uploads) OnWhole(now time.Time, root RootKey, piece int) {
	b := u.open(root)
	if b.passes(piece) {
		u.arrive(now, root, piece, func() { delete(b.partial, piece) })
	}
	u.addSole(b, piece)
}

// Withdraw ends it as well, since nothing more comes: what was asked of the piece is
// taken off the queues.
func (u *Uploads) Withdraw(now time.Time, root RootKey, piece int) {
	b := u.find(root)
	if b == nil || !b.passes(piece) {
		return
	}
	for _, p := range u.order {
		u.Cancel(now, p.key, root, piece)
	}
	delete(b.partial, piece)
}

// passes reports whether a piece is being got, and passed on as it comes.
func (b *book) passes(piece int) bool {
	_, ok := b.partial[piece]
	return ok
}

// rareCopies is how many peers may have a piece that is passed on: what more have is
// had of them as soon, and whole.
const rareCopies = 2

// Worth reports whether it is worth while to pass a piece on as it comes: few have
// it, and the line has nothing else to send, since nobody waits who could be served.
func (u *Uploads) Worth(root RootKey, piece int) bool {
	return !u.line.full() && u.Known(root, piece) <= rareCopies && !slices.ContainsFunc(u.order, func(p *peer) bool { return p.exposed > 0 })
}

// ready is how many blocks of a part can be sent.
func (u *Uploads) ready(part Part) int {
	b := u.find(part.Root)
	if b == nil || len(b.partial) == 0 {
		return part.Count
	}
	came, partial := b.partial[part.Piece]
	if !partial {
		return part.Count
	}
	return min(max(came-came%grain-part.First, 0), part.Count)
}

// arrive changes how much of a piece is here, and counts what waits of it anew.
func (u *Uploads) arrive(now time.Time, root RootKey, piece int, change func()) {
	var waits []*peer
	for _, p := range u.order {
		for i := range p.parts {
			if q := &p.parts[i]; q.Piece == piece && q.Root == root {
				u.add(p, *q, -u.ready(*q))
				if len(waits) == 0 || waits[len(waits)-1] != p {
					waits = append(waits, p)
				}
			}
		}
	}
	change()
	for _, p := range waits {
		for _, q := range p.parts {
			if q.Piece == piece && q.Root == root {
				u.add(p, q, u.ready(q))
			}
		}
		u.expose(now, p)
	}
}
