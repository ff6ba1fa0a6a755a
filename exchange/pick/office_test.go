package pick

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// office is a few downloads on one LAN that share a line to a holder far away.
type office struct {
	now     time.Time
	all     []*desk
	turn    int
	wan     int // bytes that came over the line
	pieces  int
	size    int
	soon    []func() // what comes over the LAN, in the next step
	claimed int
}

type desk struct {
	key  PeerKey
	p    *Picker
	far  []Request // asked of the holder
	left int
	came map[int]int // blocks of a piece from afar
}

const holder = PeerKey("holder")

func newOffice(seed uint64, desks, pieces int, apart time.Duration) *office {
	o := &office{now: epoch, pieces: pieces, size: 1 << 20}
	sizes := make([]int, pieces)
	for i := range sizes {
		sizes[i] = o.size
	}
	for i := range desks {
		key := PeerKey(fmt.Sprint("desk", i))
		d := &desk{key: key, came: map[int]int{}, left: pieces}
		d.p = New(Config{Self: key}, sizes, rand.New(rand.NewPCG(seed, uint64(i))))
		d.p.WantAll(o.now)
		d.p.OnPeer(o.now, holder, WAN, 30*time.Millisecond)
		d.p.OnHave(o.now, holder, 0, pieces)
		o.all = append(o.all, d)
	}
	o.run(apart, 2.5e6) // before they know each other
	for _, d := range o.all {
		for _, e := range o.all {
			if d != e {
				d.p.OnPeer(o.now, e.key, LAN, time.Millisecond)
				for i := range pieces {
					if e.p.pieces[i].done {
						d.p.OnHave(o.now, e.key, i, 1)
					}
				}
			}
		}
	}
	return o
}

// run passes time, and reports whether all are done.
func (o *office) run(d time.Duration, rate float64) bool {
	const step = 5 * time.Millisecond
	room := 0.0
	for end := o.now.Add(d); o.now.Before(end); {
		o.now = o.now.Add(step)
		soon := o.soon
		o.soon = nil
		for _, f := range soon {
			f()
		}
		left := 0
		for _, d := range o.all {
			o.plan(d)
			left += d.left
		}
		if left == 0 {
			return true
		}
		for room += rate * step.Seconds(); room > 0; room -= 64 << 10 {
			if !o.serve() {
				room = 0
				break
			}
		}
	}
	return false
}

// plan does what a picker says.
func (o *office) plan(d *desk) {
	plan := d.p.Advance(o.now)
	for _, c := range plan.Cancels {
		kept := d.far[:0]
		for _, q := range d.far {
			if c.Peer != holder || q.Piece != c.Piece {
				kept = append(kept, q)
			}
		}
		d.far = kept
	}
	for _, q := range plan.Requests {
		if q.Again {
			continue // it comes without an offer
		}
		if q.Peer == holder {
			d.far = append(d.far, q)
			continue
		}
		o.soon = append(o.soon, func() { o.got(d, q.Peer, q.Piece, q.First, q.Count) })
	}
	for _, i := range plan.Claims {
		o.claimed++
		for _, e := range o.all {
			if e != d {
				o.soon = append(o.soon, func() { e.p.OnClaim(o.now, d.key, i, o.now.Add(ClaimTTL)) })
			}
		}
	}
}

// serve sends a block over the line, to one after the other.
func (o *office) serve() bool {
	for range o.all {
		d := o.all[o.turn%len(o.all)]
		o.turn++
		if len(d.far) == 0 {
			continue
		}
		q := &d.far[0]
		piece, first := q.Piece, q.First
		q.First, q.Count = q.First+1, q.Count-1
		if q.Count == 0 {
			d.far = d.far[1:]
		}
		o.wan += 64 << 10
		o.got(d, holder, piece, first, 1)
		return true
	}
	return false
}

func (o *office) got(d *desk, from PeerKey, i, first, n int) {
	d.p.OnBlocks(o.now, from, i, n)
	if first+n < o.size>>16 || d.p.pieces[i].done {
		return
	}
	d.p.OnPiece(o.now, from, i, true)
	d.left--
	for _, e := range o.all {
		if e != d {
			o.soon = append(o.soon, func() { e.p.OnHave(o.now, d.key, i, 1) })
		}
	}
}

// An office behind one line gets one copy over it, whatever its size, and that of
// the content.
func TestOffice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ desks, pieces int }{{2, 64}, {8, 64}, {20, 64}, {8, 16}, {4, 256}} {
		t.Run(fmt.Sprint(c.desks, " desks, ", c.pieces, " MiB"), func(t *testing.T) {
			t.Parallel()
			o := newOffice(1, c.desks, c.pieces, 0)
			done := o.run(time.Hour, 2.5e6)
			copies := float64(o.wan) / float64(c.pieces*o.size)
			took := o.now.Sub(epoch).Seconds()
			least := float64(c.pieces*o.size) / 2.5e6
			t.Logf("%.3f copies, %.2f of the least time, %d claims", copies, took/least, o.claimed)
			if !done || copies > 1.1 {
				t.Errorf("done is %v; %.3f copies came over the line", done, copies)
			}
			if took > 1.15*least+1 {
				t.Errorf("took %.1f s of %.1f", took, least)
			}
		})
	}
}

// Who claims and does not deliver holds nobody up for long, and not again.
func TestClaimsOfALiar(t *testing.T) {
	t.Parallel()
	o := newOffice(1, 1, 32, 0)
	d := o.all[0]
	d.p.OnPeer(o.now, "liar", LAN, time.Millisecond)
	for range 1000 {
		for i := range 32 {
			d.p.OnClaim(o.now, "liar", i, o.now.Add(ClaimTTL))
		}
		if o.run(time.Second, 2.5e6) {
			break
		}
	}
	took := o.now.Sub(epoch)
	if t.Logf("took %v", took); took > claimLong+20*time.Second {
		t.Errorf("took %v", took)
	}
}
