package upload

import "time"

// gift is a piece that one peer has, and from us alone.
type gift struct {
	to   PeerKey
	size int
}

// maxGifts bounds the gifts of a root that are remembered.
const maxGifts = 4096

// OnPlace tells where a peer is: a host's address. That those at one place have
// pieces from each other is no merit: they may be one.
func (u *Uploads) OnPlace(key PeerKey, place string) {
	if p := u.peers[key]; p != nil {
		p.place = place
	}
}

// given notes that a peer is sent a piece from its first block on.
func (u *Uploads) given(p *peer, part Part) {
	b := u.open(part.Root)
	if b.begins(part.Piece) || b.known(part.Piece) > 0 {
		delete(b.only, part.Piece) // who has it from whom is not known any more
	} else if len(b.only) < maxGifts {
		b.only[part.Piece] = gift{p.key, part.Size}
	}
}

// begins notes that a piece is sent, and reports whether it ever was before.
func (b *book) begins(piece int) bool {
	before := has(b.sent, piece)
	b.sent = with(b.sent, piece)
	return before
}

// passed credits who alone had a piece from us that another peer has now: it was
// passed on.
func (u *Uploads) passed(now time.Time, to *peer, b *book, piece int) {
	g, ok := b.only[piece]
	if !ok || g.to == to.key {
		return
	}
	if !to.served && !u.insider(to) {
		return // who claims to have it before he had anything here proves nothing
	}
	delete(b.only, piece)
	from := u.peers[g.to]
	if from != nil && (from.place != to.place || from.place == "") {
		u.ledger.OnPassed(now, g.to, int64(g.size))
		u.expose(now, from)
	}
}
