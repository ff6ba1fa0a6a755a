package sim

import (
	"math/rand/v2"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback/policy"
	"github.com/shoal-p2p/shoal/exchange/upload"
)

// Origin is the publisher's HTTP server: its line is shared by all requests.
type Origin struct {
	Up     float64 // bytes/s
	Config policy.Config
}

// spending is a download's part in the origin, after node/origin.go; nil if there
// is none.
type spending struct {
	core     *policy.Policy
	requests []*request
}

// request is a range that the origin sends.
type request struct {
	of      policy.Spend
	by      *peer
	link    *link // from the origin
	began   time.Duration
	first   time.Duration // until the first unit
	came    int           // pieces
	written int
}

// spends begins the origin's part in a download.
func (c *Crowd) spends(p *peer) {
	if c.origin == nil {
		return
	}
	now := c.clock()
	p.policy = &spending{core: policy.New(c.cfg.Origin.Config, c.sizes, p.key, rand.New(rand.NewPCG(c.cfg.Seed, p.rng.Uint64())))}
	p.policy.core.WantAll(now)
	p.policy.core.OnLooked(now, len(p.links))
	p.policy.core.OnOriginDown(now, time.Time{})
}

func (s *spending) met(c *Crowd, key string) {
	if s != nil {
		s.core.OnPeer(c.clock(), key)
	}
}

// gained tells the policy of pieces that a peer has now.
func (s *spending) gained(c *Crowd, p, from *peer, first, count int) {
	if s == nil {
		return
	}
	for i := first; i < first+count; i++ {
		s.core.OnHolders(c.clock(), i, p.picker.Holders(i))
	}
	s.core.OnCount(c.clock(), from.key, from.count)
}

func (s *spending) gone(c *Crowd, p *peer, key string) {
	if s == nil {
		return
	}
	s.core.OnGone(c.clock(), key)
	for i := range c.sizes {
		s.core.OnHolders(c.clock(), i, p.picker.Holders(i))
	}
}

func (s *spending) asked(c *Crowd, piece int, asked bool) {
	if s != nil {
		s.core.OnAsked(c.clock(), piece, asked)
	}
}

// had tells the policy of a piece that is here, from a peer if bytes is not zero.
func (s *spending) had(c *Crowd, piece int, bytes int64) {
	if s == nil {
		return
	}
	if bytes > 0 {
		s.core.OnBytes(c.clock(), bytes)
	} else {
		s.core.OnOriginPiece(c.clock(), piece)
	}
	s.core.Done(c.clock(), piece)
}

// advance starts what the policy wants from the origin.
func (s *spending) advance(c *Crowd, p *peer) time.Time {
	if s == nil {
		return time.Time{}
	}
	for _, sp := range s.core.Advance(c.clock()) {
		c.spend(p, sp)
	}
	return s.core.Deadline()
}

// spend starts one request and tells the others of it.
func (c *Crowd) spend(p *peer, sp policy.Spend) {
	for i := range sp.Count {
		p.picker.Hold(c.clock(), sp.First+i, true)
	}
	l := &link{self: c.origin, other: p, delay: c.cfg.RTT / 2, live: true, window: c.cfg.Window + int(c.origin.up*c.cfg.RTT.Seconds())}
	r := &request{of: sp, by: p, link: l, began: c.now}
	l.back = &link{self: p, other: c.origin, back: l, delay: l.delay, live: true, request: r}
	p.policy.requests = append(p.policy.requests, r)
	c.claim(r)
	c.after(2*l.delay, func() {
		for i := range sp.Count {
			if p.picker != nil {
				c.put(l, &frame{Part: upload.Part{Piece: sp.First + i, Count: c.blocks(sp.First + i)}, vacated: true})
			}
		}
	})
}

// onOrigin takes a unit of a request.
func (c *Crowd) onOrigin(r *request, f *frame, last int) {
	if r.first == 0 {
		r.first = c.now - r.began
	}
	if last < f.First+f.Count {
		return
	}
	r.came++
	c.after(c.cfg.Verify, func() {
		r.written++
		c.onPiece(r.by, f.Piece)
		if r.written == r.of.Count && r.by.picker != nil {
			c.onSpent(r)
		}
	})
}

// onPiece takes a piece of the origin that was hashed and written.
func (c *Crowd) onPiece(p *peer, piece int) {
	if p.picker == nil || !p.add(piece) {
		p.wasted += int64(c.sizes[piece])
		return
	}
	p.policy.had(c, piece, 0)
	c.had(p, piece)
}

func (c *Crowd) onSpent(r *request) {
	p, now := r.by, c.clock()
	for i := range r.of.Count {
		p.picker.Hold(now, r.of.First+i, false)
	}
	bytes := c.span(r.of.First, 0, c.blocks(r.of.First)) * r.of.Count
	p.policy.core.OnOriginRate(now, float64(bytes)/(c.now-r.began).Seconds(), r.first)
	p.policy.core.OnOrigin(now, r.of.First, r.of.Count, true, int64(bytes))
	p.policy.core.OnOriginDown(now, time.Time{})
	p.policy.requests = without(p.policy.requests, r)
	c.poke(p)
}

// stop ends the requests of a peer: no more than what is on the line is sent.
func (s *spending) stop() {
	if s == nil {
		return
	}
	for _, r := range s.requests {
		l := r.link
		switch {
		case len(l.frames) == 0:
		case l.frames[0].sent > l.frames[0].gone:
			l.frames[0].Count = l.frames[0].sent
			l.frames = l.frames[:1]
		default:
			l.frames = nil
			l.self.ready = without(l.self.ready, l)
		}
	}
	s.requests = nil
}
