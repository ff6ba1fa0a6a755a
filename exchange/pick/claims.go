package pick

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

// Peers on one LAN share a line to the world, or act as if they did: what one of
// them is getting over a worse path, the others leave to it and have from it a
// moment later. So an office gets one copy over the WAN and not one each.
//
// A piece is claimed when its first block comes: what merely waits in queues
// costs nothing. When two begin at once, a hash of piece and name decides, the
// same for both, and the other cancels.
const (
	claimRenew = 2 * time.Second  // a claim is told again so often while blocks come
	claimLong  = 30 * time.Second // and counts for so long at most
	claimSulk  = time.Minute      // the claims of a peer that did not keep one do not count
	maxClaims  = 64               // pieces that one peer may claim
)

// ClaimTTL is for how long others should leave a piece of Plan.Claims to us.
const ClaimTTL = 5 * time.Second

// claim is a piece that a peer on the LAN is getting.
type claim struct {
	by    *peer
	since time.Time
	until time.Time
}

// OnClaim tells that a peer is getting a piece from far, and wants others to wait
// for it until then. It counts if the peer is on our LAN.
func (p *Picker) OnClaim(now time.Time, key PeerKey, i int, until time.Time) {
	p.clock(now)
	q := p.peers[key]
	if q == nil || q.path != LAN || !p.valid(i) || p.pieces[i].done || !until.After(p.now) || q.have.has(i) || q.sulk.After(p.now) {
		return
	}
	c, known := p.claims[i]
	switch {
	case known && c.by != q:
		return // the first keeps it
	case known:
		c.until = earliest(until, c.since.Add(claimLong))
	case q.claims >= maxClaims || p.keep(q, i):
		return
	default:
		q.claims++
		c = claim{q, p.now, earliest(until, p.now.Add(claimLong))}
	}
	p.claims[i] = c
	p.claimAt = sooner(p.claimAt, c.until)
	if !known {
		p.bar(i)
	}
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// keep reports whether a piece that a peer claims is ours, because we are getting
// it ourselves and the lot says so.
func (p *Picker) keep(q *peer, i int) bool {
	for _, a := range p.tries[i] {
		if a.peer.path > LAN && a.begun() && !a.stalled() {
			return lot(p.cfg.Self, i) < lot(q.key, i)
		}
	}
	return false
}

// lot decides between two who begin a piece at once.
func lot(key PeerKey, i int) uint64 {
	h := fnv.New64a()
	h.Write(binary.BigEndian.AppendUint32([]byte(key), uint32(i))) // never fails
	return h.Sum64()
}

// bar takes a claimed piece out of what is asked of far peers.
func (p *Picker) bar(i int) {
	for _, q := range p.order {
		if q.path == LAN {
			continue
		}
		q.ask.remove(i)
		if a := q.attempt(i); a != nil && !a.whole() {
			p.cancel(a)
		}
	}
}

// barred reports whether a peer may not be asked for a piece that it has, since
// somebody near is getting it.
func (p *Picker) barred(q *peer, i int) bool {
	_, ok := p.claims[i]
	return ok && q.path > LAN
}

// mask takes the claimed pieces of a run out of what a peer may be asked for.
func (p *Picker) mask(q *peer, first, end int) {
	if len(p.claims) == 0 {
		return
	}
	for i := range p.claims {
		if i >= first && i < end && q.path > LAN {
			q.ask.remove(i)
		}
	}
}

// release ends a claim: the piece may be asked of far peers again, as far as no
// better path has it.
func (p *Picker) release(i int) {
	c, ok := p.claims[i]
	if !ok {
		return
	}
	delete(p.claims, i)
	c.by.claims--
	for _, q := range p.order {
		if q.path > LAN && q.have.has(i) {
			q.ask.add(i)
			q.refused.mask(&q.ask, i, i+1)
			p.look(q)
		}
	}
	p.ranked = time.Time{} // who has it now counts at once
}

// overdue ends the claims whose time is over, and those of a peer that is gone.
func (p *Picker) overdue() {
	if p.past(p.claimAt) {
		p.claimAt = time.Time{}
		for i, c := range p.claims {
			switch {
			case c.until.After(p.now):
				p.claimAt = sooner(p.claimAt, c.until)
			default:
				c.by.sulk = p.now.Add(claimSulk)
				p.release(i)
			}
		}
	}
	p.wakeAt(p.claimAt)
}

// unclaim ends the claims of a peer.
func (p *Picker) unclaim(q *peer) {
	for i, c := range p.claims {
		if c.by == q {
			p.release(i)
		}
	}
}

// kept ends the claims of a peer that has the pieces now.
func (p *Picker) kept(q *peer, first, end int) {
	if q.claims == 0 {
		return
	}
	for i, c := range p.claims {
		if c.by == q && i >= first && i < end {
			p.release(i)
		}
	}
}

// claimed adds to the plan what peers near should leave to us.
func (p *Picker) claimed(plan *Plan) {
	if p.on[LAN] == 0 || !p.mixed() {
		return
	}
	for _, a := range p.started {
		if a.peer.path == LAN || !a.begun() || a.whole() || a.got == a.told {
			continue
		}
		if again := a.toldAt.Add(claimRenew); a.told > 0 && p.now.Before(again) {
			p.wakeAt(again)
			continue
		}
		a.told, a.toldAt = a.got, p.now
		plan.Claims = append(plan.Claims, a.piece)
	}
}

// moved readies a peer for another path.
func (p *Picker) moved(q *peer, path Path) {
	if path > LAN {
		p.unclaim(q)
	}
	q.path = path
	for i := range p.claims {
		switch {
		case p.barred(q, i):
			q.ask.remove(i)
		case q.have.has(i):
			q.ask.add(i)
			q.refused.mask(&q.ask, i, i+1)
		}
	}
	p.look(q)
}
