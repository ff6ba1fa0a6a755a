package upload

import (
	"slices"
	"time"
)

// What came and nobody else is known to have would leave with us. So it goes out before
// all else, also before the rest of what was begun, until one peer was sent all of it, and
// again when that peer leaves: in a crowd of which half leave, what only they had is lost.
// A seed has everything that way; there only what it gave, and who had it left, counts.

// mostSole bounds the pieces that are remembered.
const mostSole = 64

// solePiece is a piece that nobody else is known to have.
type solePiece struct {
	of    *book
	piece int
}

// addSole notes a piece that came, unless others are known to have it.
func (u *Uploads) addSole(b *book, piece int) {
	if l := (solePiece{b, piece}); len(u.soles) < mostSole && b.known(piece) == 0 && !slices.Contains(u.soles, l) {
		u.soles = append(u.soles, l)
	}
}

// endSole notes that another has a piece, or was sent all of it.
func (u *Uploads) endSole(b *book, piece int) {
	if i := slices.Index(u.soles, solePiece{b, piece}); i >= 0 {
		u.soles = slices.Delete(u.soles, i, i+1)
	}
}

// passOn returns whom to send of a piece that nobody else has, and which of his parts;
// nil for nobody. If it is to be offered first, it is, one at a time.
func (u *Uploads) passOn(now time.Time, full bool) (to *peer, part int) {
	offered := false
	for _, l := range slices.Clone(u.soles) {
		p, i := u.heir(now, l)
		switch {
		case p == nil:
		case !p.parts[i].Tied:
			if to == nil && !full && p.busy < u.cfg.MaxBusy && !p.window.full() {
				to, part = p, i
			}
		case p.parts[i].promised:
			offered = true
		case !offered:
			offered = true
			u.propose(now, p, i)
		}
	}
	return to, part
}

// heir returns who is to have a piece that nobody else has, and which of his parts is of
// it: who is being sent it and lacks least, or was offered it, or else who is likely to
// have it first, of insiders if one of them asks; nil for nobody.
func (u *Uploads) heir(now time.Time, l solePiece) (to *peer, part int) {
	soonest, least := time.Duration(0), 0 // of those who wait; blocks left of who is being sent it
	for _, p := range u.order {
		if p.barred || p.spared || u.outsider(p) {
			continue
		}
		i := slices.IndexFunc(p.parts, func(q Part) bool { return q.Piece == l.piece && q.Root == l.of.root })
		if i < 0 || u.ready(p.parts[i]) == 0 {
			continue
		}
		q := &p.parts[i]
		switch {
		case q.begun || q.promised || p.begun(q):
			if least == 0 || q.Count < least {
				to, part, least = p, i, q.Count
			}
		case least > 0 || l.of.known(l.piece) > 0 || q.Tied && now.Before(p.muted) || p.window.full():
		case to == nil || u.wait(p) < soonest:
			to, part, soonest = p, i, u.wait(p)
		}
	}
	return to, part
}

// wait is for how long a peer is likely to wait for what it is sent next: its last frame
// took so long, and so long takes what we owe it. Who may not pass it on comes last.
func (u *Uploads) wait(p *peer) time.Duration {
	wait := p.took + u.line.waited(float64(p.owed*u.cfg.Block))
	if !u.insider(p) {
		wait += time.Hour
	}
	return wait
}
