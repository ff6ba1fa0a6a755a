package upload

import "slices"

// Known is how many copies of a piece are known of, those of seeds left out.
func (u *Uploads) Known(root RootKey, piece int) int {
	if b := u.find(root); b != nil {
		return b.known(piece)
	}
	return 0
}

func (b *book) known(piece int) int {
	if piece < len(b.copies) {
		return int(b.copies[piece])
	}
	return 0
}

// copied notes that a peer has a piece, or will have it soon.
func (p *peer) copied(b *book, piece int) {
	h := p.holds(b)
	if w := piece >> 6; w >= len(h.pieces) {
		h.pieces = slices.Grow(h.pieces, w+1-len(h.pieces))[:w+1]
	}
	if h.pieces[piece>>6]>>(piece&63)&1 == 1 {
		return
	}
	h.pieces[piece>>6] |= 1 << (piece & 63)
	if n := len(b.copies); piece >= n {
		b.copies = append(b.copies, make([]uint8, max(piece+1, min(2*n, 1<<20))-n)...)
	}
	if b.copies[piece] < 255 {
		b.copies[piece]++
	}
}

// uncount takes what a peer has out of the count: it leaves. A count that went
// beyond what it can say stays there.
func (p *peer) uncount() {
	for _, h := range p.has {
		for i := range h.of.copies {
			if c := &h.of.copies[i]; i>>6 < len(h.pieces) && h.pieces[i>>6]>>(i&63)&1 == 1 && *c < 255 {
				*c--
			}
		}
	}
}

// rarer returns whom to serve in place of a peer whose turn it is: somebody who asks
// for what nobody else has, while it asks for what others have, too. So what is to be
// had here alone is soon elsewhere, and everybody's line can carry it. Who gave
// something is never passed over.
func (u *Uploads) rarer(p *peer) *peer {
	if u.gave(p) || u.sole(p) {
		return p
	}
	best, sent := p, int64(0)
	for _, q := range u.order {
		if q.exposed == 0 || u.gave(q) || !u.sole(q) {
			continue
		}
		if n := u.ledger.Balance(q.key).Sent; best == p || n < sent {
			best, sent = q, n
		}
	}
	return best
}

// sole reports whether a peer asks for a piece that nobody else has.
func (u *Uploads) sole(p *peer) bool {
	for i := range p.parts[:min(len(p.parts), look)] {
		if q := &p.parts[i]; !q.Tied && u.ready(*q) > 0 && u.Known(q.Root, q.Piece) == 0 {
			return true
		}
	}
	return false
}
