package pick

import "slices"

// What waits at a seed is what it chooses from, and what it should give is what
// nobody else has. So a piece that waits there, and that others have by now, gives its
// place to one that nobody else has: everything is soon elsewhere, even if the seed
// leaves, and those who had it first.

// swap asks seeds for pieces that no other peer has, in place of those that wait there
// and that others have. It reports whether there was one.
func (p *Picker) swap(plan *Plan) (swapped bool) {
	if !p.swaps {
		return false
	}
	p.swaps = false
	for _, q := range p.order {
		if q.noneFew == p.fewer+1 {
			continue
		}
		least := int32(1)
		if q.seed {
			least = 0
		}
		if q.snubbed || q.refused.rest.After(p.now) || p.classes[q.path].better != nil {
			continue // looked at again when that ends
		}
		i := p.sole(q, least)
		if i < 0 {
			q.noneFew = p.fewer + 1
			continue
		}
		p.swaps = true
		old := p.common(q, 2*least)
		if old == nil {
			continue
		}
		plan.Requests = slices.DeleteFunc(plan.Requests, func(r Request) bool { return r.Peer == q.key && r.Piece == old.piece })
		p.cancel(old)
		a := p.begin(q, i)
		a.tied = a.tied || p.tied(i)
		p.ask(plan, a, a.blocks)
		swapped = true
	}
	return swapped
}

// common returns what waits at a peer and most others have, nil if there is nothing
// that others have.
func (p *Picker) common(q *peer, holders int32) (most *attempt) {
	for _, a := range q.tries {
		if n := p.pieces[a.piece].holders; n > holders && !a.bound() && !a.wish {
			most, holders = a, n
		}
	}
	return most
}

// few reports whether a set of Picker.rarity is of pieces that may be swapped in.
func few(in uint8) bool { return in != nowhere && in%tier < 2 }

// sole returns a piece that so many others have and that may be asked of a peer, -1 if
// there is none. That it waits at a seed, too, does not matter: who leaves takes it away.
func (p *Picker) sole(q *peer, holders int32) int {
	for _, in := range []int32{holders, tier + holders} {
		if s := &p.rarity[in]; s.len > 0 {
			if i := p.random(s, q, nil); i >= 0 {
				return i
			}
		}
	}
	return -1
}
