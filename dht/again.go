package dht

import (
	"cmp"
	"time"
)

// Limits of how often one download asks the DHT.
const (
	askAgainFirst = 10 * time.Second
	askAgainMost  = 10 * time.Minute

	// EnoughPeers is with how many peers that feed it a download asks no more.
	EnoughPeers = 5
)

// Again decides when a download looks for providers again: at the start and later
// only while it has fewer than 5 peers or is not fed as fast as it needs, with a pause
// that doubles from 10 s to 10 min. It knows no clock and is owned by the download. The
// zero value has not asked yet.
type Again struct {
	First, Most time.Duration // the pauses; 10 s and 10 min if zero

	asked time.Time
	pause time.Duration
}

// Asked takes in that a lookup was started.
func (a *Again) Asked(now time.Time) {
	first := cmp.Or(a.First, askAgainFirst)
	a.asked = now
	a.pause = min(max(first, 2*a.pause), max(first, cmp.Or(a.Most, askAgainMost)))
}

// Next returns when to start a lookup, which may be past; zero: not while
// nothing changes. peers is how many useful peers the download has, fed says
// that it gets what it needs. After a time with enough, the pause starts small
// again.
func (a *Again) Next(now time.Time, peers int, fed bool) (at time.Time) {
	if fed && peers >= EnoughPeers {
		a.pause = cmp.Or(a.First, askAgainFirst)
		return time.Time{}
	}
	if a.asked.IsZero() {
		return now
	}
	return a.asked.Add(a.pause)
}
