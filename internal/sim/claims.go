package sim

import (
	"slices"
	"time"
)

// relayMost is how often a claim is told on, exchange.MaxRelayed.
const relayMost = 2

// claim tells the peers of a downloader what it fetches from the origin, and again
// while it takes longer, after node/claims.go.
func (c *Crowd) claim(r *request) {
	p, left := r.by, []int(nil)
	for i := r.of.First; i < r.of.First+r.of.Count; i++ {
		if !p.has(i) {
			left = append(left, i)
		}
	}
	if p.picker == nil || len(left) == 0 || !slices.Contains(p.policy.requests, r) {
		return
	}
	c.tellClaim(p, nil, left, c.clock().Add(r.of.Claim), 0)
	c.after(r.of.Claim*2/3, func() { c.claim(r) })
}

// tellClaim tells the peers of p but one of a claim that was relayed so often.
func (c *Crowd) tellClaim(p, but *peer, pieces []int, until time.Time, relayed int) {
	for _, l := range p.links {
		if l.other != but {
			c.tell(l, func(c *Crowd) { c.onClaim(l.back, pieces, until, relayed) })
		}
	}
}

// onClaim takes a claim from a peer and tells it on as far as it is news.
func (c *Crowd) onClaim(l *link, pieces []int, until time.Time, relayed int) {
	p := l.self
	if p.picker == nil || p.policy == nil || l.asks == nil {
		return
	}
	heard := p.policy.core.OnClaim
	if relayed > 0 {
		heard = p.policy.core.OnRelayed
	}
	var news []int
	for _, i := range pieces {
		if heard(c.clock(), l.other.key, i, until) {
			news = append(news, i)
		}
	}
	if relayed < relayMost && len(news) > 0 {
		c.tellClaim(p, l.other, news, until, relayed+1)
	}
	c.poke(p)
}
