package pick

import "slices"

// A peer is on trial until a piece of it was right: one piece comes at a time, so
// that who sends wrong ones wastes one before it is known. In a crowd more may
// wait in its queue, from which it chooses what it sends; they are tied, and what
// it offers is taken when the one before has come to its end.

// onTrial reports whether a further piece has to wait.
func (q *peer) onTrial() bool { return !q.honest && len(q.tries) > 0 }

// comes reports whether a peer on trial is bound to send a piece, or was asked for one
// that it need not offer, in another attempt than this.
func (q *peer) comes(but *attempt) bool {
	return !q.honest && slices.ContainsFunc(q.tries, func(a *attempt) bool { return a != but && (a.bound() || !a.tied) })
}

// waits reports whether an attempt has to wait for another at the same peer.
func (a *attempt) waits() bool { return a.tied && a.peer.comes(a) }

// crowd has those on trial asked for more that wait, now that not all peers are seeds.
func (p *Picker) crowd() {
	for _, q := range p.order {
		if q.onTrial() {
			p.feedSoon(q)
		}
	}
}

// judge has the offers of a peer looked at again.
func (p *Picker) judge(q *peer) {
	if slices.ContainsFunc(q.tries, func(a *attempt) bool { return a.wish }) && !slices.Contains(p.judged, q) {
		p.judged = append(p.judged, q)
	}
}

// wishes takes the offers that need not wait any more.
func (p *Picker) wishes() {
	for len(p.judged) > 0 {
		q := p.judged[0]
		p.judged = p.judged[1:]
		for _, a := range slices.Clone(q.tries) {
			if a.wish && !a.waits() && q.attempt(a.piece) == a {
				p.take(a)
			}
		}
	}
}
