package peers

import (
	"cmp"
	"math/rand/v2"
	"time"
)

// Crowd is who was found for one root. It is not safe for use by several
// goroutines.
type Crowd struct {
	cfg  Config
	rng  *rand.Rand
	all  map[Key]*member
	live int
	busy int // attempts under way
	turn time.Time
	wake time.Time
}

// member is somebody who was found.
type member struct {
	key    Key
	how    How
	lot    uint64 // random: decides among equals
	state  state
	fails  int
	after  time.Time // not tried before
	path   Path
	trip   time.Duration
	since  time.Time // a peer
	total  int64     // bytes moved, as told last
	told   time.Time
	moved  time.Time // when something did
	recent float64   // bytes of about the last Every
}

type state uint8

const (
	waiting state = iota
	dialling
	peer
)

const (
	maxFails = 6                // in a row: then a candidate is forgotten
	maxRetry = 10 * time.Minute // between attempts
)

// New returns a crowd of nobody.
func New(cfg Config, rng *rand.Rand) *Crowd {
	cfg.Want = cmp.Or(cfg.Want, 50)
	cfg.Most = cmp.Or(cfg.Most, 80)
	cfg.AtOnce = cmp.Or(cfg.AtOnce, 24)
	cfg.Candidates = cmp.Or(cfg.Candidates, 512)
	cfg.Turnover = cmp.Or(cfg.Turnover, 0.04)
	cfg.Every = cmp.Or(cfg.Every, time.Minute)
	cfg.Young = cmp.Or(cfg.Young, time.Minute)
	cfg.Active = cmp.Or(cfg.Active, 15*time.Second)
	cfg.Retry = cmp.Or(cfg.Retry, 5*time.Second)
	return &Crowd{cfg: cfg, rng: rng, all: map[Key]*member{}}
}

// OnFound adds a candidate, or learns that a known one is to be preferred. It
// reports whether the candidate is new; false too when there is no room for it.
func (c *Crowd) OnFound(_ time.Time, key Key, how How) bool {
	if m := c.all[key]; m != nil {
		m.how = min(m.how, how)
		return false
	}
	if len(c.all) >= c.cfg.Candidates && !c.forgetWorst(how) {
		return false
	}
	c.all[key] = &member{key: key, how: how, lot: c.rng.Uint64()}
	return true
}

// forgetWorst makes room for a candidate found so: who failed, or was found in
// a less promising way, goes.
func (c *Crowd) forgetWorst(how How) bool {
	var worst *member
	for _, m := range c.all {
		if m.state == waiting && (m.fails > 0 || m.how > how) && (worst == nil || better(worst, m)) {
			worst = m
		}
	}
	if worst != nil {
		delete(c.all, worst.key)
	}
	return worst != nil
}

// OnFailed tells that an attempt to connect has failed, or that the peer has no
// part in the root.
func (c *Crowd) OnFailed(now time.Time, key Key) {
	m := c.all[key]
	if m == nil {
		return
	}
	c.leave(m)
	if m.fails++; m.fails >= maxFails {
		delete(c.all, key)
		return
	}
	m.after = now.Add(min(c.cfg.Retry<<(m.fails-1), maxRetry))
}

// OnPeer tells that somebody is a peer now, whoever connected.
func (c *Crowd) OnPeer(now time.Time, key Key, path Path, trip time.Duration) {
	m := c.all[key]
	if m == nil {
		m = &member{key: key, how: Told, lot: c.rng.Uint64()}
		c.all[key] = m
	}
	if m.state != peer {
		c.leave(m)
		m.state, m.since, m.fails = peer, now, 0
		m.total, m.recent, m.moved, m.told = 0, 0, time.Time{}, now
		c.live++
	}
	m.path, m.trip = path, trip
}

// OnGone tells that a peer is gone. It is tried again after a moment: lines break.
func (c *Crowd) OnGone(now time.Time, key Key) {
	if m := c.all[key]; m != nil && m.state == peer {
		c.leave(m)
		m.after = now.Add(c.cfg.Retry)
	}
}

// Forget removes somebody for good, such as a liar.
func (c *Crowd) Forget(key Key) {
	if m := c.all[key]; m != nil {
		c.leave(m)
		delete(c.all, key)
	}
}

// leave makes m a candidate that waits.
func (c *Crowd) leave(m *member) {
	switch m.state {
	case dialling:
		c.busy--
	case peer:
		c.live--
	}
	m.state = waiting
}

// Knows reports whether somebody is a candidate or a peer.
func (c *Crowd) Knows(key Key) bool { return c.all[key] != nil }

// Full reports whether no more peers are taken.
func (c *Crowd) Full() bool { return c.live >= c.cfg.Most }

// Live is the number of peers.
func (c *Crowd) Live() int { return c.live }

// Deadline is when Advance has something to say without an event; zero for never.
func (c *Crowd) Deadline() time.Time { return c.wake }
