package node

import (
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback/policy"
	"github.com/shoal-p2p/shoal/exchange"
)

// claimed is an origin request in flight, which peers wait for. Owned by run.
type claimed struct {
	spend policy.Spend
	until time.Time // as peers were told; zero: nobody was there to tell
}

// claimSpend tells peers what is being fetched from an origin now.
func (d *download) claimSpend(now time.Time, sp policy.Spend) {
	c := claimed{spend: sp}
	if len(d.peers) > 0 {
		c.until = now.Add(sp.Claim)
		d.exchange.Claim([]exchange.Run{{First: sp.First, Count: sp.Count}}, millis(sp.Claim), false)
	}
	d.claims = append(d.claims, c)
}

// unclaim ends a claim: what of it did not come is for others.
func (d *download) unclaim(sp policy.Spend) {
	at := slices.IndexFunc(d.claims, func(c claimed) bool { return c.spend == sp })
	if at < 0 {
		return
	}
	told := !d.claims[at].until.IsZero()
	d.claims = slices.Delete(d.claims, at, at+1)
	if left := d.without(sp); told && len(left) > 0 {
		d.exchange.Claim(left, 0, false)
	}
}

// without is the runs of a request that are not here yet.
func (d *download) without(sp policy.Spend) (runs []exchange.Run) {
	for i := sp.First; i < sp.First+sp.Count; i++ {
		n := len(runs)
		switch {
		case d.have.Has(i):
		case n > 0 && runs[n-1].First+runs[n-1].Count == i:
			runs[n-1].Count++
		default:
			runs = append(runs, exchange.Run{First: i, Count: 1})
		}
	}
	return runs
}

// tellClaims tells a peer that has just opened the root what is being fetched.
func (d *download) tellClaims(now time.Time, s *exchange.Session) {
	for i := range d.claims {
		c := &d.claims[i]
		if c.until.IsZero() {
			c.until = now.Add(c.spend.Claim)
		}
		if left := d.without(c.spend); c.until.After(now) && len(left) > 0 {
			d.exchange.ClaimTo(s, left, millis(c.until.Sub(now)))
		}
	}
}

// renewClaims claims again what takes longer than was expected, as long as it
// comes at all: else its request ends with an error.
func (d *download) renewClaims(now time.Time) {
	for i := range d.claims {
		c := &d.claims[i]
		if c.until.IsZero() || c.until.Sub(now) > c.spend.Claim/3 {
			continue
		}
		c.until = now.Add(c.spend.Claim)
		if left := d.without(c.spend); len(left) > 0 {
			d.exchange.Claim(left, millis(c.spend.Claim), false)
		}
	}
}

// onClaims leaves pieces to a peer, and tells the others of what is news.
func (d *download) onClaims(now time.Time, ev exchange.Claims) {
	r := d.of(ev.From)
	if r == nil || d.policy == nil {
		return
	}
	until := now.Add(time.Duration(ev.TTL) * time.Millisecond)
	var news []exchange.Run
	for _, run := range ev.Runs {
		for i := run.First; i < min(run.First+run.Count, len(d.table.Pieces)); i++ {
			if ev.Relayed == 0 && d.picker != nil {
				d.picker.OnClaim(now, key(r), i, until)
			}
			heard := d.policy.OnClaim
			if ev.Relayed > 0 {
				heard = d.policy.OnRelayed
			}
			if !heard(now, string(r.s.Peer), i, until) {
				continue
			}
			if n := len(news); n > 0 && news[n-1].First+news[n-1].Count == i {
				news[n-1].Count++
			} else {
				news = append(news, exchange.Run{First: i, Count: 1})
			}
		}
	}
	if ev.TTL > 0 && len(news) > 0 {
		d.exchange.Relay(ev, news)
	}
}

func millis(d time.Duration) int { return int(d / time.Millisecond) }
