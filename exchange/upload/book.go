package upload

import "slices"

// book is what is known of a root.
type book struct {
	root    RootKey
	copies  []uint8      // by piece, up to 255: peers that are here and have it, or were sent it, as far as known; seeds are left out
	only    map[int]gift // pieces that one peer has, and from us alone
	sent    []uint64     // pieces that were ever sent from here, one bit each
	partial map[int]int  // blocks that are here of pieces that are not whole; of others all are
}

// find returns the book of a root, nil if nothing is known of it. Mostly it is the
// one of the last call.
func (u *Uploads) find(root RootKey) *book {
	if u.last == nil || u.last.root != root {
		b := u.books[root]
		if b == nil {
			return nil
		}
		u.last = b
	}
	return u.last
}

// open is find, and begins the book if there is none.
func (u *Uploads) open(root RootKey) *book {
	b := u.find(root)
	if b == nil {
		b = &book{root: root, only: map[int]gift{}, partial: map[int]int{}}
		u.books[root], u.last = b, b
	}
	return b
}

// Forget lets go of what is known of a root.
func (u *Uploads) Forget(root RootKey) {
	b := u.find(root)
	if b == nil {
		return
	}
	delete(u.books, root)
	u.last = nil
	u.soles = slices.DeleteFunc(u.soles, func(l solePiece) bool { return l.of == b })
	for _, p := range u.order {
		p.forget(b)
	}
}

// holding is what a peer has of a root, or was sent: remembered so that it is
// uncounted when the peer leaves.
type holding struct {
	of     *book
	pieces []uint64 // one bit each
}

func (h *holding) has(piece int) bool { return has(h.pieces, piece) }

// has reports whether a piece is in a set of one bit each.
func has(set []uint64, piece int) bool {
	w := piece >> 6
	return w < len(set) && set[w]>>(piece&63)&1 == 1
}

// with is a set with a piece in it.
func with(set []uint64, piece int) []uint64 {
	if w := piece >> 6; w >= len(set) {
		set = slices.Grow(set, w+1-len(set))[:w+1]
	}
	set[piece>>6] |= 1 << (piece & 63)
	return set
}

// holds returns what a peer has of a root: mostly what was looked for last.
func (p *peer) holds(b *book) *holding {
	for i := range p.has {
		if p.has[i].of == b {
			p.has[0], p.has[i] = p.has[i], p.has[0]
			return &p.has[0]
		}
	}
	p.has = append(p.has, holding{of: b})
	return &p.has[len(p.has)-1]
}

func (p *peer) forget(b *book) {
	for i := range p.has {
		if p.has[i].of == b {
			p.has[i] = p.has[len(p.has)-1]
			p.has = p.has[:len(p.has)-1]
			return
		}
	}
}
