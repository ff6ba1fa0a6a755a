package sim

import (
	"math/bits"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
	"github.com/shoal-p2p/shoal/exchange/pick"
	"github.com/shoal-p2p/shoal/exchange/upload"
)

// Of node/pieces.go and exchange/exchange.go.
const (
	maxStarted = 1024
	maxFlying  = 32 << 20
	haveBatch  = 20 * time.Millisecond
	lookEvery  = time.Second // as node's loop, for time-outs
	starved    = 5 * time.Second
	seekEvery  = 10 * time.Second // of a download that gets nothing, see node/lookup.go
)

// begin starts the download of a peer.
func (c *Crowd) begin(p *peer) {
	p.began, p.done, p.useful = c.now, -1, c.now
	if p.spec.Grabs {
		p.grab = newGrab()
		c.poke(p)
		return
	}
	p.picker = pick.New(pick.Config{Self: pick.PeerKey(p.key), Block: c.cfg.Block, MaxStarted: maxStarted, MaxBytes: maxFlying}, c.sizes, p.rng)
	p.picker.WantAll(c.clock())
	c.spends(p)
	c.poke(p)
}

// meet introduces the other end of a link to the cores: it has opened the root
// and said what it has.
func (c *Crowd) meet(l *link) {
	now, p := c.clock(), l.self
	if l.other.count < len(c.sizes) {
		l.other.says(func(first, count int) { p.uploads.OnHave(now, ledger.PeerKey(l.other.key), root, first, count) })
	}
	c.know(l)
}

// know introduces the other end to the picker.
func (c *Crowd) know(l *link) {
	now, p := c.clock(), l.self
	if p.grab != nil {
		l.other.says(func(first, count int) { p.grab.hear(l, first, count, len(c.sizes)) })
		c.poke(p)
	}
	if p.picker == nil {
		return
	}
	key := pick.PeerKey(l.other.key)
	l.asks = p.picker.OnPeer(now, key, c.cfg.Path, 2*l.delay)
	p.policy.met(c, l.other.key)
	l.other.says(func(first, count int) {
		p.picker.OnHave(now, key, first, count)
		p.policy.gained(c, p, l.other, first, count)
	})
	c.poke(p)
}

// poke has the cores of a peer asked soon. What happens within a tick costs one
// decision, as a burst of events does in node.
func (c *Crowd) poke(p *peer) {
	if p.thinks < 0 {
		tick := c.cfg.Tick
		if p.grab != nil {
			tick = max(tick, grabPause)
		}
		p.thinks = max(c.now, p.thought+tick)
		c.push(event{at: p.thinks, kind: think, peer: p})
	}
}

// pokeIf is poke, if the picker says that something may have to be decided.
func (c *Crowd) pokeIf(p *peer) {
	if p.policy != nil || p.picker.Due() {
		c.poke(p)
	}
}

// wakeAt has the cores of a peer asked at a time, if no event comes before. The
// timer is not moved when the time is: it looks when it is over.
func (c *Crowd) wakeAt(p *peer, at time.Duration) {
	p.wakes = at
	if p.timer < 0 || p.timer > at {
		p.timer = at
		c.push(event{at: at, kind: wake, peer: p})
	}
}

func (c *Crowd) wake(p *peer) {
	switch {
	case p.timer != c.now || !p.fetches(): // an earlier one took its place
	case p.wakes > c.now:
		p.timer = -1
		c.wakeAt(p, p.wakes)
	default:
		p.timer = -1
		c.think(p)
	}
}

// think is node's advancePieces: it turns decisions into requests.
func (c *Crowd) think(p *peer) {
	if p.grab != nil {
		p.thought = c.now
		c.grabs(p)
	}
	if p.picker == nil {
		return
	}
	p.thought = c.now
	c.learn(p)
	now := c.clock()
	if p.policy == nil && !p.picker.Due() && c.now < min(p.wakes, p.looked+lookEvery) {
		return
	}
	if c.now >= p.looked+lookEvery { // what ends after 30 s need not be looked at every time
		p.looked = c.now
		for _, key := range p.picker.Dead(now) {
			c.dropPeer(p.byKey[string(key)])
		}
		c.lookAgain(p)
	}
	plan := p.picker.Advance(now)
	for _, x := range plan.Cancels {
		if l := p.byKey[string(x.Peer)]; l != nil && l.drop(x.Piece) {
			c.unforward(l, x.Piece)
			c.cancel(l, x.Piece)
		}
	}
	for _, piece := range plan.Freed {
		p.policy.asked(c, piece, false)
	}
	c.request(p, plan.Requests)
	next := now.Add(lookEvery)
	for _, at := range []time.Time{p.policy.advance(c, p), p.picker.Deadline()} {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	c.wakeAt(p, max(next.Sub(epoch), c.now+c.cfg.Tick))
}

// request sends what the picker chose, a batch a peer.
func (c *Crowd) request(p *peer, plan []pick.Request) {
	for len(plan) > 0 {
		key := plan[0].Peer
		var asks []upload.Part
		rest := plan[:0]
		for _, q := range plan {
			if q.Peer == key {
				if q.First == 0 {
					p.policy.asked(c, q.Piece, true)
				}
				asks = append(asks, upload.Part{Root: root, Piece: q.Piece, First: q.First, Count: q.Count, Size: c.sizes[q.Piece], Urgent: q.Urgent, Tied: q.Tied})
			} else {
				rest = append(rest, q)
			}
		}
		plan = rest
		if l := p.byKey[string(key)]; l != nil && l.live {
			for _, a := range asks {
				if l.waiting(a.Piece) == nil && l.live {
					l.pending = append(l.pending, incoming{a.Piece, 1<<c.blocks(a.Piece) - 1})
				}
			}
			c.tell(l, func(c *Crowd) { c.onRequest(l.back, asks) })
		}
	}
}

// tell delivers a control message to the other end.
func (c *Crowd) tell(l *link, f func(c *Crowd)) {
	l.told = max(l.told, c.now+l.delay+c.standing(l.self)) // none overtakes another
	c.push(event{at: l.told, kind: heard, peer: l.other, link: l, f: f})
}

func (c *Crowd) cancel(l *link, piece int) {
	c.tell(l, func(c *Crowd) {
		l.other.uploads.Cancel(c.clock(), ledger.PeerKey(l.self.key), root, piece)
		c.dispatch(l.other)
	})
}

// onRequest queues what the other end asks for, or rejects it.
func (c *Crowd) onRequest(l *link, asks []upload.Part) {
	for _, a := range asks {
		_, a.Free = slices.BinarySearch(l.other.free, a.Piece)
		if (l.self.has(a.Piece) || l.self.partial[a.Piece] != nil) && !l.self.spec.Rides && l.self.uploads.Queue(c.clock(), ledger.PeerKey(l.other.key), a) {
			continue
		}
		c.tell(l, func(c *Crowd) {
			if !l.back.drop(a.Piece) {
				return
			}
			if l.other.grab != nil {
				delete(l.other.grab.asked[l.back], a.Piece)
				c.poke(l.other)
			}
			l.other.uploads.OnRefused(c.clock(), ledger.PeerKey(l.self.key))
			if l.other.picker != nil {
				c.unforward(l.back, a.Piece)
				l.other.picker.OnReject(c.clock(), pick.PeerKey(l.self.key), a.Piece)
				c.poke(l.other)
			}
		})
	}
	c.dispatch(l.self)
}

// onArrived takes a unit that came over the line; with the last one of a frame
// that is acknowledged.
func (c *Crowd) onArrived(l *link, f *frame, first, count int) {
	if !l.live {
		return
	}
	if l.request != nil {
		c.onOrigin(l.request, f, first+count)
		return
	}
	c.fill(l, f.Piece, first, count)
	if first+count == f.First+f.Count {
		c.push(event{at: c.now + l.delay + c.standing(l.self), kind: acked, peer: l.other, link: l, frame: f})
	}
}

// onAcked tells the sender of a frame that it came.
func (c *Crowd) onAcked(l *link, f *frame) {
	if l.live {
		l.other.uploads.OnAcked(c.clock(), ledger.PeerKey(l.self.key), c.span(f.Piece, f.First, f.Count))
		c.dispatch(l.other)
	}
}

// fill takes blocks into the piece that they belong to.
func (c *Crowd) fill(l *link, piece, first, count int) {
	p, n := l.self, c.span(piece, first, count)
	in := l.waiting(piece)
	if in == nil {
		p.wasted += int64(n)
		return
	}
	came := uint32(1<<count-1) << first
	fresh := bits.OnesCount32(in.missing & came)
	in.missing &^= came
	useful := min(n, fresh*c.cfg.Block)
	p.wasted += int64(n - useful)
	p.uploads.OnReceived(c.clock(), ledger.PeerKey(l.other.key), int64(useful))
	if fresh > 0 {
		p.useful = c.now
		if p.grab != nil {
			p.grab.came(c.now, l, piece)
			if in.missing == 0 {
				l.drop(piece)
				c.onVerified(l, piece)
			}
			return
		}
		p.picker.OnBlocks(c.clock(), pick.PeerKey(l.other.key), piece, fresh)
		c.pokeIf(p)
		c.forward(l, in)
	}
	if in.missing == 0 {
		l.drop(piece)
		c.after(c.cfg.Verify, func() { c.onVerified(l, piece) })
	}
}

// onVerified takes a piece that was hashed and written.
func (c *Crowd) onVerified(l *link, piece int) {
	p := l.self
	if !p.fetches() || !p.here {
		p.wasted += int64(c.sizes[piece])
		return
	}
	now := c.clock()
	if p.grab != nil {
		delete(p.grab.asked[l], piece)
	} else if l.live {
		p.picker.OnPiece(now, pick.PeerKey(l.other.key), piece, true)
	}
	if !p.add(piece) {
		p.wasted += int64(c.sizes[piece])
		return
	}
	p.policy.had(c, piece, int64(c.sizes[piece]))
	c.had(p, piece)
}

// had notes a piece that is here now.
func (c *Crowd) had(p *peer, piece int) {
	p.received += int64(c.sizes[piece])
	delete(p.partial, piece)
	p.uploads.OnWhole(c.clock(), root, piece)
	if p.grab != nil {
		c.grabbed(p, piece)
	} else {
		p.picker.Done(c.clock(), piece)
	}
	if !p.spec.Rides { // of no use to others
		c.gains = append(c.gains, piece)
	}
	if p.tells() {
		c.announce(p, piece)
	}
	if p.count == len(c.sizes) {
		c.finish(p)
		return
	}
	c.poke(p)
}

// finish ends a download; the peer goes on as a seed.
func (c *Crowd) finish(p *peer) {
	p.done, p.picker, p.grab, p.unasked = c.now, nil, nil, nil
	p.policy.stop()
	c.lacking--
	for _, l := range p.links {
		for _, in := range l.pending {
			c.cancel(l, in.piece)
		}
		l.pending = nil
	}
	if p.spec.Stay >= 0 {
		c.raise(p.spec.Stay, func(c *Crowd) { c.leave(p) })
	}
}

// announce has a piece told to all peers with the next batch.
func (c *Crowd) announce(p *peer, piece int) {
	p.fresh = append(p.fresh, piece)
	c.batchSoon(p)
}

// batchSoon has the next batch sent, if none is due.
func (c *Crowd) batchSoon(p *peer) {
	if p.batch {
		return
	}
	p.batch = true
	c.after(haveBatch, func() {
		fresh := p.fresh
		p.fresh, p.batch = nil, false
		if p.here {
			c.tellPartial(p)
			c.tellHave(p, fresh)
		}
	})
}

// tellHave sends have to all peers; those of a share cost one event.
func (c *Crowd) tellHave(p *peer, fresh []int) {
	wait := c.standing(p)
	for _, links := range p.groups() {
		c.push(event{at: c.now + links[0].delay + wait, kind: call, peer: links[0].self, f: func(c *Crowd) {
			for _, l := range links {
				c.acts = l.self
				c.onHave(l, fresh)
			}
		}})
	}
}

// news is what a peer was told that it has not told its cores.
type news struct {
	from  *link
	fresh []int
}

// onHave takes the other end's news. Most of it changes nothing that is asked, and
// waits until the cores are: so those of a peer are touched once for many.
func (c *Crowd) onHave(l *link, fresh []int) {
	p := l.self
	if !l.live {
		return
	}
	p.unsent = append(p.unsent, news{l, fresh})
	if p.grab != nil {
		for _, piece := range fresh {
			p.grab.hear(l, piece, 1, len(c.sizes))
		}
		c.poke(p)
	}
	if p.picker == nil {
		return
	}
	p.unasked = append(p.unasked, news{l, fresh})
	if p.policy != nil || p.picker.Idle() {
		c.poke(p)
	}
}

// learn tells the picker of a peer the news.
func (c *Crowd) learn(p *peer) {
	now, learned := c.clock(), c.learned[:0]
	for _, n := range p.unasked {
		if n.from.asks == nil {
			continue
		}
		for _, piece := range n.fresh {
			learned = append(learned, pick.News{From: n.from.asks, Piece: piece})
			if p.policy != nil {
				p.picker.OnNews(now, learned)
				learned = learned[:0]
				p.policy.gained(c, p, n.from.other, piece, 1)
			}
		}
	}
	p.picker.OnNews(now, learned)
	c.learned = learned
	clear(p.unasked)
	p.unasked = p.unasked[:0]
}

// learnCopies tells the server of a peer the news.
func (c *Crowd) learnCopies(p *peer) {
	counted := c.counted[:0]
	for _, n := range p.unsent {
		if n.from.serves == nil {
			continue
		}
		for _, piece := range n.fresh {
			counted = append(counted, upload.News{From: n.from.serves, Piece: piece})
		}
	}
	p.uploads.OnNews(c.clock(), root, counted)
	c.counted = counted
	clear(p.unsent)
	p.unsent = p.unsent[:0]
}

// tells reports whether a peer says what it gets.
func (p *peer) tells() bool { return !p.spec.Rides || p.spec.Claims && !p.spec.Lies }

// dropPeer gives up on a peer that sends nothing; its session stays, and a later
// lookup may bring it back.
func (c *Crowd) dropPeer(l *link) {
	c.unforwardAll(l)
	for _, in := range l.pending {
		c.cancel(l, in.piece)
	}
	l.pending, l.asks = nil, nil
	l.self.picker.OnGone(c.clock(), pick.PeerKey(l.other.key))
	l.self.policy.gone(c, l.self, l.other.key)
	c.dropped++
}
