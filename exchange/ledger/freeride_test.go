package ledger

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// town is a crowd in which, once a tick, everybody who has something gives a
// piece to whom the ledger names. Who is done leaves, but for the holder.
type town struct {
	rng    *rand.Rand
	now    time.Time
	pieces int
	all    []*citizen
	copies []int
}

type citizen struct {
	l     *Ledger
	rider bool
	place string    // address prefix
	names []PeerKey // identities; the first is used, or all
	sees  map[*citizen]bool
	has   []bool
	got   int
	done  int                // tick
	asked map[PeerKey]string // how names wait here
	first map[int]*citizen   // to whom it gave a piece that nobody else had

}

// ways are what a free-rider does; none gives anything.
type ways struct {
	everyone  bool // knows all, while others know some
	whitewash int  // takes a new identity every so many ticks
	names     int  // identities at once, on one address

}

const (
	citizens = 30
	riders   = 6
	view     = 20
)

func newTown(seed uint64, riders int, w ways) *town {
	t := &town{rng: rand.New(rand.NewPCG(seed, 7)), now: epoch, pieces: 160, copies: make([]int, 160)}
	for i := range citizens + riders + 1 {
		c := &citizen{
			l: New(Config{}, t.rng), rider: i > citizens, place: fmt.Sprint("198.51.", i), has: make([]bool, t.pieces),
			sees: map[*citizen]bool{}, asked: map[PeerKey]string{}, first: map[int]*citizen{}, names: []PeerKey{PeerKey(fmt.Sprint("c", i))},
		}
		for n := 1; c.rider && n < w.names; n++ {
			c.names = append(c.names, PeerKey(fmt.Sprint("c", i, "name", n)))
		}
		t.all = append(t.all, c)
	}
	for i := range t.pieces {
		t.all[0].has[i] = true
	}
	t.all[0].got = t.pieces
	for i, c := range t.all {
		for _, j := range t.rng.Perm(len(t.all)) {
			if other := t.all[j]; j != i && (j == 0 || len(c.sees) < view || c.rider && w.everyone) {
				c.sees[other], other.sees[c] = true, true
			}
		}
	}
	return t
}

// run lets ticks pass until everybody is done, and returns the medians of the
// ticks that citizens and riders took.
func (t *town) run(w ways) (honest, riding float64) {
	for tick := 1; tick < 5000; tick++ {
		t.now = t.now.Add(time.Second)
		if w.whitewash > 0 && tick%w.whitewash == 0 {
			t.rename(tick)
		}
		left := 0
		for _, i := range t.rng.Perm(len(t.all)) {
			if c := t.all[i]; !c.rider && c.done == 0 || i == 0 {
				t.serve(c, tick)
			}
		}
		for _, c := range t.all[1:] {
			if c.done == 0 {
				left++
			}
		}
		if left == 0 {
			break
		}
	}
	var a, b []int
	for _, c := range t.all[1:] {
		if c.rider {
			b = append(b, c.done)
		} else {
			a = append(a, c.done)
		}
	}
	return median(a), median(b)
}

func median(n []int) float64 {
	slices.Sort(n)
	if len(n) == 0 {
		return 0
	}
	return float64(n[len(n)/2])
}

// rename gives each rider a new identity, and the old one is gone.
func (t *town) rename(tick int) {
	for _, c := range t.all {
		if !c.rider {
			continue
		}
		for _, other := range t.all {
			for _, name := range c.names {
				other.queue(t.now, name, "")
				other.l.OnGone(t.now, name)
			}
		}
		c.names = []PeerKey{PeerKey(fmt.Sprint(c.place, " since ", tick))}
	}
}

// serve has c give one piece away.
func (t *town) serve(c *citizen, tick int) {
	waiting, giver := map[PeerKey]*citizen{}, false
	for _, other := range t.all {
		if c.sees[other] && other.done == 0 && other != t.all[0] && t.lacks(c, other, nil) >= 0 {
			for _, name := range other.names {
				waiting[name] = other
				giver = giver || c.l.Balance(name).Received > 0
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.asked)) {
		if waiting[name] == nil {
			c.queue(t.now, name, "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		other := waiting[name]
		c.l.Prefix(name, other.place)
		why := "queued"
		if giver && c.l.Balance(name).Received == 0 && t.lacks(c, other, FreeSet(other.place, "root", t.pieces)) >= 0 {
			why = "free"
		}
		c.queue(t.now, name, why)
	}
	if name, ok := c.l.Next(t.now); ok {
		to := waiting[name]
		var only []int
		if c.l.Served(name) == Free {
			only = FreeSet(to.place, "root", t.pieces)
		}
		c.queue(t.now, name, "")
		t.give(c, to, name, t.lacks(c, to, only), tick)
	}
}

// queue sets how a name waits at c: not, for any piece, or for a free one.
func (c *citizen) queue(now time.Time, name PeerKey, why string) {
	const piece = 1 << 20
	old := c.asked[name]
	if old == why {
		return
	}
	switch old {
	case "queued":
		c.l.Unqueue(now, name, piece)
	case "free":
		c.l.UnqueueFree(now, name, piece)
	}
	switch why {
	case "queued":
		c.l.Queue(now, name, piece)
	case "free":
		c.l.QueueFree(now, name, piece)
	}
	c.asked[name] = why
	if why == "" {
		delete(c.asked, name)
	}
}

func (t *town) give(from, to *citizen, name PeerKey, i, tick int) {
	const piece = 1 << 20
	to.has[i] = true
	if t.copies[i] == 0 {
		from.first[i] = to
	}
	t.copies[i]++
	for _, c := range t.all { // who gave it to from, and alone, sees that it is passed on
		if c != from && c.first[i] == from && c.sees[to] {
			c.l.OnPassed(t.now, from.names[0], piece)
			delete(c.first, i)
		}
	}
	from.l.OnSent(t.now, name, piece)
	to.l.OnReceived(t.now, from.names[0], piece)
	if to.got++; to.got == t.pieces {
		to.done = tick
	}
}

// lacks is the rarest piece that from has and to lacks, of those in only if that
// is not nil; -1 if there is none.
func (t *town) lacks(from, to *citizen, only []int) int {
	best := -1
	for i := range t.pieces {
		if from.has[i] && !to.has[i] && (only == nil || slices.Contains(only, i)) && (best < 0 || t.copies[i] < t.copies[best]) {
			best = i
		}
	}
	return best
}

// Free-riders, a sixth of the crowd, need at least twice the time of those who
// give, whatever they try, and these hardly notice them.
func TestFreeRiders(t *testing.T) {
	t.Parallel()
	alone, _ := newTown(1, 0, ways{}).run(ways{})
	for name, w := range map[string]ways{
		"passive":                       {},
		"knows everyone":                {everyone: true},
		"a new identity every 10 ticks": {whitewash: 10, everyone: true},
		"20 identities on one address":  {names: 20, everyone: true},
		"says that it holds nothing":    {}, // as passive: what one says to hold orders nobody
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			honest, riding := newTown(1, riders, w).run(w)
			t.Logf("who gives needs %.0f ticks, %.2f of what it is without riders; riders %.2f times as long", honest, honest/alone, riding/honest)
			if riding < 2*honest {
				t.Errorf("riders need %.2f times as long", riding/honest)
			}
			if honest > 1.08*alone {
				t.Errorf("who gives needs %.2f times as long as without riders", honest/alone)
			}
		})
	}
}
