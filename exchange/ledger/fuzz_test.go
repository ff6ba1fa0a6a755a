package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// epoch is when every test begins.
var epoch = time.Unix(1_700_000_000, 0)

// FuzzLedger plays a random string of events and holds after each: Next names
// a peer that waits, and names one whenever anybody does (work conserving);
// balances are the sums of what was told; nobody becomes an insider without being
// counted by Insiders; served one by one, everybody's queue
// ends.
func FuzzLedger(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		b := make([]byte, 400)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		w := &world{t: t, l: New(Config{}, rand.New(rand.NewPCG(3, 4))), now: epoch,
			queued: map[PeerKey]int64{}, balance: map[PeerKey]Balance{}, inside: map[PeerKey]bool{}}
		for len(script) >= 3 {
			w.step(script[0], script[1], int64(script[2])<<10)
			script = script[3:]
			w.check()
		}
		w.finish()
	})
}

// world is the other side of a ledger under fuzzing.
type world struct {
	t       *testing.T
	l       *Ledger
	now     time.Time
	queued  map[PeerKey]int64
	balance map[PeerKey]Balance
	inside  map[PeerKey]bool // as of so many insiders
	of      uint64
}

func (w *world) step(op, who byte, n int64) {
	peer := PeerKey(fmt.Sprint(who % 7))
	b := w.balance[peer]
	switch op % 13 {
	case 0, 1:
		w.l.Queue(w.now, peer, n)
		w.queued[peer] += n
	case 2:
		w.l.QueueFree(w.now, peer, n)
		w.queued[peer] += n
	case 3:
		w.l.Unqueue(w.now, peer, n)
		w.queued[peer] = max(0, w.queued[peer]-n)
	case 4:
		w.l.UnqueueFree(w.now, peer, n)
		w.queued[peer] = max(0, w.queued[peer]-n)
	case 5:
		w.l.OnReceived(w.now, peer, n)
		w.balance[peer] = Balance{b.Received + n, b.Sent}
	case 6:
		w.l.OnGone(w.now, peer)
		delete(w.queued, peer)
		delete(w.balance, peer)
	case 7:
		w.l.Class(peer, Class(n>>10%2))
	case 8:
		w.l.Prefix(peer, fmt.Sprint(n>>10%3))
	case 9:
		w.l.Value(peer, float64(n>>10)/16)
	case 10:
		w.now = w.now.Add(time.Duration(n) * time.Millisecond) // up to 4 minutes
	case 11:
		w.l.Restore(peer, Balance{n, int64(who) << 12})
		w.balance[peer] = Balance{n, int64(who) << 12}
	case 12:
		w.l.OnPassed(w.now, peer, n)
	}
}

func (w *world) check() {
	w.t.Helper()
	for who := range 7 {
		peer := PeerKey(fmt.Sprint(who))
		inside := w.l.Standing(peer) == Insider
		if inside && !w.inside[peer] && w.of == w.l.Insiders() {
			w.t.Fatalf("%s became an insider, and nothing tells of it", peer)
		}
		w.inside[peer] = inside
	}
	w.of = w.l.Insiders()
	waiting := false
	for peer, n := range w.queued {
		waiting = waiting || n > 0
		if got := w.l.Balance(peer); got != w.balance[peer] {
			w.t.Fatalf("balance of %s is %v, want %v", peer, got, w.balance[peer])
		}
	}
	peer, ok := w.l.Next(w.now)
	if ok != waiting {
		w.t.Fatalf("Next has %v while somebody waits: %v", ok, waiting)
	}
	if ok && w.queued[peer] == 0 {
		w.t.Fatalf("Next names %s, who waits for nothing", peer)
	}
}

func (w *world) finish() {
	w.t.Helper()
	for range 10_000 {
		w.check()
		peer, ok := w.l.Next(w.now)
		if !ok {
			return
		}
		n := min(w.queued[peer], 64<<10)
		w.l.Unqueue(w.now, peer, n)
		w.l.OnSent(w.now, peer, n)
		w.queued[peer] -= n
		b := w.balance[peer]
		w.balance[peer] = Balance{b.Received, b.Sent + n}
		w.now = w.now.Add(50 * time.Millisecond)
	}
	w.t.Fatal("the queues do not end")
}
