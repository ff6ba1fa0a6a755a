package sim

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"
)

// share is the part of a crowd that one core does.
//
// Nothing that a peer does reaches another before half a round trip has passed.
// So all shares may go on by that time without knowing of each other, which is a
// window, and then exchange what they sent. What changes more than one peer, as
// who comes and goes, is an event of the whole crowd, at which all shares stand
// still.
//
// Events at one time are ordered by whose event they came of, in an order that is
// another at each time, and those of one by the order in which they came. So what
// happens to a peer happens in the same order, whatever the shares, and the result
// is the same.
type share struct {
	number  int
	acts    *peer         // whose event happens; nil: the crowd's
	begun   uint64        // events that came of the crowd's own
	shares  []*Crowd      // of the whole crowd; nil before it runs
	ahead   time.Duration // length of a window
	sent    [2][][]event  // to other shares, in this window and the last
	window  int           // index of this one
	soonest time.Duration // the first of what was sent
	raised  []event       // for the whole crowd
	gains   []int         // pieces that somebody has since the last window
}

const never = time.Duration(math.MaxInt64)

// deal gives every peer to a share.
func (c *Crowd) deal() {
	n := c.cfg.Cores
	c.ahead = c.cfg.RTT / 2
	if c.origin != nil || c.ahead == 0 {
		n = 1 // the origin's line is everybody's
	}
	n = max(n, 1)
	for i := range n {
		s := &Crowd{cfg: c.cfg, sizes: c.sizes, peers: c.peers, origin: c.origin}
		s.share = share{number: i, ahead: c.ahead, soonest: never}
		for turn := range s.sent {
			s.sent[turn] = make([][]event, n)
		}
		c.shares = append(c.shares, s)
	}
	for i, p := range c.peers {
		p.home = c.shares[i%n]
	}
	if c.origin != nil {
		c.origin.home = c.shares[0]
	}
}

// Run lets time pass until everybody has everything, or the limit.
func (c *Crowd) Run() Result {
	c.deal()
	for _, p := range c.peers {
		c.after(p.spec.Arrives, func() { c.arrive(p) })
		if p.spec.Leaves > 0 {
			c.after(p.spec.Leaves, func() { c.leave(p) })
		}
	}
	run, stop := c.workers()
	defer stop()
	for c.lacking > 0 {
		own, next := c.first(), never
		for _, s := range c.shares {
			next = min(next, s.next())
		}
		if min(own, next) > c.cfg.Limit {
			break
		}
		if own <= next {
			c.happen(c.pop())
			continue
		}
		run(min(own, next+max(c.ahead, 1)))
		c.collect()
	}
	return c.result()
}

// next is when the next event of a share is.
func (c *Crowd) next() time.Duration { return min(c.soonest, c.first()) }

// collect takes what the shares told the whole crowd in a window.
func (c *Crowd) collect() {
	for _, s := range c.shares {
		c.lacking += s.lacking
		s.lacking = 0
		for _, piece := range s.gains {
			c.gain(piece)
		}
		s.gains = s.gains[:0]
		for _, ev := range s.raised {
			c.add(ev)
		}
		s.raised = s.raised[:0]
	}
}

// workers starts a goroutine for each share but the first. run has all of them
// do a window, which is too short to sleep before the next.
func (c *Crowd) workers() (run func(until time.Duration), stop func()) {
	var until time.Duration
	var windows, done atomic.Int64
	for _, s := range c.shares[1:] {
		go func() {
			for seen := int64(1); ; seen++ {
				await(func() bool { return windows.Load() >= seen })
				if until < 0 {
					done.Add(1)
					return
				}
				s.pass(until, c.shares)
				done.Add(1)
			}
		}()
	}
	run = func(u time.Duration) {
		until = u
		done.Store(0)
		windows.Add(1)
		if u >= 0 {
			c.shares[0].pass(u, c.shares)
		}
		await(func() bool { return int(done.Load()) == len(c.shares)-1 })
	}
	return run, func() { run(-1) }
}

// await returns when something is so. Mostly it is sooner than a sleep would end,
// unless another program has the core.
func await(so func() bool) {
	var since time.Time
	for spin := 0; !so(); spin++ {
		if spin%256 != 255 {
			continue
		}
		runtime.Gosched()
		switch now := time.Now(); {
		case since.IsZero():
			since = now
		case now.Sub(since) > 2*time.Millisecond:
			time.Sleep(100 * time.Microsecond)
		}
	}
}

// pass has the events of a share happen that come before a time.
func (c *Crowd) pass(until time.Duration, all []*Crowd) {
	last := c.window
	c.window, c.soonest = 1-last, never
	for i := range c.sent[c.window] {
		clear(c.sent[c.window][i])
		c.sent[c.window][i] = c.sent[c.window][i][:0]
	}
	for _, from := range all {
		for _, ev := range from.sent[last][c.number] {
			c.add(ev)
		}
	}
	for c.first() < until {
		ev := c.pop()
		c.acts = ev.peer
		c.happen(ev)
	}
}

func (c *Crowd) happen(ev event) {
	switch ev.kind {
	case call:
		ev.f(c)
	case heard:
		if ev.link.live {
			ev.f(c)
		}
	case sent:
		c.onSent(ev.peer)
	case entered:
		c.onEntered(ev)
	case arrived:
		c.onArrived(ev.link, ev.frame, int(ev.first), int(ev.count))
	case room:
		c.onRoom(ev)
	case acked:
		c.onAcked(ev.link, ev.frame)
	case think:
		ev.peer.thinks = -1
		c.think(ev.peer)
	case wake:
		c.wake(ev.peer)
	}
}

// after has f called when d has passed: it concerns the peer whose event happens,
// or the whole crowd.
func (c *Crowd) after(d time.Duration, f func()) {
	c.push(event{at: c.now + d, kind: call, peer: c.acts, f: func(*Crowd) { f() }})
}

// raise has f called, as an event of the whole crowd, when d has passed or as soon
// as may be.
func (c *Crowd) raise(d time.Duration, f func(c *Crowd)) {
	c.push(event{at: c.now + max(d, c.ahead), kind: call, f: f})
}

// push has an event happen where its peer is.
func (c *Crowd) push(ev event) {
	c.stamp(&ev)
	switch {
	case ev.peer == nil && c.acts != nil:
		c.raised = append(c.raised, ev)
	case ev.peer == nil || ev.peer.home == nil || ev.peer.home == c:
		c.add(ev)
	case c.acts == nil: // all shares stand still
		ev.peer.home.add(ev)
	default:
		to := &c.sent[c.window][ev.peer.home.number]
		*to = append(*to, ev)
		c.soonest = min(c.soonest, ev.at)
	}
}

// stamp gives an event its place among those at its time.
func (c *Crowd) stamp(ev *event) {
	if c.acts == nil {
		c.begun++
		ev.from, ev.seq = -1, c.begun
		return
	}
	c.acts.begun++
	ev.from, ev.seq = int32(c.acts.index), c.acts.begun
	ev.lot = mix(uint64(ev.at) ^ uint64(ev.from)<<48)
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// gain notes that a piece exists elsewhere than at a holder.
func (c *Crowd) gain(piece int) {
	if c.elsewhere[piece] {
		return
	}
	c.elsewhere[piece] = true
	if c.spread++; c.spread == len(c.sizes) {
		c.copies = c.holderCopies()
	}
}

// groups are the links of the others to a peer, those in one share together.
func (p *peer) groups() [][]*link {
	if p.grouped == len(p.links) {
		return p.byHome
	}
	p.grouped, p.byHome = len(p.links), nil
	at := map[*Crowd]int{}
	for _, l := range p.links {
		i, ok := at[l.other.home]
		if !ok {
			i = len(p.byHome)
			at[l.other.home] = i
			p.byHome = append(p.byHome, nil)
		}
		p.byHome[i] = append(p.byHome[i], l.back)
	}
	return p.byHome
}
