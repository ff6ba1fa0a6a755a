package policy

import "time"

// A crowd is the peers in view that lack something, as this node does. What an
// origin sends is shared by all of them, so few fetch from it at a time: each
// piece comes out sooner, and claims keep up with who fetches what. The seats are
// as many as the origin feeds with about two pieces a second each.
const (
	seatsFirst = 4.0
	seatsLeast = 2.0
	seatsMost  = 64.0
	seatFast   = 400 * time.Millisecond // a piece in less: there is room for one more
	seatSlow   = time.Second            // a piece takes longer: too many share
	seatStep   = 100 * time.Millisecond // by which the next in rank hears of a claim
	pauseStep  = 8 * time.Millisecond   // for each peer in view: how far apart those are who would act at once
	muteAfter  = 3 * time.Second        // who has never claimed by then may have no origin:
	muteStep   = 20 * time.Millisecond  // he is waited for no longer than this
	fairShare  = 0.7                    // of what all would get from the origin if nobody had peers
	probeCrowd = 20                     // in a larger one nobody tries what the origin can do
)

// lacking is how many peers lack something.
func (p *Policy) lacking() int {
	if p.lacks < 0 {
		p.lacks = 0
		for _, r := range p.peers {
			if r.count < len(p.pieces) {
				p.lacks++
			}
		}
	}
	return p.lacks
}

// claimants is how many others fetch from the origin now, as far as is known:
// of those that are not in view a request each.
func (p *Policy) claimants() int {
	n := 0
	for _, r := range p.peers {
		if r.near > 0 {
			n++
		}
	}
	return n + p.farClaimants()
}

// farClaimants counts the runs of pieces that are claimed out of view, without
// those that only exist.
func (p *Policy) farClaimants() int {
	n := 0
	if p.claims.far > 0 {
		for piece := range p.claims.until {
			if p.fresh(piece) && !p.fresh(piece-1) {
				n++
			}
		}
	}
	return n
}

// fresh reports whether a piece is being fetched out of view.
func (p *Policy) fresh(piece int) bool {
	c, ok := p.claims.until[piece]
	return ok && c.far && c.until.Sub(p.now) > existsFor
}

// seated reports whether this node is one of those that may fetch what nobody
// has. A free seat is for the first in rank of those that have none; the next
// takes it if that one does not.
func (p *Policy) seated() bool {
	if p.lacking() == 0 {
		return true
	}
	before, mine := 0, mix(p.self, 0)
	if p.sitting { // if there are too many, the last in rank leave; out of view as many as may stay
		for _, r := range p.peers {
			if r.near > 0 && mix(r.hash, 0) > mine {
				before++
			}
		}
		others := p.claimants()
		chance := float64(mix(p.self, 2)>>11) / (1 << 53)
		return before < int(p.seats) && (others < 2*int(p.seats) || chance < p.seats/float64(others+1))
	}
	if p.claimants() >= int(p.seats) {
		p.vacant = time.Time{}
		return false
	}
	if p.vacant.IsZero() {
		p.vacant, p.polite = p.now, p.pause()
	}
	wait := p.polite
	for _, r := range p.peers {
		switch mute := r.claimed.IsZero() && p.now.Sub(r.met) >= muteAfter; {
		case r.near > 0 || r.count >= len(p.pieces) || mix(r.hash, 0) < mine:
		case mute:
			wait += muteStep
		default:
			wait += seatStep
		}
	}
	at := latest(p.graceEnd(), p.freed, p.vacant).Add(wait)
	if p.now.Before(at) {
		p.wakeAt(at)
		return false
	}
	return true
}

// pause is drawn at random, longer in a larger crowd: many see the same at the same
// time, such as the end of a request of an origin that they share, and each should
// hear what the one before it has claimed.
func (p *Policy) pause() time.Duration {
	return time.Duration(p.rng.Int64N(int64(pauseStep) * int64(1+p.lacking())))
}

// sit notes that this node has a seat or has left it.
func (p *Policy) sit(seated bool) {
	if p.sitting && !seated {
		p.freed = p.now
	}
	p.sitting = seated
}

// adapt finds how many seats the origin feeds, by how long a piece took that
// came just now.
func (p *Policy) adapt(took time.Duration) {
	switch {
	case took > seatSlow:
		p.seats = max(p.seats-0.25, seatsLeast)
	case took < seatFast && p.claimants()+1 >= int(p.seats):
		p.seats = min(p.seats+0.25, seatsMost)
	}
}

// crowdRun is the bytes of a request in a crowd: a part of what is missing, so
// that those with a seat end together.
func (p *Policy) crowdRun() int {
	if p.injected.IsZero() {
		return p.size // others that begin now have not been heard of
	}
	share := p.orphans.len / (2 * int(p.seats))
	return min(p.cfg.RunBytes, max(share, 1)*p.size)
}

// need is the rate in bytes/s below which peers deliver too little; 0: none. An
// interactive fetch needs 0.7 of what the origin has shown: above that its bytes
// would buy little time. In a crowd it is 0.7 of an equal share, since otherwise
// the cost would multiply by the number of those that are in a hurry.
func (p *Policy) need() float64 {
	switch {
	case p.cfg.Target > 0 || p.cfg.Class != Interactive:
		return p.cfg.Target
	case p.lacking() == 0:
		return fairShare * p.originRate()
	default:
		return fairShare * p.whole / float64(1+p.lacking())
	}
}

// gauge takes in what the origin sends to all of the crowd: as much to each of
// those that fetch from it as to this node.
func (p *Policy) gauge() {
	all := p.origin.rate() * float64(1+p.claimants())
	if p.whole == 0 {
		p.whole = all
	}
	p.whole += (all - p.whole) / 8
}

// chosen keeps a rule from doing in a crowd what all of it would do at once: the
// first in rank of those that lack something begins, the next half a second later.
func (p *Policy) chosen(since time.Time) bool {
	before, mine := 0, mix(p.self, 1)
	for _, r := range p.peers {
		if r.count < len(p.pieces) && mix(r.hash, 1) > mine {
			before++
		}
	}
	at := since.Add(time.Duration(before) * rankStep)
	if p.now.Before(at) {
		p.wakeAt(at)
		return false
	}
	return true
}
