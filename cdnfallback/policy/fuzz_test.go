package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// epoch is when every test begins.
var epoch = time.Unix(1_700_000_000, 0)

const worldPieces = 90

// world is the other side of a policy under fuzzing.
type world struct {
	t       *testing.T
	p       *Policy
	now     time.Time
	want    [worldPieces]bool
	done    [worldPieces]bool
	asked   [worldPieces]bool
	flights []Spend
	flying  [worldPieces]bool
}

// FuzzPolicy plays a random string of events and holds after each: a piece is
// requested only if it is missing and not requested already, and while peers
// are asked for it only by the rules that may; requests stay within bounds;
// Deadline is not in the past; a second Advance is empty; the sets are what the
// state says. At last everybody leaves, and the origin completes the download.
func FuzzPolicy(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for class := range byte(3) {
		f.Add(class, []byte("\x00\x00\x00\x0d\x00\x10"))
		for range 8 {
			b := make([]byte, 600)
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			f.Add(class, b)
		}
	}
	f.Fuzz(func(t *testing.T, class byte, script []byte) {
		sizes := make([]int, worldPieces)
		for i := range sizes {
			sizes[i] = 1 + (i*77_777)%(2<<20)
		}
		cfg := Config{Class: Class(class % 3), Target: float64(class) * 1e5}
		w := &world{t: t, now: epoch, p: New(cfg, sizes, "self", rand.New(rand.NewPCG(3, 4)))}
		for n := 0; len(script) >= 3 && n < 2000; n++ {
			w.step(script[0], script[1], script[2])
			script = script[3:]
			w.check()
		}
		w.finish()
	})
}

func (w *world) step(op, a, b byte) {
	peer := fmt.Sprint(a % 6)
	piece := int(b) % (worldPieces + 1) // one too many: unknown pieces are ignored
	known := piece < worldPieces
	switch op % 16 {
	case 0:
		w.p.WantAll(w.now)
		for i := range w.want {
			w.want[i] = true
		}
	case 1, 2:
		w.p.Want(w.now, piece, w.now.Add(time.Duration(a)*50*time.Millisecond))
		if known {
			w.want[piece] = true
		}
	case 3:
		w.p.Forget(w.now, piece)
		if known {
			w.want[piece] = false
		}
	case 4:
		w.p.OnPeer(w.now, peer)
	case 5:
		w.p.OnGone(w.now, peer)
	case 6:
		w.p.OnCount(w.now, peer, piece)
	case 7:
		w.p.OnLooked(w.now, int(a%3))
	case 8:
		w.p.OnHolders(w.now, piece, int(a%3))
	case 9:
		w.p.OnAsked(w.now, piece, a%2 == 0)
		if known {
			w.asked[piece] = a%2 == 0
		}
	case 10:
		w.p.OnClaim(w.now, peer, piece, w.now.Add(time.Duration(a)*time.Second))
	case 11:
		w.p.OnBytes(w.now, int64(a)<<12)
		w.finished(piece, known)
	case 12:
		w.land(a%4 != 0)
	case 13, 14:
		w.now = w.now.Add(time.Duration(b) * 20 * time.Millisecond)
	case 15:
		w.p.OnOriginDown(w.now, w.now.Add(time.Duration(a)*10*time.Millisecond))
	}
}

func (w *world) finished(piece int, known bool) {
	w.p.Done(w.now, piece)
	if known {
		w.done[piece], w.flying[piece] = true, false
	}
}

// land ends the oldest request.
func (w *world) land(ok bool) {
	if len(w.flights) == 0 {
		w.p.OnOrigin(w.now, 5, 1000, true, 1) // unknown: ignored
		return
	}
	s := w.flights[0]
	w.flights = w.flights[1:]
	for i := s.First; i < s.First+s.Count; i++ {
		if ok {
			w.p.OnOriginPiece(w.now, i)
			w.finished(i, true)
		}
		w.flying[i] = false
	}
	w.p.OnOriginRate(w.now, 1e6, time.Millisecond)
	w.p.OnOrigin(w.now, s.First, s.Count, ok, int64(s.Count%2))
}

func (w *world) check() {
	w.t.Helper()
	for _, s := range w.p.Advance(w.now) {
		may := s.Reason == Due || s.Reason == Stall || s.Reason == Tail
		for i := s.First; i < s.First+s.Count; i++ {
			if !w.want[i] || w.done[i] || w.flying[i] || w.asked[i] && !may {
				w.t.Fatalf("%+v: piece %d wanted %v done %v flying %v asked %v", s, i, w.want[i], w.done[i], w.flying[i], w.asked[i])
			}
			w.flying[i] = true
		}
		w.flights = append(w.flights, s)
	}
	if len(w.flights) > 6 {
		w.t.Fatalf("%d requests in flight", len(w.flights))
	}
	if at := w.p.Deadline(); !at.IsZero() && !at.After(w.now) {
		w.t.Fatalf("deadline %v is not after now", at.Sub(w.now))
	}
	if again := w.p.Advance(w.now); len(again) > 0 {
		w.t.Fatalf("a second Advance has %+v", again)
	}
	w.p.Why(w.now)
	for i := range worldPieces {
		missing := w.want[i] && !w.done[i]
		idle := missing && !w.flying[i] && !w.asked[i]
		if w.p.missing.has(i) != missing || w.p.idle.has(i) != idle || w.p.orphans.has(i) && !idle {
			w.t.Fatalf("piece %d is in the wrong sets", i)
		}
	}
}

// finish has everybody leave and the origin answer.
func (w *world) finish() {
	w.t.Helper()
	for i := range 6 {
		w.p.OnGone(w.now, fmt.Sprint(i))
	}
	for i := range worldPieces {
		w.p.OnHolders(w.now, i, 0)
		w.p.OnAsked(w.now, i, false)
		w.asked[i] = false
	}
	w.p.OnLooked(w.now, 0)
	w.p.OnOriginDown(w.now, time.Time{})
	for range 5000 {
		w.check()
		if w.p.missing.len == 0 {
			return
		}
		if len(w.flights) > 0 {
			w.now = w.now.Add(time.Millisecond)
			w.land(true)
			continue
		}
		at := w.p.Deadline()
		if at.IsZero() {
			_, code := w.p.Why(w.now)
			w.t.Fatalf("%d pieces missing, no request and no deadline (%s)", w.p.missing.len, code)
		}
		w.now = at
	}
	w.t.Fatalf("not complete: %d pieces missing", w.p.missing.len)
}
