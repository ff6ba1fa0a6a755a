package policy

// tries is how many groups of pieces are looked at in one search: with 40 peers
// one in 41 falls to this node.
const tries = 256

// run chooses consecutive pieces of a set for one request of at most bytes (one
// piece at least), all of them allowed if allowed is not nil. It begins where a
// reader needs it first, else goes on from a place that was chosen at random:
// downloaders that begin together and do not know of each other yet then have
// something to exchange.
func (p *Policy) run(from *set, why Reason, bytes int, allowed func(i int) bool) (Spend, bool) {
	if from.len == 0 {
		return Spend{}, false
	}
	for _, e := range p.due.earliest(deadlines) {
		if from.has(e.piece) && (allowed == nil || allowed(e.piece)) {
			return p.extend(from, e.piece, why, bytes, allowed), true
		}
	}
	at := p.cursor
	for range tries {
		i := from.around(at)
		if allowed == nil || allowed(i) {
			return p.extend(from, i, why, bytes, allowed), true
		}
		if at = i + 1; !p.pieces[i].claimed {
			at = (i/p.group() + 1) * p.group() // ranks are by group
		}
	}
	p.cursor = at % len(p.pieces) // the next search goes on here
	return Spend{}, false
}

// extend makes a run as long as it may be from piece i on.
func (p *Policy) extend(from *set, i int, why Reason, bytes int, allowed func(i int) bool) Spend {
	s := Spend{First: i, Count: 1, Reason: why}
	bytes -= int(p.pieces[i].size)
	for i++; i < len(p.pieces) && from.has(i); i++ {
		bytes -= int(p.pieces[i].size)
		if bytes < 0 || allowed != nil && !allowed(i) {
			break
		}
		s.Count++
	}
	p.cursor = i % len(p.pieces)
	return s
}
