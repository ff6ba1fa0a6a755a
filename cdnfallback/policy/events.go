package policy

import "time"

// OnPeer tells of a connected peer of the root.
func (p *Policy) OnPeer(now time.Time, peer string) {
	p.clock(now)
	if !p.met {
		p.met = true
		p.shortage, p.fast, p.slow = shortage{}, newMeter(fastTau), newMeter(slowTau) // that nothing came was nobody's fault
		p.byPeers = p.now
	}
	if p.peers[peer] == nil {
		p.peers[peer] = &rival{hash: hash(peer), met: p.now}
		p.lacks, p.changed = -1, true
	}
}

// OnGone tells that a peer is no longer connected. What it claimed is for others.
func (p *Policy) OnGone(now time.Time, peer string) {
	p.clock(now)
	if r := p.peers[peer]; r != nil {
		p.leave(r)
		delete(p.peers, peer)
		p.lacks, p.changed = -1, true
	}
}

// OnCount tells how many pieces a peer has. Who has all takes no part in the
// injection, and who has the fewest may use the origin for its tail.
func (p *Policy) OnCount(now time.Time, peer string, pieces int) {
	p.clock(now)
	if r := p.peers[peer]; r != nil {
		if (r.count >= len(p.pieces)) != (pieces >= len(p.pieces)) {
			p.lacks = -1
		}
		r.count = pieces
	}
}

// OnLooked tells that a round of discovery ended, and how many providers are
// known, connected or not.
func (p *Policy) OnLooked(now time.Time, providers int) {
	p.clock(now)
	p.providers = providers
	if p.looked.IsZero() {
		p.looked = p.now
	}
	p.changed = true
}

// OnHolders tells how many connected peers have a piece.
func (p *Policy) OnHolders(now time.Time, piece, n int) {
	if !p.valid(piece) || int(p.pieces[piece].holders) == n {
		return
	}
	p.clock(now)
	pc := &p.pieces[piece]
	if n > int(pc.holders) {
		p.sign = p.now
		p.fulfil(piece)
	}
	if (n == 0) != (pc.holders == 0) {
		p.changed = true
	}
	pc.holders = int32(n)
	p.refresh(piece)
}

// OnAsked tells whether a piece is in flight at a peer.
func (p *Policy) OnAsked(now time.Time, piece int, asked bool) {
	if !p.valid(piece) || p.pieces[piece].asked == asked {
		return
	}
	p.clock(now)
	p.pieces[piece].asked = asked
	if asked {
		p.askedAt[piece] = p.now
	} else {
		delete(p.askedAt, piece)
		p.changed = p.changed || !p.pieces[piece].done
	}
	p.refresh(piece)
}

// OnBytes tells of n verified bytes from a peer.
func (p *Policy) OnBytes(now time.Time, n int64) {
	p.clock(now)
	p.byPeers = p.now
	p.fast.add(p.now, n)
	p.slow.add(p.now, n)
}

// OnOriginPiece tells that a piece of a request in flight arrived and is right.
// Done is still to be called.
func (p *Policy) OnOriginPiece(now time.Time, piece int) {
	if !p.valid(piece) {
		return
	}
	p.clock(now)
	p.origin.add(p.now, int64(p.pieces[piece].size))
	p.gauge()
	p.adapt(p.now.Sub(p.landed))
	p.landed = p.now
}

// landing notes that a piece of a request in flight is here.
func (p *Policy) landing(piece int) {
	for i, f := range p.flights {
		if piece >= f.first && piece < f.first+f.count {
			p.flights[i].left--
			if p.flights[i].left == 1 {
				p.rest = p.now.Add(p.pause())
			}
			p.changed = p.changed || p.flights[i].left <= 1
		}
	}
}

// OnOriginRate tells what one request took: bytes/s and the time to its first byte.
func (p *Policy) OnOriginRate(now time.Time, rate float64, rtt time.Duration) {
	p.clock(now)
	if rate > 0 {
		p.told = rate
	}
	p.rtt = max(0, rtt)
}

// OnOrigin tells that a request of Advance has ended: whether all of it came,
// and how many bytes. Pieces that did not come are open again. One that failed
// without a byte is followed by a pause, from 250 ms doubling to 30 s.
func (p *Policy) OnOrigin(now time.Time, first, count int, ok bool, bytes int64) {
	p.clock(now)
	for i, f := range p.flights {
		if f.first != first || f.count != count {
			continue
		}
		p.flights = append(p.flights[:i], p.flights[i+1:]...)
		for i := first; i < first+count; i++ {
			p.pieces[i].flying = false
			p.refresh(i)
		}
		break
	}
	p.origin.run(p.now, len(p.flights) > 0)
	if len(p.flights) == 0 {
		p.injected = p.now
	}
	switch {
	case ok:
		p.runs++
		p.failures, p.retry = 0, time.Time{}
	case bytes > 0:
		p.runs = 0
	case p.now.Before(p.retry):
		// Requests that fail together are one failure.
	default:
		p.runs = 0
		p.retry = p.now.Add(min(firstRetry<<min(p.failures, 16), lastRetry))
		p.failures++
	}
	p.changed = true
}

const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// OnOriginDown tells that no origin can be asked until then; zero: one can be.
// It overrides the pause that follows a failure: the caller may know of another
// origin.
func (p *Policy) OnOriginDown(now, until time.Time) {
	p.clock(now)
	if !p.down.Equal(until) || p.now.Before(p.retry) {
		p.down, p.retry, p.changed = until, time.Time{}, true
	}
}
