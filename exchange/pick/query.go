package pick

// Holders is the number of connected peers that say they have a piece.
func (p *Picker) Holders(piece int) int {
	if !p.valid(piece) {
		return 0
	}
	return p.seeds + int(p.pieces[piece].holders)
}

// Rate is what a peer delivers, in bytes/s over about 2 s of being asked; 0 if
// it is unknown or never delivered.
func (p *Picker) Rate(key PeerKey) float64 {
	q := p.peers[key]
	if q == nil || !q.proven {
		return 0
	}
	return q.meter.rateAt(p.now)
}

// Due reports whether Advance has something to look at now, before Deadline. What
// changes nothing that is asked, as most news of what peers have, needs no Advance.
func (p *Picker) Due() bool {
	return len(p.hungry)+len(p.cancels)+len(p.freed)+len(p.taken) > 0 ||
		p.unasked == 0 || p.due.hot && len(p.due.near) > 0 ||
		p.mixed() && (p.ranked.IsZero() || p.now.Sub(p.ranked) >= rankEvery)
}

// Idle reports whether a peer has room for what another may come to have: then news
// of that may matter at once.
func (p *Picker) Idle() bool { return len(p.idle) > 0 || p.unasked == 0 }

// InFlight is the bytes asked of all peers that have not arrived.
func (p *Picker) InFlight() int64 { return p.inUse }

// Snubbed reports whether a peer was asked and delivers nothing.
func (p *Picker) Snubbed(key PeerKey) bool {
	q := p.peers[key]
	return q != nil && q.snubbed
}

// Wanted is the number of pieces that are wanted and not here.
func (p *Picker) Wanted() int { return p.missing.len }

// Asked reports whether a piece is in flight at, or was just delivered by, a
// peer that is not snubbed.
func (p *Picker) Asked(piece int) bool {
	return p.valid(piece) && p.pieces[piece].busy
}
