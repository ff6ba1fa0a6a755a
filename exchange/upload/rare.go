package upload

import "time"

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
func (u *Uploads) copied(now time.Time, p *peer, b *book, piece int) {
	h := p.holds(b)
	if h.has(piece) {
		return
	}
	h.pieces = with(h.pieces, piece)
	if n := len(b.copies); piece >= n {
		b.copies = append(b.copies, make([]uint8, max(piece+1, min(2*n, 1<<20))-n)...)
	}
	if b.copies[piece] < 255 {
		b.copies[piece]++
	}
	if b.copies[piece] == 1 {
		u.tie(now, p, b, piece)
	}
}

// tie makes what others wait for of a piece that was to be had here alone, and has
// now gone to one of them, be offered before it is sent, as if it had been asked so:
// they may be getting it from that one by then.
func (u *Uploads) tie(now time.Time, to *peer, b *book, piece int) {
	for _, p := range u.order {
		found := false
		for i := range p.parts {
			if q := &p.parts[i]; p != to && q.Piece == piece && q.Root == b.root && q.alone() {
				n := u.ready(*q)
				u.add(p, *q, -n)
				q.Tied, found = true, true
				u.add(p, *q, n)
			}
		}
		if found {
			u.expose(now, p)
		}
	}
}

// join has a new part offered before it is sent if others have the piece, or if what
// waits of the piece already is.
func (u *Uploads) join(p *peer, part *Part) {
	if part.Tied || part.Urgent {
		return
	}
	if part.First == 0 {
		part.Tied = u.elsewhere(p, part.Root, part.Piece)
		return
	}
	for i := range p.parts {
		if q := &p.parts[i]; q.Tied && q.Piece == part.Piece && q.Root == part.Root {
			part.Tied, part.promised = true, q.promised
			return
		}
	}
}

// elsewhere reports whether others than a peer have a piece.
func (u *Uploads) elsewhere(p *peer, root RootKey, piece int) bool {
	b := u.find(root)
	if b == nil {
		return false
	}
	if p.holds(b).has(piece) {
		return b.known(piece) > 1
	}
	return b.known(piece) > 0
}

// alone reports whether a part was asked of us alone, and nothing of the piece has
// been sent.
func (p *Part) alone() bool { return !p.Tied && !p.Urgent && !p.promised && !p.begun && p.First == 0 }

// uncount takes what a peer has out of the count: it leaves. A count that went
// beyond what it can say stays there.
func (u *Uploads) uncount(p *peer) {
	for _, h := range p.has {
		for i := range h.of.copies {
			if c := &h.of.copies[i]; h.has(i) && *c < 255 {
				if *c--; *c == 0 && has(h.of.sent, i) {
					u.addSole(h.of, i)
				}
			}
		}
	}
}

// rarer returns whom to serve in place of a peer whose turn it is: somebody who asks
// for what nobody else has, while it asks for what others have, too. So what is to be
// had here alone is soon elsewhere, and everybody's line can carry it. Who gave
// something is never passed over.
func (u *Uploads) rarer(p *peer) *peer {
	if p.gave || u.sole(p) {
		return p
	}
	best, sent := p, int64(0)
	for _, q := range u.order {
		if q.exposed == 0 || q.gave || !u.sole(q) {
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
