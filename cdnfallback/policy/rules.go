package policy

import "time"

// start: an interactive fetch begins at the origin, at once if nobody is known,
// else if peers have not delivered anything in half a second.
func (p *Policy) start() (Spend, bool) {
	if p.cfg.Class != Interactive || p.slots() <= 0 || p.first >= startBytes && p.served() {
		return Spend{}, false
	}
	if p.alone() {
		return p.run(p.orphans, Start, p.longRun(), nil)
	}
	if p.served() || len(p.flights) > 0 && p.runs == 0 {
		return Spend{}, false // in a crowd each would start; what nobody has is the next rule's
	}
	if at := p.graceEnd().Add(knownWait); p.now.Before(at) {
		p.wakeAt(at)
		return Spend{}, false
	}
	if s, ok := p.run(p.idle, Start, firstRun<<min(p.runs, 2), p.unclaimed); ok || p.runs == 0 || p.reading() {
		return s, ok
	}
	return p.any(Start, firstRun) // the last are asked of peers that have sent nothing
}

// served reports whether peers have delivered anything, or may yet: a crowd has
// to wait for what one of it fetches.
func (p *Policy) served() bool { return p.alone() || p.lacking() > 0 || p.fast.bytes > 0 }

// inject: what nobody has and nobody has claimed, where it falls to this node.
func (p *Policy) inject() (Spend, bool) {
	if p.slots() <= 0 || p.orphans.len == 0 || p.forming() {
		return Spend{}, false
	}
	if p.alone() && p.cfg.Class == Interactive {
		return p.run(p.orphans, Inject, p.longRun(), nil)
	}
	if !p.seated() {
		return Spend{}, false
	}
	bytes := p.cfg.RunBytes
	if p.lacking() > 0 {
		if len(p.flights) > 1 || len(p.flights) == 1 && p.flights[0].left > 1 {
			return Spend{}, false // one at a time, the next in time for no pause
		}
		if p.now.Before(p.rest) {
			p.wakeAt(p.rest)
			return Spend{}, false
		}
		bytes = p.crowdRun()
	}
	p.cursor = p.rng.IntN(len(p.pieces))
	s, ok := p.run(p.orphans, Inject, bytes, p.eligible)
	if ok {
		p.hungry = time.Time{}
	} else if p.hungry.IsZero() {
		p.hungry = p.now
	}
	return s, ok
}

// unclaimed keeps a rule from fetching what another node is fetching now.
func (p *Policy) unclaimed(i int) bool { return !p.pieces[i].claimed }

// longRun is the bytes of a request of a fetch that nobody else can help. It
// doubles with each success up to a second of the origin's rate, so that a peer
// that is found late still has something to give, and gets shorter at the end,
// so that all requests end together.
func (p *Policy) longRun() int {
	if p.looking() {
		return p.size // a crowd that starts at once would all fetch the same
	}
	long := min(p.cfg.LongRun, firstRun<<min(p.runs, 10), int(p.originRate()))
	share := p.missing.len / (4 * p.cfg.Parallel) * p.size
	return max(min(long, share), firstRun)
}

// hurry: a reader needs a piece before peers are likely to bring it, and the
// origin would bring it sooner. Two requests more than usual may be in flight.
func (p *Policy) hurry() (Spend, bool) {
	if p.cfg.Class == Economy || p.slots() <= -2 || len(p.due.at) == 0 || p.forming() {
		return Spend{}, false
	}
	fetch := p.fetchTime(p.size)
	soon := p.now.Add(fetch + fetch/2) // with two deviations, of which a quarter of the time is a guess
	for _, e := range p.due.earliest(deadlines) {
		if e.at.After(soon) {
			p.wakeAt(e.at.Add(-fetch - fetch/2))
			return Spend{}, false
		}
		eta := p.peerETA(e.piece)
		if p.pieces[e.piece].flying || !eta.After(e.at) || !eta.After(p.now.Add(fetch)) {
			continue
		}
		return Spend{First: e.piece, Count: 1, Reason: Due}, true
	}
	return Spend{}, false
}

// peerETA is when peers will likely have delivered a piece: usual for one that
// is asked, half as long again for one that is not, never for one that nobody
// has or that is long overdue.
func (p *Policy) peerETA(i int) time.Time {
	pc := &p.pieces[i]
	never := p.now.Add(time.Hour)
	if at, asked := p.askedAt[i]; asked {
		switch late := p.now.Sub(at) - p.askTime; {
		case late > p.askTime:
			return never
		case late > 0:
			return p.now.Add(p.askTime / 2)
		default:
			return at.Add(p.askTime)
		}
	}
	if pc.holders == 0 {
		return never
	}
	return p.now.Add(p.askTime + p.askTime/2)
}

// stall: nothing verified comes from peers, and nothing new appears in view: if
// all wait for a copy to spread, patience is right. One request, then test again.
func (p *Policy) stall() (Spend, bool) {
	if len(p.flights) > 0 {
		return Spend{}, false
	}
	at := p.stallAt()
	if p.now.Before(at) {
		p.wakeAt(at)
		return Spend{}, false
	}
	if p.lacking() == 0 {
		return p.any(Stall, p.cfg.RunBytes)
	}
	if !p.chosen(at) { // else all of a crowd would lose patience at once
		return Spend{}, false
	}
	if s, ok := p.run(p.idle, Stall, firstRun, p.unclaimed); ok {
		return s, true
	}
	return p.any(Stall, firstRun)
}

// stallAt is when the silence of peers is a stall.
func (p *Policy) stallAt() time.Time {
	soft, hard := 2*time.Second, 15*time.Second
	switch p.cfg.Class {
	case Background:
		soft, hard = 30*time.Second, 2*time.Minute
	case Economy:
		soft, hard = time.Minute, 5*time.Minute
	}
	last := p.byPeers
	if end := p.graceEnd(); end.After(last) {
		last = end
	}
	quiet := last
	if p.sign.After(quiet) {
		quiet = p.sign
	}
	at := quiet.Add(soft)
	if worst := last.Add(hard); worst.Before(at) {
		at = worst
	}
	return at
}

// deficit: peers deliver less than is needed for several seconds on end. An
// interactive fetch fills its slots; others take what a token bucket gives.
func (p *Policy) deficit() (Spend, bool) {
	if p.cfg.Class == Economy && p.cfg.Target == 0 || p.slots() <= 0 || p.reading() {
		return Spend{}, false
	}
	if p.probe() {
		return p.run(p.idle, Deficit, firstRun, p.unclaimed)
	}
	if !p.shortage.on || p.cfg.Class != Interactive && p.tokens.bytes <= 0 {
		return Spend{}, false
	}
	return p.run(p.idle, Deficit, p.cfg.RunBytes, p.unclaimed)
}

const (
	fineRate  = 8 << 20 // bytes/s of peers that nobody improves on without need: most home lines
	probeWait = 3 * time.Second
	probeLeft = 10 // seconds that peers would still take
)

// probe reports whether an interactive fetch from slow peers should find out
// what the origin can do. It does so once, and in a crowd only after nobody has
// used the origin for a while: what one fetches there soon comes to all.
func (p *Policy) probe() bool {
	since := latest(p.graceEnd(), p.heard).Add(probeWait)
	if p.cfg.Class != Interactive || p.originRate() > 0 || len(p.flights) > 0 || p.now.Before(since) {
		return false
	}
	if n := p.lacking(); n > probeCrowd || n > 0 && !p.chosen(since) {
		return false
	}
	rate := p.slow.rate(p.now)
	return rate < fineRate && float64(p.missing.len*p.size) > probeLeft*rate
}

// tail: at most two pieces are left and the origin would be much sooner. In a
// crowd only the slowest may do this, or each download would cost two pieces.
func (p *Policy) tail() (Spend, bool) {
	if p.missing.len > tailPieces || p.cfg.Class == Economy || len(p.flights) > 0 || p.reading() {
		return Spend{}, false
	}
	if crowd := p.lacking(); crowd > 0 && (p.cfg.Class == Background && crowd < tailCrowd || !p.slowest()) || crowd == 0 && p.cfg.Class == Background {
		return Spend{}, false
	}
	left := p.missing.len * p.size
	quiet := p.now.Sub(p.byPeers).Seconds()
	rate := min(p.fast.rate(p.now), float64(p.size)/max(quiet, 1e-3)) // a piece in all that time at most
	if float64(left) <= max(rate, 1)*max(1, 1.5*p.fetchTime(left).Seconds()) {
		return Spend{}, false
	}
	return p.any(Tail, p.cfg.RunBytes)
}

// reading reports whether all that is missing has a deadline: a reader that has
// enough ahead wants little, and a low rate is nobody's fault.
func (p *Policy) reading() bool { return len(p.due.at) >= p.missing.len }

// slowest reports whether this node has the fewest pieces of a crowd, of those
// with as few the first in rank.
func (p *Policy) slowest() bool {
	mine := mix(p.self, 1)
	for _, r := range p.peers {
		if r.count < p.count || r.count == p.count && mix(r.hash, 1) > mine {
			return false
		}
	}
	return true
}

// any takes a run that is not asked of peers, if there is one, else one that is.
func (p *Policy) any(why Reason, bytes int) (Spend, bool) {
	if s, ok := p.run(p.idle, why, bytes, nil); ok {
		return s, true
	}
	for i := p.missing.next(0); i >= 0; i = p.missing.next(i + 1) {
		if !p.pieces[i].flying {
			return Spend{First: i, Count: 1, Reason: why}, true
		}
	}
	return Spend{}, false
}
