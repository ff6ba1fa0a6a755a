package upload

import (
	"math"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

const (
	idleTau  = time.Second      // for which it is remembered how much of the line was left
	idleOpen = 0.5              // share left from which outsiders are served
	idleShut = 0.3              // and below which no longer
	mercy    = 20 * time.Second // after which one of them gets a turn all the same: a fetch gives up after 30 s without a byte
)

// demand is how much of the line those need who are no outsiders. Between their
// requests it looks idle for some milliseconds, and who waits there all the time
// would live on that.
type demand struct {
	idle  float64 // share of the last time that they left
	queue float64 // bytes of theirs that the line is reckoned to hold
	last  time.Time
}

func (d *demand) depart(n int) { d.queue += float64(n) }

// pass lets time go by, in which they waited or did not.
func (d *demand) pass(now time.Time, rate float64, waited bool) {
	dt := now.Sub(d.last).Seconds()
	if d.last.IsZero() || dt <= 0 {
		if d.last.IsZero() {
			d.last = now
		}
		return
	}
	d.last = now
	busy := min(dt, d.queue/rate)
	d.queue = max(0, d.queue-rate*dt)
	if waited {
		busy = dt
	}
	d.idle *= math.Exp(-busy / idleTau.Seconds())
	d.idle = 1 - (1-d.idle)*math.Exp(-(dt-busy)/idleTau.Seconds())
}

// opens is when so much will have been left if nobody of them asks for anything.
func (d *demand) opens(rate float64) time.Duration {
	left := math.Log((1-d.idle)/(1-idleOpen)) * idleTau.Seconds()
	return time.Duration((d.queue/rate+max(0, left))*float64(time.Second)) + time.Millisecond
}

// outsider reports whether a peer gave nothing, passed nothing on and had its turn.
func (u *Uploads) outsider(p *peer) bool {
	return !p.gave && u.ledger.Standing(p.key) == ledger.Outsider
}

// insider reports whether a peer gave or passed on something, which is remembered. What
// others say that they have is no copy: who says so and gives it to nobody is of no use to
// anybody.
func (u *Uploads) insider(p *peer) bool {
	if p.inside || p.outside == u.ledger.Insiders()+1 {
		return p.inside
	}
	if p.inside = p.gave || u.ledger.Standing(p.key) == ledger.Insider; !p.inside {
		p.outside = u.ledger.Insiders() + 1
	}
	return p.inside
}

// OnRefused tells that a peer did not give what it has.
func (u *Uploads) OnRefused(now time.Time, key PeerKey) {
	if p := u.peers[key]; p != nil && !p.refused {
		p.refused, p.offers = true, false
		u.expose(now, p)
	}
}

// bars reports whether a peer is served nothing for now. A newcomer gets all of the
// piece that was begun.
func (u *Uploads) bars(p *peer) bool {
	return u.closed && u.outsider(p) && !(p.granted && p.midTurn())
}

// midTurn reports whether a turn of a peer has begun and is not over.
func (p *peer) midTurn() bool { return p.turn > 0 && p.goesOn(func(*Part) bool { return true }) }

// spares reports whether a peer is sent of its free set alone: a newcomer who has
// nothing that he could give, while others need the line of one who is given something.
func (u *Uploads) spares(p *peer) bool {
	return u.closed && u.gavers > 0 && !p.offers && !p.midTurn() && !p.gave && u.ledger.Standing(p.key) != ledger.Insider
}

// may reports whether a part may be begun now, as far as a peer is barred or spared.
func (p *peer) may(q Part) bool {
	taken := q.promised && !q.Tied
	return !p.barred && !p.spared || p.barred && taken && !q.Free || p.spared && (taken || q.Free)
}

// admit has outsiders served, or not.
func (u *Uploads) admit(now time.Time) {
	u.demand.pass(now, u.line.rate(), u.wanting > 0)
	needed := u.demand.idle < idleShut || u.closed && u.demand.idle < idleOpen
	if !needed {
		u.shutAt = now
	}
	closed := needed && !u.merciful(now)
	if closed {
		u.wakeAt(u.shutAt.Add(mercy))
	}
	if closed && u.wanting == 0 {
		u.wakeAt(now.Add(u.demand.opens(u.line.rate())))
	}
	if closed == u.closed {
		return
	}
	u.closed = closed
	for _, p := range u.order {
		if len(p.parts) > 0 && !p.gave {
			u.expose(now, p)
		}
	}
}

// merciful reports whether an outsider is let in although others need the line.
func (u *Uploads) merciful(now time.Time) bool { return now.Sub(u.shutAt) >= mercy }

// letIn notes that an outsider is sent something: if that is mercy, all of its piece.
func (u *Uploads) letIn(now time.Time, p *peer) {
	if !p.granted && u.outsider(p) {
		p.granted, u.shutAt = u.merciful(now), now
	}
}

// want counts a peer among those who are no outsiders and wait, or not.
func (u *Uploads) want(now time.Time, p *peer, wants bool) {
	if p.wants == wants {
		return
	}
	u.demand.pass(now, u.line.rate(), u.wanting > 0)
	p.wants = wants
	if wants {
		u.wanting++
	} else {
		u.wanting--
	}
}
