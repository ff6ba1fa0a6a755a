package pick

import (
	"math/bits"
	"slices"
)

const (
	randomFirst = 4  // pieces taken at random, so that a newcomer soon has something to trade; libtorrent's initial_picker_threshold
	longRuns    = 4  // pieces that a peer must have in flight for runs to help it; a crowd at a slow seed is better off with a random choice
	runLength   = 16 // consecutive pieces of a run: 16 MiB is well beyond readahead, and short enough to spread starts
)

// choose returns the piece to begin at a peer, -1 if there is none: of those
// that nobody is at, or else of those that wait in few queues. What was looked
// for in vain is not looked for again until something has changed.
func (p *Picker) choose(q *peer) int {
	if p.full(q) || q.none == p.opened+1 {
		return -1
	}
	c := &p.classes[q.path]
	if c.better != nil && q.noneFar != p.opened+1 {
		if i := p.chooseFrom(q, c.better); i >= 0 {
			return i
		}
		q.noneFar = p.opened + 1
	}
	if c.better != nil && !c.worth {
		p.lookAt = sooner(p.lookAt, p.now.Add(reweigh)) // its turn may come with time
		return -1
	}
	if i := p.chooseFrom(q, nil); i >= 0 {
		return i
	}
	if i := p.rarest(q, nil, p.queued, p.rarity[tier:]); i >= 0 {
		return i
	}
	q.none = p.opened + 1
	return -1
}

// chooseFrom chooses among the open pieces that a peer has and not does not.
func (p *Picker) chooseFrom(q *peer, not *set) int {
	if w, _ := common(p.open, &q.ask, not, 0); w < 0 {
		return -1
	}
	if i := p.goOn(q, not); i >= 0 {
		return i
	}
	if p.seeds == len(p.order) && p.pace(q) >= longRuns*p.meanSize() {
		return p.consecutive(q, not)
	}
	if p.done < randomFirst {
		return p.random(p.open, q, not)
	}
	return p.rarest(q, not, p.open, p.rarity[:tier])
}

// rarest chooses one of the rarest pieces of all that a peer has and not does
// not, at random.
func (p *Picker) rarest(q *peer, not, all *set, rarity []set) int {
	if w, _ := common(all, &q.ask, not, 0); w < 0 {
		return -1
	}
	least := 0
	if !q.seed {
		least = 1 // what it has has at least one holder
	}
	for k := least; k < len(rarity); k++ {
		s := &rarity[k]
		if s.len == 0 {
			continue
		}
		if i := p.random(s, q, not); i >= 0 {
			return i
		}
	}
	return -1
}

// goOn chooses a piece that was begun and lost its peer.
func (p *Picker) goOn(q *peer, not *set) int {
	p.again = slices.DeleteFunc(p.again, func(i int) bool { return !p.open.has(i) })
	for _, i := range p.again {
		if p.askable(q, i) && (not == nil || !not.has(i)) {
			return i
		}
	}
	return -1
}

// askable reports whether a peer may be asked for an open piece: it has it and
// is not at it already. A snubbed peer is tried with pieces that nobody is at,
// so that the second copy is left to peers that deliver.
func (p *Picker) askable(q *peer, i int) bool {
	if !q.ask.has(i) || q.passes(i) && p.sent(i) {
		return false
	}
	for _, a := range p.tries[i] {
		if a.peer == q || q.snubbed {
			return false
		}
	}
	return true
}

// consecutive chooses the next piece of a peer's run, or begins a run at random.
func (p *Picker) consecutive(q *peer, not *set) int {
	i := q.run
	if q.left > 0 && i < len(p.pieces) && p.open.has(i) && p.askable(q, i) && (not == nil || !not.has(i)) {
		q.run, q.left = i+1, q.left-1
		return i
	}
	if p.open.len == 0 {
		return -1
	}
	from := p.rng.IntN(len(p.pieces)) / runLength * runLength
	i = p.search(p.open, q, not, from>>6, func(w int, x uint64) int {
		if at := x >> (from & 63); w == from>>6 && at != 0 {
			return from + bits.TrailingZeros64(at)
		}
		return w<<6 + bits.TrailingZeros64(x)
	})
	if i >= 0 {
		q.run, q.left = i+1, runLength-1
	}
	return i
}

// random chooses one of s at random. It looks from a random word of the set on,
// so a piece after a long gap is likelier than others; downloads have their
// own gaps, so this does not bring them together.
func (p *Picker) random(s *set, q *peer, not *set) int {
	if s.len == 0 {
		return -1
	}
	from := p.rng.IntN(len(s.words))
	return p.search(s, q, not, from, func(w int, x uint64) int {
		for skip := p.rng.IntN(bits.OnesCount64(x)); skip > 0; skip-- {
			x &= x - 1
		}
		return w<<6 + bits.TrailingZeros64(x)
	})
}

// search finds a word of s in which a peer has something to ask, from word
// from on and round, and has pick choose from it. It leaves out what is not
// askable.
func (p *Picker) search(s *set, q *peer, not *set, from int, pick func(w int, x uint64) int) int {
	turned := false
	for w := from; ; w++ {
		var x uint64
		if w, x = common(s, &q.ask, not, w); w < 0 || turned && w >= from {
			if turned || from == 0 {
				return -1
			}
			turned, w = true, -1
			continue
		}
		tries := q.tries
		if q.snubbed {
			tries = p.started
		}
		for _, a := range tries {
			if a.piece>>6 == w {
				x &^= 1 << (a.piece & 63)
			}
		}
		if x = p.unsent(q, w, x); x != 0 {
			return pick(w, x)
		}
	}
}
