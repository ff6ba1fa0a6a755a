package upload

import (
	"slices"
	"time"
)

const (
	offerTime     = 500 * time.Millisecond // and a round trip for the answer to an offer: both wait in buffers
	leastMute     = time.Second            // for which a peer that did not answer is offered nothing; twice as long each time
	mostMute      = 32 * time.Second       // and at most
	promise       = 200 * time.Millisecond // of the line's rate may be promised: an offer and its answer each wait in a line's buffers
	leastPromised = 2 << 20                // bytes that may be in any case: two pieces
	mostPromised  = 16 << 20               // and at most
)

// Offer tells a peer that a piece which it asked of others too would be sent
// now: it takes it by asking again, not tied, or cancels it.
type Offer struct {
	Peer  PeerKey
	Root  RootKey
	Piece int
}

// offered is an offer that waits for its answer.
type offered struct {
	peer  *peer
	root  RootKey
	piece int
	until time.Time
}

// Offers returns the offers to make now, once each.
func (u *Uploads) Offers() []Offer {
	offers := u.offers
	u.offers = nil
	return offers
}

// propose offers a piece to a peer that asked others for it too. Meanwhile
// others are served, and its turn is not lost.
func (u *Uploads) propose(now time.Time, p *peer, i int) {
	part := p.parts[i]
	u.mark(p, part.Root, part.Piece, true, true)
	u.asked = append(u.asked, offered{p, part.Root, part.Piece, now.Add(offerTime + p.window.trip)})
	u.offers = append(u.offers, Offer{p.key, part.Root, part.Piece})
	u.expose(now, p)
}

// promises is how many blocks may be offered, or taken and not sent, at once: so
// many that the line does not run dry while offers are answered. What is
// promised is kept from others who could send it. A piece that is coming counts as a
// whole: else many are promised what comes at the rate of one, and all get it late.
func (u *Uploads) promises() int {
	bytes := 0.0
	if u.line.time >= uplinkKnown {
		bytes = u.line.rate() * promise.Seconds()
	}
	return int(min(max(bytes, leastPromised), mostPromised)) / u.cfg.Block
}

// restrain keeps tied parts from being offered while enough is promised. That begins
// and ends all the time, so only those who are in the way are hidden, see hide.
func (u *Uploads) restrain(now time.Time) {
	if u.shut = u.owed >= u.promises(); u.shut {
		return
	}
	for _, p := range u.hidden {
		if p.hidden = false; !p.gone {
			u.expose(now, p)
		}
	}
	clear(u.hidden)
	u.hidden = u.hidden[:0]
}

// hide keeps the tied parts of a peer whose turn it would be from the ledger for as
// long as nothing is offered.
func (u *Uploads) hide(now time.Time, p *peer) {
	p.hidden = true
	u.hidden = append(u.hidden, p)
	u.expose(now, p)
}

// owes reports whether the blocks of a part are bound to be sent to its peer.
func (p *Part) owes() bool { return p.promised || p.begun }

// counts reports whether what a peer is owed is kept from others: not while it answers
// no offers, or is barred.
func (p *peer) counts() bool { return p.mute == 0 && !p.barred }

// bar sets whether a peer is barred.
func (u *Uploads) bar(p *peer, barred bool) {
	if p.counts() {
		u.owed -= p.owed
	}
	if p.barred = barred; p.counts() {
		u.owed += p.owed
	}
}

// owe counts blocks of a part in, or out, if they are bound to be sent to its peer.
func (u *Uploads) owe(p *peer, part *Part, blocks int) {
	if !part.owes() {
		return
	}
	p.owed += blocks
	if p.counts() {
		u.owed += blocks
	}
}

// offerable reports whether tied parts of a peer may be offered now.
func (u *Uploads) offerable(now time.Time, p *peer) bool {
	return !p.hidden && p.owed < u.promises()/2 && !now.Before(p.muted)
}

// answered ends the offer of a piece. Who answers is offered more.
func (u *Uploads) answered(p *peer, root RootKey, piece int) {
	u.asked = slices.DeleteFunc(u.asked, func(o offered) bool { return o.peer == p && o.root == root && o.piece == piece })
	if p.mute > 0 {
		p.mute, p.muted = 0, time.Time{}
		if p.counts() {
			u.owed += p.owed
		}
	}
}

// withdraw ends the offers that nobody answered. The peer is offered nothing for a
// while, and what it is offered then does not count as promised until it answers,
// so that those who do not answer take up no time of those who do. They may still
// take the piece.
func (u *Uploads) withdraw(now time.Time) {
	u.asked = slices.DeleteFunc(u.asked, func(o offered) bool {
		if now.Before(o.until) {
			u.wakeAt(o.until)
			return false
		}
		p := o.peer
		u.mark(p, o.root, o.piece, true, false)
		if !now.Before(p.muted) {
			if p.counts() {
				u.owed -= p.owed
			}
			p.mute = min(max(2*p.mute, leastMute), mostMute)
			p.muted = now.Add(p.mute)
			u.mutes = append(u.mutes, p)
		}
		u.expose(now, p)
		return true
	})
}

// unmute lets those be offered something again whose time is over.
func (u *Uploads) unmute(now time.Time) {
	u.mutes = slices.DeleteFunc(u.mutes, func(p *peer) bool {
		if now.Before(p.muted) {
			u.wakeAt(p.muted)
			return false
		}
		u.expose(now, p)
		return true
	})
}

// wakeAt makes Deadline no later than t.
func (u *Uploads) wakeAt(t time.Time) {
	if u.wake.IsZero() || t.Before(u.wake) {
		u.wake = t
	}
}

// toOffer returns which part of a peer's queue to offer it now, -1 for none: what
// others have too waits while there is something that is to be had here alone.
func (u *Uploads) toOffer(p *peer) int {
	plain := p.blocks - p.tied - p.promised
	if !p.offering || p.tied == 0 || plain > 0 && !u.gratisOnly(p) {
		return -1
	}
	return u.rarest(p, func(_ int, q *Part) bool { return q.Tied && !q.promised })
}

// gratisOnly reports whether a peer begins nothing now but what is of its free set.
func (u *Uploads) gratisOnly(p *peer) bool { return p.gratis > 0 && !p.gave }
