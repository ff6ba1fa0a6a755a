package upload

import "slices"

// copies are how many of the peers that are here have a piece, or were sent it, as
// far as known; who has what is remembered so that it is uncounted when they leave.
// Seeds are left out.
type copies map[RootKey][]uint8 // by piece, up to 255

// Known is how many copies of a piece are known of, those of seeds left out.
func (u *Uploads) Known(root RootKey, piece int) int {
	if c := u.copies[root]; piece < len(c) {
		return int(c[piece])
	}
	return 0
}

// copied notes that a peer has a piece, or will have it soon.
func (u *Uploads) copied(p *peer, root RootKey, piece int) {
	has := p.has[root]
	if w := piece >> 6; w >= len(has) {
		has = slices.Grow(has, w+1-len(has))[:w+1]
		p.has[root] = has
	}
	if has[piece>>6]>>(piece&63)&1 == 1 {
		return
	}
	has[piece>>6] |= 1 << (piece & 63)
	c := u.copies[root]
	if piece >= len(c) {
		c = append(c, make([]uint8, max(piece+1, min(2*len(c), 1<<20))-len(c))...)
		u.copies[root] = c
	}
	if c[piece] < 255 {
		c[piece]++
	}
}

// uncount takes what a peer has out of the count: it leaves. A count that went
// beyond what it can say stays there.
func (u *Uploads) uncount(p *peer) {
	for root, has := range p.has {
		for i := range u.copies[root] {
			if c := &u.copies[root][i]; i>>6 < len(has) && has[i>>6]>>(i&63)&1 == 1 && *c < 255 {
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
