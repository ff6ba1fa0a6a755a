package pick

import (
	"slices"
	"time"
)

const nowhere = 255 // piece.in of a piece that is not open

// piece is what the picker knows of one piece. Invariant: in, missing, open
// and unasked are what refresh derives from the rest. See FuzzPicker.
type piece struct {
	size    int32
	holders int32 // peers that have it, seeds left out
	wanted  bool
	done    bool
	unasked bool  // counted in Picker.unasked
	begun   bool  // in an attempt that is bound, at a peer that delivers
	busy    bool  // in an attempt at a peer that delivers
	in      uint8 // set of Picker.rarity it is in
}

// attempt is one peer sending one piece, from block 0 on.
// Invariant: 0 <= got <= asked <= blocks, and out <= asked.
type attempt struct {
	peer   *peer
	piece  int
	blocks int
	asked  int       // blocks asked of the peer
	got    int       // blocks that came
	at     time.Time // when it was asked
	tied   bool      // the peer offers it before it sends
	taken  bool      // it offered, and we took it
	wish   bool      // it offered while on trial
	first  time.Time // when its first block came
	late   bool      // a second copy was asked, since this one takes long
	told   int       // blocks that had come when it was claimed last
	toldAt time.Time // and when that was
}

// whole reports whether all blocks came and only the hash result is awaited.
func (a *attempt) whole() bool { return a.got == a.blocks }

// begun reports whether blocks came. Until then the attempt waits in the peer's
// queue, and others may be asked for the piece too.
func (a *attempt) begun() bool { return a.got > 0 }

// bound reports whether the peer is the one that sends the piece.
func (a *attempt) bound() bool { return a.begun() || a.taken }

// stalled reports whether others may fetch the piece as well.
func (a *attempt) stalled() bool { return a.peer.snubbed && !a.whole() }

// refresh derives the place of a piece in the index from its state. It is
// called after every change of what it reads, costs O(log n), and may be
// called too often.
func (p *Picker) refresh(i int) {
	pc := &p.pieces[i]
	missing := pc.wanted && !pc.done
	copies, busy, begun := p.tries[i], false, false
	for _, a := range copies {
		busy = busy || !a.stalled()
		begun = begun || a.bound() && !a.stalled()
	}
	if pc.busy && !busy && missing {
		p.freed = append(p.freed, i)
	}
	pc.busy, pc.begun = busy, begun

	if missing {
		p.missing.add(i)
	} else {
		p.missing.remove(i)
	}
	held := len(p.held) > 0 && p.held[i]
	if unasked := missing && !held && !begun; unasked != pc.unasked {
		pc.unasked = unasked
		if unasked {
			p.unasked++
		} else {
			p.unasked--
		}
	}
	in := uint8(nowhere)
	switch {
	case !missing || held:
	case !busy && len(copies) < maxCopies:
		in = uint8(min(pc.holders, commonest))
	case busy && !begun && len(copies) < maxQueued:
		in = tier + uint8(min(pc.holders, commonest))
	}
	p.move(i, in)
}

// move puts a piece that may be asked into the set of its rarity.
func (p *Picker) move(i int, in uint8) {
	pc := &p.pieces[i]
	if pc.in == in {
		return
	}
	if pc.in != nowhere {
		p.rarity[pc.in].remove(i)
	}
	p.open.put(i, in < tier)
	p.queued.put(i, in != nowhere && in >= tier)
	if in == nowhere {
		pc.in = in
		return
	}
	if pc.in == nowhere || in < tier && pc.in >= tier { // what leaves the open for the queued is nothing new to anybody
		p.opened++
		p.rouse(i)
	}
	if p.rarity[in].words == nil {
		p.rarity[in] = *newSet(len(p.pieces))
	}
	p.rarity[in].add(i)
	if pc.in == nowhere && few(in) {
		p.lookAllFew()
	}
	pc.in = in
}

// count notes that delta more peers that are not seeds hold a piece. Who is one of
// them is looked at by mayAsk.
func (p *Picker) count(i, delta int) {
	pc := &p.pieces[i]
	pc.holders += int32(delta)
	if pc.in != nowhere {
		p.move(i, pc.in/tier*tier+uint8(min(pc.holders, commonest)))
		if delta < 0 && few(pc.in) {
			p.lookAllFew()
		}
	}
}

// rest is the bytes of piece i from block first on.
func (p *Picker) rest(i, first int) int {
	return max(0, int(p.pieces[i].size)-first*p.cfg.Block)
}

// span is the bytes of count blocks of piece i from block first on.
func (p *Picker) span(i, first, count int) int {
	return p.rest(i, first) - p.rest(i, first+count)
}

// begin opens an attempt.
func (p *Picker) begin(q *peer, i int) *attempt {
	a := &attempt{
		peer:   q,
		piece:  i,
		blocks: max(1, (int(p.pieces[i].size)+p.cfg.Block-1)/p.cfg.Block),
		at:     p.now,
		tied:   q.comes(nil),
	}
	q.tries = append(q.tries, a)
	p.started = append(p.started, a)
	p.waiting += int64(p.pieces[i].size)
	p.tries[i] = append(p.tries[i], a)
	p.refresh(i)
	return a
}

// ask asks for the next n blocks of an attempt.
func (p *Picker) ask(plan *Plan, a *attempt, n int) {
	plan.Requests = append(plan.Requests, Request{Peer: a.peer.key, Piece: a.piece, First: a.asked, Count: n, Tied: a.tied})
	p.outstanding(a.peer, p.span(a.piece, a.asked, n))
	a.asked += n
	if a.peer.asked.IsZero() {
		a.peer.asked = p.now
	}
}

// drop ends an attempt; the piece goes back where it belongs.
func (p *Picker) drop(a *attempt) {
	q := a.peer
	p.outstanding(q, -p.span(a.piece, a.got, a.asked-a.got))
	q.tries = without(q.tries, a)
	p.lookOpen(q)
	p.judge(q)
	p.makeRoom()
	p.started = without(p.started, a)
	*p.bytesOf(a) -= int64(p.pieces[a.piece].size)
	if p.tries[a.piece] = without(p.tries[a.piece], a); len(p.tries[a.piece]) == 0 {
		p.tries[a.piece] = nil
	}
	p.refresh(a.piece)
	if few(p.pieces[a.piece].in) {
		p.lookFew(q)
	}
	p.retry(a)
}

// bytesOf is where the bytes of an attempt count.
func (p *Picker) bytesOf(a *attempt) *int64 {
	if a.begun() {
		return &p.buffers
	}
	return &p.waiting
}

// came notes n blocks of an attempt. With the first one the piece leaves the
// queues of other peers. If two peers began at the same moment, the one that is
// behind is cancelled.
func (p *Picker) came(a *attempt, n int) {
	first := !a.begun()
	if first {
		a.first = p.now
		p.waiting -= int64(p.pieces[a.piece].size)
		p.buffers += int64(p.pieces[a.piece].size)
	}
	a.got += n
	if !first {
		return
	}
	if a.waits() {
		p.cancel(a)
		return
	}
	for _, b := range slices.Clone(p.tries[a.piece]) {
		switch {
		case b == a || b.stalled() && b.begun():
		case !b.begun():
			p.cancel(b)
		case b.got >= a.got && !p.doubled(b):
			p.cancel(a)
			return
		}
	}
	if a.tied { // asked anew, tied, while it came: the rest is not offered
		p.own(a)
	}
	p.refresh(a.piece)
}

// doubled reports whether a second copy of an attempt's piece was asked for
// because this one takes long.
func (p *Picker) doubled(a *attempt) bool { return a.late }

// retry puts the piece of an attempt that stalled or was lost before those
// that were not begun, unless it was a mere try of a snubbed peer. The list is
// short: what falls off is still found by rarity.
func (p *Picker) retry(a *attempt) {
	if i := a.piece; a.begun() && p.pieces[i].in != nowhere && !slices.Contains(p.again, i) {
		p.again = append(p.again[max(0, len(p.again)-p.cfg.MaxStarted+1):], i)
	}
}

// cancel drops an attempt and takes it back, even if nothing is in flight just
// now: the caller keeps what came so far.
func (p *Picker) cancel(a *attempt) {
	if !a.whole() {
		p.cancels = append(p.cancels, Cancel{Peer: a.peer.key, Piece: a.piece})
	}
	p.drop(a)
}

func (p *Picker) cancelAll(i int) {
	for len(p.tries[i]) > 0 {
		p.cancel(p.tries[i][0])
	}
}

func without(list []*attempt, a *attempt) []*attempt {
	if i := slices.Index(list, a); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}
