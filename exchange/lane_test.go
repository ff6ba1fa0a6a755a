package exchange

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// laneWorld plays events at a lane and keeps its own books.
type laneWorld struct {
	t     testing.TB
	l     *lane
	now   time.Time
	peers []*Session // nil where none is connected
	roots []*Root
	busy  []given
}

type given struct {
	to *Session
	it item
}

func newLaneWorld(t testing.TB) *laneWorld {
	return &laneWorld{
		t: t, l: newLane(4, 3, rand.New(rand.NewPCG(1, 2))), now: time.Unix(1_700_000_000, 0),
		peers: make([]*Session, 5), roots: []*Root{{}, {}},
	}
}

// step plays one event chosen by three bytes.
func (w *laneWorld) step(kind, who, n byte) {
	w.now = w.now.Add(time.Duration(n) * 10 * time.Millisecond)
	i := int(who) % len(w.peers)
	s := w.peers[i]
	switch kind % 8 {
	case 0: // the peer connects, or its session is replaced
		if s != nil {
			w.l.gone(w.now, s)
		}
		w.peers[i] = &Session{Peer: peer.ID(fmt.Sprint("peer", i))}
		w.l.meet(w.now, w.peers[i], ledger.Balance{Received: int64(n) << 20})
	case 1:
		if s != nil {
			w.l.gone(w.now, s)
			if w.l.queue(w.now, s, item{w.roots[0], part{0, 0, 1}}) {
				w.t.Fatal("a session that is gone was queued")
			}
			w.peers[i] = nil
		}
	case 2, 3, 4:
		if s != nil {
			w.l.queue(w.now, s, item{w.roots[n&1], part{int(n) % 7, 0, 1 + int(n)%32}})
		}
	case 5:
		if s != nil {
			w.l.remove(w.now, s, func(it item) bool { return it.part.piece == int(n)%7 })
		}
	case 6:
		w.serve()
	case 7:
		if len(w.busy) > 0 {
			w.finish(int(n) % len(w.busy))
		}
	}
	w.check()
}

// serve gives out a frame if there is a slot and someone waits.
func (w *laneWorld) serve() bool {
	if w.l.slots == 0 {
		return false
	}
	to, it, ok := w.l.choose(w.now)
	if ok {
		if it.part.count < 1 || it.part.count > w.l.frame {
			w.t.Fatalf("a frame of %d blocks", it.part.count)
		}
		w.l.slots--
		w.busy = append(w.busy, given{to, it})
	}
	return ok
}

func (w *laneWorld) finish(i int) {
	g := w.busy[i]
	w.busy = append(w.busy[:i], w.busy[i+1:]...)
	w.l.vacate()
	w.l.done(w.now, g.to, g.it.part.count*Block)
}

// check compares the books: items, blocks, what the ledger knows, slots.
func (w *laneWorld) check() {
	w.t.Helper()
	if w.l.slots+len(w.busy) != 3 {
		w.t.Fatalf("%d slots, %d busy", w.l.slots, len(w.busy))
	}
	waits := false
	for key, q := range w.l.queues {
		sum, busy := 0, 0
		for _, it := range q.items {
			sum += it.part.count
		}
		for _, g := range w.busy {
			if g.to == q.to {
				busy++
			}
		}
		want := sum
		if busy >= perPeer {
			want = 0
		}
		if q.blocks != sum || q.busy != busy || q.exposed != want {
			w.t.Fatalf("%s: %d blocks of %d, busy %d of %d, exposed %d of %d", key, q.blocks, sum, q.busy, busy, q.exposed, want)
		}
		waits = waits || want > 0
	}
	if _, ok := w.l.ledger.Next(w.now); ok != waits {
		w.t.Fatalf("the ledger says that someone waits: %v; want %v", ok, waits)
	}
}

// drain serves all that waits, and nothing may be left.
func (w *laneWorld) drain() {
	for w.serve() || len(w.busy) > 0 {
		if len(w.busy) == 3 || !w.serve() {
			w.finish(0)
		}
		w.check()
	}
	for key, q := range w.l.queues {
		if len(q.items) > 0 {
			w.t.Fatalf("%s starves with %d requests", key, len(q.items))
		}
	}
}

// The lane and its ledger never disagree, whatever comes: nobody is named who
// has nothing to be sent, and nobody starves.
func TestLaneBooks(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		w := newLaneWorld(t)
		for range 300 {
			w.step(byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32()))
		}
		w.drain()
	}
}

// FuzzLane is TestLaneBooks with the fuzzer's events.
func FuzzLane(f *testing.F) {
	f.Add([]byte("\x00\x00\x01\x02\x00\x20\x06\x00\x00\x00\x00\x01\x07\x00\x00"))
	f.Add([]byte("\x00\x01\x01\x02\x01\x20\x02\x01\x21\x06\x00\x00\x06\x00\x00\x01\x01\x00\x07\x00\x00\x00\x01\x00\x02\x01\x05\x06\x00\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		w := newLaneWorld(t)
		for ; len(script) >= 3; script = script[3:] {
			w.step(script[0], script[1], script[2])
		}
		w.drain()
	})
}

// A queue takes so many requests and no more.
func TestLaneFull(t *testing.T) {
	t.Parallel()
	w := newLaneWorld(t)
	w.step(0, 0, 0)
	for i := range maxQueued + 10 {
		if got := w.l.queue(w.now, w.peers[0], item{w.roots[0], part{i, 0, 1}}); got != (i < maxQueued) {
			t.Fatalf("request %d: %v", i, got)
		}
	}
	w.drain()
}

// next hands out no more frames than there are slots, and ends with close.
func TestLaneSlots(t *testing.T) {
	t.Parallel()
	w := newLaneWorld(t)
	for i := range 5 {
		w.step(0, byte(i), 0)
		w.l.queue(w.now, w.peers[i], item{w.roots[0], part{0, 0, 32}})
	}
	out := make(chan *Session, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			to, _, ok := w.l.next()
			if !ok {
				return
			}
			out <- to
		}
	}()
	busy := []*Session{<-out, <-out, <-out}
	for range 17 {
		select {
		case <-out:
			t.Fatal("a frame without a slot")
		default:
		}
		w.l.vacate()
		w.l.done(time.Now(), busy[0], 1)
		busy = append(busy[1:], <-out)
	}
	w.l.close()
	<-ended
}

// Balances are bounded: what is worth least goes first.
func TestTrim(t *testing.T) {
	t.Parallel()
	m := map[peer.ID]Balance{}
	for i := range maxPeersKept + 100 {
		m[peer.ID(fmt.Sprintf("%06d", i))] = Balance{Received: int64(i % 1000), Sent: 1}
	}
	trim(m, gave)
	if len(m) != maxPeersKept {
		t.Errorf("%d left", len(m))
	}
	if _, ok := m["000999"]; !ok {
		t.Error("who gave most is forgotten")
	}
	if _, ok := m["000000"]; ok {
		t.Error("who gave nothing is kept")
	}
}
