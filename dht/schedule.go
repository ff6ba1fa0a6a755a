package dht

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/ipfs/go-cid"
)

const (
	// announceBurst roots are announced at once, more of them announceRate a
	// second, which with one peer is 2 kB/s and half a per cent of a core (scripts/bench-roots.sh):
	// 50,000 roots take three and a half hours, and their records hold two days.
	announceBurst = 64
	announceRate  = 4
	// Without anybody to tell, all roots wait together, noPeersFirst to
	// noPeersMost; a root that failed for another reason waits alone, failFirst
	// to failMost. Each wait is twice the one before.
	noPeersFirst, noPeersMost = 250 * time.Millisecond, time.Minute
	failFirst, failMost       = 10 * time.Second, 30 * time.Minute
	// againFirst to againMost is the least time between two times that all roots
	// are announced again: it grows while the causes keep coming.
	againFirst, againMost = 2 * time.Second, 10 * time.Minute
)

// schedule decides which root to announce when. It knows no clock and is owned
// by whoever calls it.
type schedule struct {
	every time.Duration // between two announcements of a root
	rng   *rand.Rand    // spreads them; nil: not at all

	roots map[string]*announcement // by multihash: what the DHT goes by
	queue announcements            // of roots, those not in flight
	added int                      // roots ever added

	hold     time.Time     // nothing is due before: there was nobody to tell
	holdStep time.Duration // how long the last hold was

	passes pace // when all roots become due
}

// pace is when something that is asked for often is done: the first time at once,
// then less often the more often it is asked for.
type pace struct {
	first, most time.Duration // least time between two; it doubles
	at          time.Time     // when it is due; zero: not planned
	last        time.Time     // when it was begun
	gap         time.Duration // least time until the next
}

// plan asks for it.
func (p *pace) plan(now time.Time) {
	if !p.at.IsZero() {
		return
	}
	if now.Sub(p.last) > p.most {
		p.gap = 0
	}
	p.at = now
	if at := p.last.Add(p.gap); now.Before(at) {
		p.at = at
	}
}

// due says whether it is to begin.
func (p *pace) due(now time.Time) bool { return !p.at.IsZero() && !now.Before(p.at) }

// begin says that it has begun.
func (p *pace) begin(now time.Time) {
	p.at, p.last = time.Time{}, now
	p.gap = min(max(p.first, 2*p.gap), p.most)
}

// announcement is the state of one root.
type announcement struct {
	root  cid.Cid
	order int // of being added
	due   time.Time
	index int           // in the queue; -1 while in flight
	fails time.Duration // last wait after a failure
	done  time.Time     // when it was last announced; zero: never
	err   error         // why the last attempt failed
	stale bool          // became due while in flight
}

func newSchedule(every time.Duration, rng *rand.Rand) *schedule {
	return &schedule{
		every: every, rng: rng, roots: make(map[string]*announcement),
		passes: pace{first: againFirst, most: againMost},
	}
}

// add makes roots due now, a large number of them one after the other.
func (s *schedule) add(now time.Time, roots []cid.Cid) {
	n := 0
	for _, r := range roots {
		if _, known := s.roots[string(r.Hash())]; known || !r.Defined() {
			continue
		}
		s.added++
		a := &announcement{root: r, order: s.added, due: now.Add(paced(n))}
		s.roots[string(r.Hash())] = a
		heap.Push(&s.queue, a)
		n++
	}
}

// paced is how long the n-th of many roots that become due together waits.
func paced(n int) time.Duration {
	return time.Duration(max(0, n+1-announceBurst)) * (time.Second / announceRate)
}

// remove forgets roots. Their records elsewhere end with their validity.
func (s *schedule) remove(roots []cid.Cid) {
	for _, r := range roots {
		a := s.roots[string(r.Hash())]
		if a == nil {
			continue
		}
		delete(s.roots, string(r.Hash()))
		if a.index >= 0 {
			heap.Remove(&s.queue, a.index)
		}
	}
}

// again plans that all roots are announced once more: the addresses have
// changed, or there are others to tell. The first time this happens at once,
// then less often the more often it is called.
func (s *schedule) again(now time.Time) {
	s.hold, s.holdStep = time.Time{}, 0
	s.passes.plan(now)
}

// pass makes all roots due, those never announced and those due sooner first.
func (s *schedule) pass(now time.Time) {
	s.passes.begin(now)
	sorted := s.queue
	s.queue = nil
	for n := 0; len(sorted) > 0; n++ {
		a := heap.Pop(&sorted).(*announcement)
		if at := now.Add(paced(n)); at.Before(a.due) {
			a.due = at
		}
		a.fails = 0
		heap.Push(&s.queue, a)
	}
	for _, a := range s.roots {
		if a.index < 0 {
			a.stale = true
		}
	}
}

// advance returns up to most roots to announce now, which are in flight until
// finished is called for each.
func (s *schedule) advance(now time.Time, most int) []cid.Cid {
	if s.passes.due(now) {
		s.pass(now)
	}
	if now.Before(s.hold) {
		return nil
	}
	var out []cid.Cid
	for len(out) < most && len(s.queue) > 0 && !now.Before(s.queue[0].due) {
		a := heap.Pop(&s.queue).(*announcement)
		out = append(out, a.root)
	}
	return out
}

// deadline is when advance has something to say; zero: only after another call.
func (s *schedule) deadline() time.Time {
	var at time.Time
	if len(s.queue) > 0 {
		if at = s.queue[0].due; at.Before(s.hold) {
			at = s.hold
		}
	}
	if pass := s.passes.at; !pass.IsZero() && (at.IsZero() || pass.Before(at)) {
		at = pass
	}
	return at
}

// finished takes in the result of an announcement.
func (s *schedule) finished(now time.Time, root cid.Cid, err error) {
	a := s.roots[string(root.Hash())]
	if a == nil || a.index >= 0 {
		return // removed, and perhaps added again, in the meantime
	}
	a.err = err
	switch {
	case err == nil:
		a.done, a.fails = now, 0
		// Up to a tenth sooner, so that roots added together drift apart.
		a.due = now.Add(s.every)
		if s.rng != nil {
			a.due = a.due.Add(-time.Duration(s.rng.Int64N(int64(s.every)/10 + 1)))
		}
		s.holdStep = 0
		if a.stale {
			a.due = now
		}
	case errors.Is(err, ErrNoPeers):
		a.due = now
		if !now.Before(s.hold) {
			s.holdStep = min(max(noPeersFirst, 2*s.holdStep), noPeersMost)
			s.hold = now.Add(s.holdStep)
		}
	default:
		a.fails = min(max(failFirst, 2*a.fails), failMost)
		a.due = now.Add(a.fails)
	}
	a.stale = false
	heap.Push(&s.queue, a)
}

// announcements is a heap by due time, then by the order of being added.
type announcements []*announcement

func (q announcements) Len() int { return len(q) }
func (q announcements) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].order < q[j].order
}
func (q announcements) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}
func (q *announcements) Push(x any) {
	a := x.(*announcement)
	a.index = len(*q)
	*q = append(*q, a)
}
func (q *announcements) Pop() any {
	old := *q
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	a.index = -1
	return a
}
