package dht

import (
	"time"

	mh "github.com/multiformats/go-multihash"
)

const (
	// sweepBatch is how many keys are announced in one batch: enough for a dozen in
	// each region of a swarm of 10,000 nodes, and few enough to be held in memory.
	sweepBatch = 8192
	// maxSources bounds what is enumerated apart: beyond, all keys are swept.
	maxSources = 64
	// Keys that come one by one, as pieces do in a download, wait freshWait for
	// company, and between two batches of them freshFirst to freshMost, more the
	// longer it goes on: each batch begins with a look at the swarm.
	freshWait             = 250 * time.Millisecond
	freshFirst, freshMost = time.Second, 30 * time.Second
)

// Keys yields what is to be announced, as multihashes, until all are told or
// yield returns false. It may yield a key twice, reads no more ahead than it
// needs, and returns why it could not tell all.
type Keys func(yield func(mh.Multihash) bool) error

// sweepPlan decides when to announce which keys. It knows no clock and is owned
// by whoever calls it.
type sweepPlan struct {
	every time.Duration // between two sweeps of all keys

	all     pace
	some    pace
	fresh   []mh.Multihash // at most sweepBatch
	sources []Keys         // at most maxSources

	last  time.Time     // end of the last sweep of all keys that worked
	fails time.Duration // last wait after a failure
	hold  time.Time     // nothing is due before
}

func newSweepPlan(now time.Time, every time.Duration) *sweepPlan {
	return &sweepPlan{
		every: every, last: now,
		all:  pace{first: againFirst, most: againMost, at: now},
		some: pace{first: freshFirst, most: freshMost},
	}
}

// add takes in single keys.
func (p *sweepPlan) add(now time.Time, keys []mh.Multihash) {
	if room := sweepBatch - len(p.fresh); len(keys) > room {
		keys = keys[:room]
		p.all.plan(now) // for the rest, and not sooner than its pace allows
	}
	p.fresh = append(p.fresh, keys...)
	p.some.plan(now.Add(freshWait))
}

// addSource takes in keys to enumerate.
func (p *sweepPlan) addSource(now time.Time, keys Keys) {
	if len(p.sources) == maxSources {
		p.all.plan(now)
		return
	}
	p.sources = append(p.sources, keys)
	p.some.plan(now)
}

// again plans that all keys are announced once more.
func (p *sweepPlan) again(now time.Time) {
	p.hold, p.fails, p.all.at = time.Time{}, 0, time.Time{} // a wait after a failure is over
	p.all.plan(now)
}

// sweepJob is what to announce now.
type sweepJob struct {
	all     bool
	fresh   []mh.Multihash
	sources []Keys
}

// next returns a job if one is due; finished is called before next is again.
func (p *sweepPlan) next(now time.Time) (sweepJob, bool) {
	switch {
	case now.Before(p.deadline()):
		return sweepJob{}, false
	case p.all.due(now) || !now.Before(p.last.Add(p.every)):
		p.all.begin(now)
		p.some.at, p.fresh, p.sources = time.Time{}, nil, nil // they are among all
		return sweepJob{all: true}, true
	}
	job := sweepJob{fresh: p.fresh, sources: p.sources}
	p.some.begin(now)
	p.fresh, p.sources = nil, nil
	return job, true
}

// deadline is when next has something to say; never zero.
func (p *sweepPlan) deadline() time.Time {
	at := p.last.Add(p.every)
	for _, t := range []time.Time{p.all.at, p.some.at} {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	if at.Before(p.hold) {
		at = p.hold
	}
	return at
}

// finished takes in how a job ended. After a failure all keys are swept: first
// soon, then less and less often, at once when again is called.
func (p *sweepPlan) finished(now time.Time, job sweepJob, err error, nobody bool) {
	if err == nil {
		p.fails = 0
		if job.all {
			p.last = now
		}
		return
	}
	first, most := failFirst, failMost
	if nobody {
		first, most = noPeersFirst, noPeersMost
		p.all.gap = 0 // nothing was sent, so nothing need be spared
	}
	p.fails = min(max(first, 2*p.fails), most)
	p.hold = now.Add(p.fails)
	p.all.at = p.hold
}
