package policy

import "time"

const (
	startBytes = 8 << 20                // of the rule start; more only while peers that hold all have sent nothing
	knownWait  = 500 * time.Millisecond // peers that are known get this before an interactive fetch starts at the origin
	tick       = 250 * time.Millisecond // how often rules that depend on time are asked
	firstRun   = 2 << 20                // of a fetch with nobody known; doubles with each request that ends well
	tailPieces = 2
	tailCrowd  = 20 // peers that a background fetch must be behind of
	deadlines  = 32 // earliest deadlines looked at
)

// Advance returns the requests to start now. Without an event and before
// Deadline, a second call returns nothing.
func (p *Policy) Advance(now time.Time) []Spend {
	p.clock(now)
	p.expire()
	if !p.changed && (p.next.IsZero() || p.now.Before(p.next)) {
		return nil
	}
	p.changed, p.next = false, time.Time{}
	if p.missing.len == 0 {
		return nil
	}
	p.measure()
	if !p.mayAsk() {
		return nil
	}
	p.wakeAt(p.now.Add(tick))
	defer p.settle()
	var spends []Spend
	for _, rule := range []func() (Spend, bool){p.start, p.inject, p.hurry, p.stall, p.deficit, p.tail} {
		for {
			s, ok := rule()
			if !ok {
				break
			}
			s = p.afford(s)
			p.take(s)
			spends = append(spends, s)
			if !p.now.Before(p.brokeUntil()) {
				continue
			}
			return spends
		}
	}
	return spends
}

// measure keeps the rates up to date.
func (p *Policy) measure() {
	short, long := p.fast.rate(p.now), p.slow.rate(p.now)
	windows := 3
	if p.cfg.Class != Interactive {
		windows = 10
	}
	p.shortage.test(p.now, short, long, p.need(), windows)
	p.tokens.fill(p.now, 1.1*p.need()-short)
}

// mayAsk reports whether an origin can and may be asked at all.
func (p *Policy) mayAsk() bool {
	for _, until := range []time.Time{p.graceEnd(), p.down, p.retry, p.brokeUntil()} {
		if p.now.Before(until) {
			p.wakeAt(until)
			return false
		}
	}
	return true
}

// brokeUntil is when the budget allows a piece again; zero: it does now.
func (p *Policy) brokeUntil() time.Time {
	left, more := p.budget.left(p.now)
	if left >= int64(p.size) {
		return time.Time{}
	}
	return more
}

// settle notes whether this node keeps its seat.
func (p *Policy) settle() { p.sit(len(p.flights) > 0 && p.lacking() > 0) }

// graceEnd is until when peers have the download to themselves.
func (p *Policy) graceEnd() time.Time {
	after := p.cfg.OriginAfter
	if after != 0 || p.cfg.Class == Background {
		return p.began.Add(after)
	}
	after = interactiveLook
	if p.cfg.Class == Economy {
		after = economyAfter
	}
	if !p.looked.IsZero() {
		after = min(after, max(0, p.looked.Sub(p.began)))
	}
	if p.cfg.Class == Economy {
		after += p.jitter
	}
	return p.began.Add(after)
}

// take notes a request that is about to start.
func (p *Policy) take(s Spend) {
	bytes := int64(0)
	for i := s.First; i < s.First+s.Count; i++ {
		p.pieces[i].flying = true
		bytes += int64(p.pieces[i].size)
		p.refresh(i)
	}
	if len(p.flights) == 0 {
		p.landed = p.now
	}
	p.flights = append(p.flights, flight{s.First, s.Count, s.Count})
	p.origin.run(p.now, true)
	p.budget.spend(p.now, bytes)
	if s.Reason == Inject {
		p.rest = p.now.Add(p.pause())
		if p.injected.IsZero() {
			p.rest = p.rest.Add(min(seatStep, time.Duration(p.lacking())*pauseStep)) // others have begun too
		}
		p.injected = p.now
	}
	if s.Reason == Start {
		p.first += bytes
	}
	if s.Reason == Deficit {
		p.tokens.spend(bytes)
	}
}

// afford cuts a request to what the budget has left, at least one piece, and says
// how long it will take at most.
func (p *Policy) afford(s Spend) Spend {
	left, _ := p.budget.left(p.now)
	bytes := int64(0)
	for i := range s.Count {
		if bytes += int64(p.pieces[s.First+i].size); bytes > left && i > 0 {
			s.Count = i
			break
		}
	}
	s.Claim = min(max(3*p.fetchTime(int(bytes)), claimShortest), claimLongest)
	return s
}

// slots is how many requests may start. A fetch that begins, or knows nobody,
// has twice as many: a single flow needs several round trips to get up to speed.
func (p *Policy) slots() int {
	n := p.cfg.Parallel
	if p.failures > 0 {
		return 1 - len(p.flights) // to see whether it is back
	}
	if p.cfg.Class == Interactive && !p.looking() && (p.alone() || p.first == 0) {
		n *= 2
	}
	return n - len(p.flights)
}

// looking reports whether the first search for peers still runs: they may be many.
func (p *Policy) looking() bool { return p.looked.IsZero() && p.now.Before(p.began.Add(lookMost)) }

// alone reports whether nobody is known who could have a piece.
func (p *Policy) alone() bool { return len(p.peers) == 0 && p.providers == 0 }

// forming reports whether the view is still too young to tell what nobody has:
// known providers are being dialled.
func (p *Policy) forming() bool {
	at := p.graceEnd().Add(knownWait)
	if p.providers <= len(p.peers) || !p.now.Before(at) {
		return false
	}
	p.wakeAt(at)
	return true
}

// wakeAt makes Deadline not later than at.
func (p *Policy) wakeAt(at time.Time) {
	if at.After(p.now) && (p.next.IsZero() || at.Before(p.next)) {
		p.next = at
	}
}

// originRate is what the origin delivers over all requests, 0 if unknown.
func (p *Policy) originRate() float64 {
	if p.origin.time > 0 && p.origin.bytes > 0 {
		return max(p.origin.rate(), p.told)
	}
	return p.told
}

// fetchTime is how long the origin is expected to take for n bytes.
func (p *Policy) fetchTime(n int) time.Duration {
	rate := p.originRate()
	if rate == 0 {
		rate = 4 << 20
	}
	return p.rtt + time.Duration(1.2*float64(n)/rate*float64(time.Second))
}

// bucket is a token bucket in bytes. It holds what one request takes.
type bucket struct {
	bytes float64
	last  time.Time
}

func (b *bucket) fill(now time.Time, rate float64) {
	if !b.last.IsZero() && rate > 0 {
		b.bytes = min(b.bytes+rate*now.Sub(b.last).Seconds(), defaultRun)
	}
	b.last = now
}

func (b *bucket) spend(n int64) { b.bytes -= float64(n) }
