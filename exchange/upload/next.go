package upload

import (
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// Next returns the frame to send now; false if nobody waits or enough is on the
// way. OnSent is to follow, and Offers is to be asked either way.
func (u *Uploads) Next(now time.Time) (PeerKey, Part, bool) {
	u.wake = time.Time{}
	u.withdraw(now)
	u.unmute(now)
	u.line.pass(now)
	u.admit(now)
	for {
		u.restrain(now)
		full := u.full(now)
		if p, i := u.passOn(now, full); p != nil {
			if !p.begun(&p.parts[i]) {
				p.turn = 0
			}
			return p.key, u.send(now, p, i), true
		}
		if (full || u.plain == 0) && (u.shut || u.ties == 0) {
			break
		}
		if p := u.goOn(); p != nil && !full {
			return p.key, u.send(now, p, u.choose(p)), true
		}
		key, ok := u.ledger.Next(now)
		if !ok {
			break
		}
		p := u.peers[key]
		if !p.barred && u.bars(p) { // another at its address had their turn
			u.expose(now, p)
			continue
		}
		if !full {
			p = u.rarer(p)
		}
		if u.shut && p.offering && p.tied > 0 {
			u.hide(now, p)
			continue
		}
		if full && u.ledger.Served(key) == ledger.Idle {
			break // who gives nothing is promised nothing while others may come
		}
		if i := u.toOffer(p); i >= 0 {
			u.propose(now, p, i)
			continue
		}
		if full {
			break
		}
		p.turn = 0
		return p.key, u.send(now, p, u.choose(p)), true
	}
	return "", Part{}, false
}

// send takes a frame off a peer's queue and puts it on the way.
func (u *Uploads) send(now time.Time, p *peer, i int) Part {
	part := u.take(now, p, i)
	u.ledger.OnSent(now, p.key, int64(part.bytes(u.cfg.Block)))
	p.busy++
	p.served = true
	f := &flight{peer: p, bytes: part.bytes(u.cfg.Block), at: now}
	p.window.depart(f.bytes)
	p.flights = append(p.flights, f)
	u.line.depart(now, f)
	if !u.outsider(p) {
		u.demand.depart(f.bytes)
	}
	u.expose(now, p)
	return part
}

// goOn returns the peer whose turn began first of those that can go on with the
// piece that it is for, nil if there is none. Whoever's turn it would be waits
// for the end of the piece: half a piece is of no use to anybody, and keeps the
// receiver from asking others for it.
func (u *Uploads) goOn() *peer {
	u.turns = slices.DeleteFunc(u.turns, func(p *peer) bool {
		return p.gone || p.turn <= 0 || !p.goesOn(func(*Part) bool { return true })
	})
	for _, p := range u.turns {
		if p.exposed > 0 && !p.barred && p.goesOn(func(q *Part) bool { return u.ready(*q) > 0 }) {
			return p
		}
	}
	return nil
}

// goesOn reports whether a part of the piece that went out last is such a one.
func (p *peer) goesOn(such func(*Part) bool) bool {
	for i := range p.parts[:min(len(p.parts), look)] {
		if q := &p.parts[i]; p.begun(q) && such(q) {
			return true
		}
	}
	return false
}

// begun reports whether a part is of the piece that went out last.
func (p *peer) begun(q *Part) bool { return q.Piece == p.piece && !q.Tied && q.Root == p.root }

// take takes a frame off a peer's queue.
func (u *Uploads) take(now time.Time, p *peer, i int) Part {
	part := p.parts[i]
	if part.First == 0 {
		u.given(p, part)
		u.copied(now, p, u.open(part.Root), part.Piece)
	}
	if p.turn <= 0 {
		p.turn = part.Size - part.First*u.cfg.Block
		p.granted = !u.outsider(p)
		if !slices.Contains(u.turns, p) {
			u.turns = append(u.turns, p)
		}
	}
	u.letIn(now, p)
	p.root, p.piece = part.Root, part.Piece
	u.owe(p, &part, -part.Count)
	if n := u.whole(part, min(u.frame(p), u.ready(part))); part.Count > n {
		rest := &p.parts[i]
		rest.First, rest.Count, rest.begun = part.First+n, part.Count-n, true
		u.owe(p, rest, rest.Count)
		part.Count = n
	} else {
		p.parts = append(p.parts[:i], p.parts[i+1:]...)
	}
	if b := u.open(part.Root); part.First*u.cfg.Block+part.bytes(u.cfg.Block) == part.Size && p.holds(b).has(part.Piece) {
		u.endSole(b, part.Piece)
	}
	u.add(p, part, -part.Count)
	p.turn -= part.bytes(u.cfg.Block)
	return part
}

// choose returns which part of a peer's queue goes out: what is urgent, then the
// piece begun last, then the one of which fewest copies are known.
func (u *Uploads) choose(p *peer) int {
	begun, last := -1, false
	best := u.rarest(p, func(i int, q *Part) bool {
		if own := p.begun(q); !p.barred && !last && (own || q.begun && begun < 0) {
			begun, last = i, own
		}
		return !q.Tied
	})
	if begun >= 0 && (best < 0 || !p.parts[best].Urgent) {
		return begun
	}
	return best
}

// rarest returns the part of a peer's queue, of those that may be, that is urgent
// or of which fewest copies are known; -1 if there is none. A newcomer whom the
// ledger named for his free set begins nothing else.
func (u *Uploads) rarest(p *peer, may func(int, *Part) bool) int {
	best, fewest, looked := -1, 1<<10, 0
	gratis := u.gratisOnly(p)
	for i := range p.parts {
		q := &p.parts[i]
		if u.ready(*q) == 0 || !may(i, q) || gratis && !q.Free && !(p.spared && q.promised) || !p.may(*q) {
			continue
		}
		if looked++; looked > look {
			break
		}
		if q.Urgent {
			return i
		}
		if known := u.Known(q.Root, q.Piece); known < fewest {
			best, fewest = i, known
		}
	}
	return best
}

// frame is how many blocks go out at once: half of what is kept ahead, so that
// the line does not run dry between two acknowledgements.
func (u *Uploads) frame(p *peer) int {
	return min(max(u.line.most()/2/u.cfg.Block, 1), max(int(p.window.limit)/2/u.cfg.Block, 1), u.cfg.MaxFrame)
}

// whole is n blocks of a part, or one more if that is hardly anything, as what the frame
// of a dag-pb leaf adds to a payload of whole blocks: it goes along, for no frame of its own.
func (u *Uploads) whole(part Part, n int) int {
	left := part
	left.First, left.Count = part.First+n, part.Count-n
	if left.Count == 1 && n < u.ready(part) && left.bytes(u.cfg.Block) <= u.cfg.Block/8 {
		n++
	}
	return n
}

// OnSent tells that a frame of Next was handed to the transport, or was not:
// then nothing of it is on the way.
func (u *Uploads) OnSent(now time.Time, key PeerKey, part Part, ok bool) {
	p := u.peers[key]
	if p == nil {
		return
	}
	p.busy--
	if !ok {
		u.drop(now, p, part.bytes(u.cfg.Block))
	} else {
		p.wrote(now, part.bytes(u.cfg.Block))
	}
	u.expose(now, p)
}

// wrote notes that the oldest flight of so many bytes that was not is written.
func (p *peer) wrote(now time.Time, bytes int) {
	for _, f := range p.flights {
		if f.bytes == bytes && f.written.IsZero() {
			f.written = now
			return
		}
	}
}

// drop takes back the newest flight of so many bytes.
func (u *Uploads) drop(now time.Time, p *peer, bytes int) {
	for i := len(p.flights) - 1; i >= 0; i-- {
		if f := p.flights[i]; f.bytes == bytes {
			p.flights = append(p.flights[:i], p.flights[i+1:]...)
			p.window.arrive(bytes)
			u.line.lose(now, bytes)
			return
		}
	}
}

// OnAcked tells that a peer has got a frame of n bytes, the first of that size
// on its way.
func (u *Uploads) OnAcked(now time.Time, key PeerKey, n int) {
	p := u.peers[key]
	if p == nil {
		return
	}
	i := slices.IndexFunc(p.flights, func(f *flight) bool { return f.bytes == n })
	if i < 0 {
		return
	}
	f := p.flights[i]
	p.flights = slices.Delete(p.flights, i, i+1)
	took := now.Sub(f.at)
	p.took = took
	p.window.arrive(n)
	p.window.came(took)
	p.window.pull(n, took, u.line.waited(f.behind)+u.line.buffered()+u.cfg.Ahead)
	u.line.arrive(now, f, took-p.window.trip)
	u.adjust(now, p, f)
	u.expose(now, p)
}

// expose tells the ledger of the blocks of a peer that may be sent now.
func (u *Uploads) expose(now time.Time, p *peer) {
	want := p.blocks - p.offered
	if p.offering = u.offerable(now, p); !p.offering {
		want -= p.tied
	}
	if u.bar(p, u.bars(p)); p.barred {
		want = p.taken
	}
	if p.busy >= u.cfg.MaxBusy || p.window.full() {
		want = 0
	}
	free := 0
	p.spared = !p.barred && u.spares(p)
	if p.spared || !p.barred && u.givers > 0 && !p.gave {
		free = p.free
		if p.offering {
			free += p.tiedFree
		}
		free = min(free, want)
		if p.spared {
			want = min(want, free+p.taken)
		}
	}
	bytes := func(blocks int) int64 { return int64(blocks) * int64(u.cfg.Block) }
	if d := free - p.gratis; d > 0 {
		u.ledger.QueueFree(now, p.key, bytes(d))
	} else if d < 0 {
		u.ledger.UnqueueFree(now, p.key, bytes(-d))
	}
	if d := want - p.exposed - (free - p.gratis); d > 0 {
		u.ledger.Queue(now, p.key, bytes(d))
	} else if d < 0 {
		u.ledger.Unqueue(now, p.key, bytes(-d))
	}
	p.exposed, p.gratis = want, free
	u.give(now, p, want > 0 && p.gave)
	u.want(now, p, !u.outsider(p) && (want > 0 || p.promised > 0 && p.mute == 0 && !p.window.full()))
}

// gives notes that a peer gave something once.
func (u *Uploads) gives(p *peer) {
	if !p.gave {
		p.gave = true
		u.gavers++
	}
}

// give counts a peer among those who gave and wait, or not. Without any of them
// newcomers have nobody to compete with, and so get what is rarest, not what is
// in their free set.
func (u *Uploads) give(now time.Time, p *peer, giver bool) {
	if p.giver == giver {
		return
	}
	before := u.givers
	p.giver = giver
	if giver {
		u.givers++
	} else {
		u.givers--
	}
	if (before > 0) != (u.givers > 0) {
		for _, other := range u.order {
			if other.free+other.tiedFree > 0 && !other.gave {
				u.expose(now, other)
			}
		}
	}
}
