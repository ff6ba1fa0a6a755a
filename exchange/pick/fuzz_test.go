package pick

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// epoch is when every test begins.
var epoch = time.Unix(1_700_000_000, 0)

// FuzzPicker plays a random string of events and holds after each: what is
// asked is missing and there, in order, in at most two copies; the sum in
// flight is right; Deadline is not in the past; a second Advance is empty; the
// index is what the state says. At last a seed answers all, and the download
// must complete.
func FuzzPicker(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e"))
	f.Add([]byte("\x0c\x00\x00\x03\x00\x00\x05\x00\xff\x07\x00\x00\x07\x00\x01\x0e\x20\x00\x0e\xff\x00"))
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		b := make([]byte, 600)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		w := newWorld(t, Config{MaxStarted: 12})
		for len(script) >= 3 && w.steps < 2000 {
			w.step(script[0], script[1], script[2])
			script = script[3:]
			w.check()
		}
		w.finish()
	})
}

const (
	worldPieces = 70
	worldPeers  = 5
)

// world is the other side of a picker under fuzzing: it knows what was asked.
type world struct {
	t     *testing.T
	p     *Picker
	now   time.Time
	steps int
	alive map[PeerKey]bool
	have  map[PeerKey]map[int]bool
	asked map[string]*Request // by peer and piece: First is what came, Count what is out
	want  map[int]bool
	done  map[int]bool
}

func newWorld(t *testing.T, cfg Config) *world {
	sizes := make([]int, worldPieces)
	for i := range sizes {
		sizes[i] = 1 + (i*77_777)%(1<<20)
	}
	return &world{
		t: t, p: New(cfg, sizes, rand.New(rand.NewPCG(3, 4))), now: epoch,
		alive: map[PeerKey]bool{}, have: map[PeerKey]map[int]bool{},
		asked: map[string]*Request{}, want: map[int]bool{}, done: map[int]bool{},
	}
}

func (w *world) step(op, a, b byte) {
	w.steps++
	peer := PeerKey(fmt.Sprint(a % worldPeers))
	piece := int(b) % (worldPieces + 1) // one too many: unknown pieces are ignored
	known := piece < worldPieces
	switch op % 16 {
	case 0:
		w.want[piece] = known
		w.p.Want(w.now, piece, time.Time{})
	case 1:
		w.want[piece] = known
		w.p.Want(w.now, piece, w.now.Add(time.Duration(a)*100*time.Millisecond))
	case 2:
		w.want[piece] = false
		w.p.Forget(w.now, piece)
	case 3:
		w.alive[peer] = true
		if w.have[peer] == nil {
			w.have[peer] = map[int]bool{}
		}
		w.p.OnPeer(w.now, peer, Path(b%3), time.Duration(b)*time.Millisecond)
	case 4:
		delete(w.alive, peer)
		delete(w.have, peer)
		for k, r := range w.asked {
			if r.Peer == peer {
				delete(w.asked, k)
			}
		}
		w.p.OnGone(w.now, peer)
	case 5, 6:
		count := int(op)
		if op%3 == 0 {
			piece, count = 0, 1000
		}
		for i := piece; w.alive[peer] && i < min(piece+count, worldPieces); i++ {
			w.have[peer][i] = true
		}
		if q := w.p.peers[peer]; q != nil && a >= 128 {
			gone := &Peer{have: q.have, gone: true}
			var news []News
			for i := range count {
				news = append(news, News{q, piece + i}, News{gone, piece})
			}
			w.p.OnNews(w.now, news)
		} else {
			w.p.OnHave(w.now, peer, piece, count)
		}
	case 7:
		for i := piece; w.alive[peer] && i < min(piece+int(op), worldPieces); i++ {
			delete(w.have[peer], i)
		}
		w.p.OnUnhave(w.now, peer, piece, int(op))
	case 8, 9, 10:
		w.deliver(peer, int(b))
	case 11:
		w.done[piece] = known
		w.p.Done(w.now, piece)
	case 12:
		w.done[piece] = false
		w.p.Lost(w.now, piece)
	case 13:
		w.reject(peer, b)
	case 14:
		if a >= 128 {
			w.p.OnClaim(w.now, peer, piece, w.now.Add(time.Duration(a)*100*time.Millisecond))
		} else {
			w.p.Hold(w.now, piece, a%2 == 0)
		}
	case 15:
		w.now = w.now.Add(time.Duration(b) * 20 * time.Millisecond)
	}
}

// outstanding returns what a peer was asked first and has not sent.
func (w *world) outstanding(peer PeerKey) *Request {
	q := w.p.peers[peer]
	if q == nil {
		return nil
	}
	for _, a := range q.tries {
		if a.got < a.asked {
			return w.asked[fmt.Sprint(peer, " ", a.piece)]
		}
	}
	return nil
}

// deliver sends n blocks of what was asked first, and the hash result.
func (w *world) deliver(peer PeerKey, n int) {
	r := w.outstanding(peer)
	if r == nil {
		w.p.OnBlocks(w.now, peer, n%worldPieces, 1) // not asked: must not count
		return
	}
	n = min(1+n%16, r.Count)
	w.p.OnBlocks(w.now, peer, r.Piece, n)
	r.First, r.Count = r.First+n, r.Count-n
	if blocks := w.blocks(r.Piece); r.First < blocks {
		return
	}
	delete(w.asked, fmt.Sprint(peer, " ", r.Piece))
	ok := (r.Piece+w.steps)%5 != 0
	if ok {
		w.done[r.Piece] = true
	}
	w.p.OnPiece(w.now, peer, r.Piece, ok)
}

func (w *world) reject(peer PeerKey, b byte) {
	r := w.outstanding(peer)
	if r == nil || r.First == w.blocks(r.Piece) {
		w.p.OnReject(w.now, peer, int(b))
		return
	}
	delete(w.asked, fmt.Sprint(peer, " ", r.Piece))
	w.p.OnReject(w.now, peer, r.Piece)
}

func (w *world) blocks(piece int) int {
	return (int(w.p.pieces[piece].size) + defaultBlock - 1) / defaultBlock
}

func (w *world) check() {
	w.t.Helper()
	w.apply(w.p.Advance(w.now))
	if at := w.p.Deadline(); !at.IsZero() && !at.After(w.now) {
		w.t.Fatalf("deadline %v is not after now", at.Sub(w.now))
	}
	if again := w.p.Advance(w.now); len(again.Requests)+len(again.Cancels)+len(again.Freed) > 0 {
		w.t.Fatalf("a second Advance has %+v", again)
	}
	for _, q := range w.p.order {
		w.p.look(q)
	}
	if more := w.p.Advance(w.now); len(more.Requests)+len(more.Cancels)+len(more.Freed) > 0 {
		w.t.Fatalf("a look at every peer finds %+v", more)
	}
	w.checkIndex()
	copies, out := map[int]int{}, int64(0)
	for _, r := range w.asked {
		copies[r.Piece]++
		out += int64(w.p.span(r.Piece, r.First, r.Count))
		if copies[r.Piece] > maxQueued+1 { // one by deadline, though it waits at all others
			w.t.Fatalf("piece %d is asked of more than %d peers", r.Piece, maxQueued)
		}
	}
	if len(w.asked) > w.p.cfg.MaxStarted {
		w.t.Fatalf("%d attempts, limit %d", len(w.asked), w.p.cfg.MaxStarted)
	}
	if out != w.p.InFlight() {
		w.t.Fatalf("InFlight is %d, want %d", w.p.InFlight(), out)
	}
}

func (w *world) apply(plan Plan) {
	w.t.Helper()
	for _, c := range plan.Cancels {
		delete(w.asked, fmt.Sprint(c.Peer, " ", c.Piece))
	}
	for _, r := range plan.Requests {
		k := fmt.Sprint(r.Peer, " ", r.Piece)
		if r.Again {
			if w.asked[k] == nil {
				w.t.Fatalf("%+v: it was not asked", r)
			}
			continue
		}
		old := w.asked[k]
		if old == nil {
			old = &Request{Peer: r.Peer, Piece: r.Piece}
			w.asked[k] = old
		}
		switch {
		case !w.alive[r.Peer] || !w.have[r.Peer][r.Piece]:
			w.t.Fatalf("%+v: the peer does not have it", r)
		case !w.want[r.Piece] || w.done[r.Piece]:
			w.t.Fatalf("%+v: it is not missing", r)
		case r.First != old.First+old.Count || r.Count < 1 || r.First+r.Count > w.blocks(r.Piece):
			w.t.Fatalf("%+v does not go on from %+v", r, *old)
		}
		old.Count += r.Count
	}
}

// checkIndex derives the index from scratch.
func (w *world) checkIndex() {
	w.t.Helper()
	p, unasked, missing := w.p, 0, 0
	for i := range p.pieces {
		holders := 0
		for _, h := range w.have {
			if h[i] {
				holders++
			}
		}
		if got := p.Holders(i); got != holders {
			w.t.Fatalf("piece %d has %d holders, want %d", i, got, holders)
		}
		m := w.want[i] && !w.done[i]
		if m {
			missing++
		}
		begun := slices.ContainsFunc(p.tries[i], func(a *attempt) bool { return a.bound() && !a.stalled() })
		if m && !p.held[i] && !begun {
			unasked++
		}
		open := m && !p.held[i] && !p.Asked(i) && len(p.tries[i]) < maxCopies
		queued := m && !p.held[i] && p.Asked(i) && !begun && len(p.tries[i]) < maxQueued
		if open != p.open.has(i) || queued != p.queued.has(i) || (open || queued) != (p.pieces[i].in != nowhere) {
			w.t.Fatalf("piece %d: open is %v, queued %v; want %v, %v", i, p.open.has(i), p.queued.has(i), open, queued)
		}
	}
	claims := map[*peer]int{}
	for i, c := range p.claims {
		claims[c.by]++
		if w.done[i] || c.by.path != LAN || !c.until.After(w.now) {
			w.t.Fatalf("piece %d: a claim of %s over path %d until %v", i, c.by.key, c.by.path, c.until)
		}
	}
	for _, q := range p.order {
		if q.claims != claims[q] {
			w.t.Fatalf("%s claims %d pieces, want %d", q.key, q.claims, claims[q])
		}
		for i := range p.pieces {
			if q.ask.has(i) && (!q.have.has(i) || p.barred(q, i)) {
				w.t.Fatalf("piece %d may be asked of %s", i, q.key)
			}
		}
	}
	var buffers, waiting int64
	for _, a := range p.started {
		if a.begun() {
			buffers += int64(p.pieces[a.piece].size)
		} else {
			waiting += int64(p.pieces[a.piece].size)
		}
	}
	if buffers != p.buffers || waiting != p.waiting {
		w.t.Fatalf("buffers of %d and %d bytes, want %d and %d", p.buffers, p.waiting, buffers, waiting)
	}
	if p.Wanted() != missing || p.unasked != unasked {
		w.t.Fatalf("wanted %d unasked %d, want %d and %d", p.Wanted(), p.unasked, missing, unasked)
	}
}

// finish lets a new seed answer everything.
func (w *world) finish() {
	w.t.Helper()
	const seed = PeerKey("seed")
	w.alive[seed], w.have[seed] = true, map[int]bool{}
	for i := range worldPieces {
		w.have[seed][i] = true
		w.p.Hold(w.now, i, false)
	}
	w.p.OnPeer(w.now, seed, WAN, 0)
	w.p.OnHave(w.now, seed, 0, worldPieces)
	for range 5000 {
		w.check()
		if w.p.Wanted() == 0 {
			return
		}
		r := w.outstanding(seed)
		if r == nil || r.Count == 0 {
			at := w.p.Deadline()
			if at.IsZero() {
				w.t.Fatalf("%d pieces missing, nothing asked of the seed, and no deadline", w.p.Wanted())
			}
			w.now = at
			continue
		}
		w.now = w.now.Add(time.Millisecond)
		piece, n := r.Piece, r.Count
		w.p.OnBlocks(w.now, seed, piece, n)
		r.First, r.Count = r.First+n, 0
		if r.First == w.blocks(piece) {
			delete(w.asked, fmt.Sprint(seed, " ", piece))
			w.done[piece] = true
			w.p.OnPiece(w.now, seed, piece, true)
		}
	}
	for i := w.p.missing.next(0); i >= 0; i = w.p.missing.next(i + 1) {
		w.t.Logf("piece %d: %+v", i, w.p.pieces[i])
		for _, a := range w.p.tries[i] {
			w.t.Logf("  at %s: %d of %d asked, %d came, snubbed %v, out %d", a.peer.key, a.asked, a.blocks, a.got, a.peer.snubbed, a.peer.out)
		}
	}
	w.t.Fatalf("not complete: %d pieces missing", w.p.Wanted())
}
