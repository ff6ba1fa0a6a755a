package upload

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// world plays events at Uploads and keeps its own books.
type world struct {
	t      testing.TB
	u      *Uploads
	now    time.Time
	busy   []given // between Next and OnSent
	onWay  []given // and acknowledged not yet
	offers []Offer
}

type given struct {
	to   PeerKey
	part Part
}

const block = 64 << 10

func newWorld(t testing.TB) *world {
	return &world{
		t: t, u: New(Config{MaxFrame: 4}, rand.New(rand.NewPCG(1, 2))), now: time.Unix(1_700_000_000, 0),
	}
}

func peerOf(n byte) PeerKey { return PeerKey(fmt.Sprint("peer", n%5)) }

// step plays one event chosen by three bytes.
func (w *world) step(kind, who, n byte) {
	w.now = w.now.Add(time.Duration(n) * 10 * time.Millisecond)
	key := peerOf(who)
	switch kind % 12 {
	case 0: // it connects, or its session is replaced
		w.leave(key)
		w.u.OnPeer(w.now, key, ledger.Balance{Received: int64(n%4) << 20})
	case 1:
		w.leave(key)
		w.u.OnGone(w.now, key)
		if w.u.Queue(w.now, key, Part{Root: 1, Count: 1, Size: block}) {
			w.t.Fatal("a peer that is gone was queued")
		}
	case 2, 3, 4:
		w.u.Queue(w.now, key, Part{Root: n & 1, Piece: int(n) % 7, Count: 1 + int(n)%32, Size: (1 + int(n)%32) * block, Urgent: n > 250, Free: n%3 == 0, Tied: n%5 == 0})
	case 5:
		w.u.Cancel(w.now, key, n&1, int(n)%7)
	case 6:
		w.serve()
	case 7:
		w.sent(n, n%5 > 0)
	case 8:
		w.ack(n)
	case 10:
		w.answer(n%2 == 0)
	case 11:
		w.partial(n&1, int(n)%7, int(n)/7)
	case 9:
		if p := w.u.peers[key]; p != nil && n%2 == 0 {
			w.u.OnNews(w.now, n&1, []News{{p, int(n) % 7}, {p, 70 + int(n)}, {&peer{gone: true}, 1}})
		} else {
			w.u.OnHave(w.now, key, n&1, int(n)%7, 1+int(n)%3)
		}
	}
	w.check()
}

// partial has more of a piece come, its end, or no end.
func (w *world) partial(root byte, piece, how int) {
	switch now := w.u.open(root).partial[piece]; {
	case how%8 == 0:
		w.u.OnWhole(w.now, root, piece)
	case how%8 == 1:
		_, was := w.u.open(root).partial[piece]
		w.u.Withdraw(w.now, root, piece)
		for _, p := range w.u.peers {
			if was && slices.ContainsFunc(p.parts, func(q Part) bool { return q.Root == root && q.Piece == piece }) {
				w.t.Fatal("withdrawn, and still waits")
			}
		}
	default:
		w.u.OnPartial(w.now, root, piece, now+how%8)
	}
}

// leave forgets what is on the way to a peer.
func (w *world) leave(key PeerKey) {
	w.busy = without(w.busy, key)
	w.onWay = without(w.onWay, key)
}

func without(list []given, key PeerKey) []given {
	var kept []given
	for _, g := range list {
		if g.to != key {
			kept = append(kept, g)
		}
	}
	return kept
}

func (w *world) serve() bool {
	key, part, ok := w.u.Next(w.now)
	w.offers = append(w.offers, w.u.Offers()...)
	if ok {
		if part.Tied {
			w.t.Fatal("a tied part was sent")
		}
		if came, partial := w.u.open(part.Root).partial[part.Piece]; partial && part.First+part.Count > came {
			w.t.Fatalf("blocks %d+%d were sent of which %d are here", part.First, part.Count, came)
		}
		if part.Count < 1 || part.Count > 4 {
			w.t.Fatalf("a frame of %d blocks", part.Count)
		}
		w.busy = append(w.busy, given{key, part})
	}
	return ok
}

func (w *world) sent(n byte, ok bool) {
	if len(w.busy) == 0 {
		return
	}
	i := int(n) % len(w.busy)
	g := w.busy[i]
	w.busy = append(w.busy[:i], w.busy[i+1:]...)
	w.u.OnSent(w.now, g.to, g.part, ok)
	if ok {
		w.onWay = append(w.onWay, g)
	}
}

// answer takes the oldest offer, or cancels it.
func (w *world) answer(take bool) {
	if len(w.offers) == 0 {
		return
	}
	o := w.offers[0]
	w.offers = w.offers[1:]
	if take {
		w.u.Queue(w.now, o.Peer, Part{Root: o.Root, Piece: o.Piece, Count: 1, Size: block})
	} else {
		w.u.Cancel(w.now, o.Peer, o.Root, o.Piece)
	}
}

func (w *world) ack(n byte) {
	if len(w.onWay) == 0 {
		return
	}
	i := int(n) % len(w.onWay)
	g := w.onWay[i]
	w.onWay = append(w.onWay[:i], w.onWay[i+1:]...)
	w.u.OnAcked(w.now, g.to, g.part.bytes(block))
}

// restricted is how many of so many blocks a peer may be sent.
func restricted(p *peer, want, tied, taken, gratis int) int {
	if !p.offering {
		want -= tied
	}
	if p.barred {
		want = taken
	}
	if p.spared {
		want = min(want, gratis+taken)
	}
	return want
}

// check compares the books.
func (w *world) check() {
	w.t.Helper()
	way := map[PeerKey]int{}
	busy := map[PeerKey]int{}
	for _, g := range w.busy {
		way[g.to] += g.part.bytes(block)
		busy[g.to]++
	}
	for _, g := range w.onWay {
		way[g.to] += g.part.bytes(block)
	}
	line := 0
	for _, n := range way {
		line += n
	}
	if w.u.line.out != line {
		w.t.Fatalf("%d bytes on the line, %d in flights", w.u.line.out, line)
	}
	waits, givers, owed := false, 0, 0
	for _, p := range w.u.peers {
		if p.exposed > 0 && p.gave {
			givers++
		}
	}
	for key, p := range w.u.peers {
		if inside := w.u.ledger.Standing(key) == ledger.Insider; inside && !w.u.insider(p) {
			w.t.Fatalf("%s is an insider, and not known to be", key)
		}
		sum, free, tied, offered, gratis, taken := 0, 0, 0, 0, 0, 0
		for _, q := range p.parts {
			n := w.u.ready(q)
			sum += n
			switch {
			case q.Tied && q.promised:
				offered += n
			case q.Tied:
				tied += n
				if q.Free && p.offering {
					gratis += n
				}
			case q.Free:
				free += n
				gratis += n
			case q.promised:
				taken += n
			}
		}
		want := restricted(p, sum-offered, tied, taken, gratis)
		gratis = min(gratis, p.exposed)
		if p.barred || givers == 0 && !p.spared || p.gave {
			gratis = 0
		}
		if p.free != free || p.gratis != gratis || w.u.givers != givers {
			w.t.Fatalf("%s: %d free of %d, %d gratis of %d, %d givers of %d", key, p.free, free, p.gratis, gratis, w.u.givers, givers)
		}
		if busy[key] >= 2 || p.window.full() {
			want = 0
		}
		if p.blocks != sum || p.busy != busy[key] || p.exposed != want || p.window.out != way[key] {
			w.t.Fatalf("%s: %d blocks of %d, busy %d of %d, exposed %d of %d, %d bytes on the way of %d",
				key, p.blocks, sum, p.busy, busy[key], p.exposed, want, p.window.out, way[key])
		}
		waits = waits || want > 0
		for _, q := range p.parts {
			if q.owes() && p.mute == 0 && !p.barred {
				owed += q.Count
			}
		}
	}
	if w.u.owed != owed {
		w.t.Fatalf("%d blocks owed of %d", w.u.owed, owed)
	}
	w.checkSoles()
	if _, ok := w.u.ledger.Next(w.now); ok != waits {
		w.t.Fatalf("the ledger says that someone waits: %v; want %v", ok, waits)
	}
}

// checkSoles looks at the list of what nobody else has.
func (w *world) checkSoles() {
	w.t.Helper()
	for i, l := range w.u.soles {
		if w.u.books[l.of.root] != l.of || slices.Contains(w.u.soles[:i], l) || i >= mostSole {
			w.t.Fatalf("piece %d is sole, at place %d", l.piece, i)
		}
	}
}

// drain serves all that waits, and nothing may be left.
func (w *world) drain() {
	for root, b := range w.u.books {
		for piece := range b.partial {
			w.u.OnWhole(w.now, root, piece)
		}
	}
	for w.serve() || len(w.busy)+len(w.onWay)+len(w.offers) > 0 || !w.u.Deadline().IsZero() {
		if !w.serve() {
			w.now = w.now.Add(10 * time.Millisecond)
			w.sent(0, true)
			w.ack(0)
			w.answer(true)
		}
		w.check()
	}
	for key, p := range w.u.peers {
		if len(p.parts) > 0 {
			w.t.Fatalf("%s starves with %d requests", key, len(p.parts))
		}
	}
}

// Queues and ledger never disagree, whatever comes: nobody is named who has
// nothing to be sent, and nobody starves.
func TestBooks(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		w := newWorld(t)
		for range 300 {
			w.step(byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32()))
		}
		w.drain()
	}
}

// FuzzBooks is TestBooks with the fuzzer's events.
func FuzzBooks(f *testing.F) {
	f.Add([]byte("\x00\x00\x01\x02\x00\x20\x06\x00\x00\x00\x00\x01\x07\x00\x00\x08\x00\x00"))
	f.Add([]byte("\x00\x01\x01\x02\x01\x20\x02\x01\x21\x06\x00\x00\x06\x00\x00\x01\x01\x00\x07\x00\x00\x00\x01\x00\x02\x01\x05\x06\x00\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		w := newWorld(t)
		for ; len(script) >= 3; script = script[3:] {
			w.step(script[0], script[1], script[2])
		}
		w.drain()
	})
}

// A queue takes so many requests and no more.
func TestFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.step(0, 0, 0)
	for i := range 4096 + 10 {
		if got := w.u.Queue(w.now, peerOf(0), Part{Root: 1, Piece: i, Count: 1, Size: block}); got != (i < 4096) {
			t.Fatalf("request %d: %v", i, got)
		}
	}
	w.drain()
}
