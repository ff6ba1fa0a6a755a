package pick

import (
	"container/heap"
	"slices"
	"time"
)

const (
	snubMin   = time.Second      // no block of a piece that was begun for so long: snubbed (BitTorrent's 20 to 60 s are an eternity at 1 Gbit/s)
	snubTaken = 3 * time.Second  // no block of a piece whose offer was taken: it goes out after what others took
	snubMax   = 10 * time.Second // however slow or far the peer is; then its attempts are replaced
	deadAfter = 30 * time.Second // then it is reported by Dead, if it shows no sign of life
	deadMax   = 2 * time.Minute  // then also if it does

	queueAhead  = 0.5     // seconds of a peer's rate asked ahead of the round trip: hides scheduling, bounds what a cancel wastes
	queuePieces = 2       // whole pieces that wait at a peer at least: one goes out, one is next
	queueSeed   = 8       // at a seed, so that a crowd leaves it the choice to give each piece once before any twice
	queueSize   = 1 << 20 // bytes a piece counts for at most in this
	tripSlack   = 1.25    // round trips in flight, so that a longer one does not drain the pipe
	guess       = 4 << 20 // bytes/s expected of a peer that was never measured: it is worth a try
)

// peer is a connected peer of the download.
type peer struct {
	// What OnHave needs comes first: of thousands of peers it waits for memory.
	have    set       // what it says that it has
	ask     set       // have, less what it may not be asked for now
	alive   time.Time // last sign of life
	partial []int     // of have, what it is getting itself and passes on as it comes; ascending
	claims  int       // pieces that it claims
	refused refusals
	seed    bool // counted in Picker.seeds
	unhad   bool // took back a piece once: never counted as a seed again, which bounds what flapping costs
	idle    bool // in Picker.idle
	gone    bool
	path    Path

	key     PeerKey
	rtt     time.Duration
	tries   []*attempt // in the order asked
	out     int        // bytes in flight
	grown   int        // bytes the window may be at most: grows with what arrives
	meter   meter
	asked   time.Time // first request ever; zero: never asked
	proven  bool      // has ever delivered a block
	honest  bool      // a piece of it was right
	doubted bool      // a piece that it was getting was wrong
	snubbed bool
	hungry  bool          // in Picker.hungry
	packed  bool          // in Picker.idle for want of a place
	silent  time.Duration // without a block while asked, up to since
	since   time.Time     // from when silence counts on; zero while nothing is in flight

	sulk    time.Time // its claims do not count until then
	checkAt time.Time // when to look for what time brings, or before; zero: no need
	check   int       // in Picker.checks
	nth     uint64    // order of arrival
	pos     int       // in Picker.order
	none    uint64    // Picker.opened when it last had nothing to ask, plus one; 0: look
	noneFar uint64    // the same, of what no better path holds
	noneFew uint64    // Picker.fewer when it had nothing that hardly anybody has, plus one; 0: look
	run     int       // next piece of its run, see Picker.consecutive
	left    int       // pieces left of it
}

// Peer is a connected peer as its Picker knows it, for OnNews.
type Peer = peer

// OnPeer tells of a connected peer, or that its path or round-trip time (0:
// unknown) changed. It has nothing until OnHave.
func (p *Picker) OnPeer(now time.Time, key PeerKey, path Path, rtt time.Duration) *Peer {
	p.clock(now)
	path = min(path, Relay)
	p.ranked = time.Time{}
	if q := p.peers[key]; q != nil {
		if q.path != path {
			p.moved(q, path)
		}
		p.on[q.path]--
		p.on[path]++
		q.path, q.rtt = path, rtt
		p.check(q, p.now.Add(time.Millisecond)) // its patience may be shorter now
		p.feedSoon(q)
		return q
	}
	p.arrived++
	q := &peer{
		key: key, path: path, rtt: rtt, nth: p.arrived, alive: p.now,
		have: *newSet(len(p.pieces)), ask: *newSet(len(p.pieces)),
		grown: p.cfg.Block * [paths]int{LAN: 16, WAN: 4, Relay: 2}[path],
	}
	p.peers[key] = q
	q.pos = len(p.order)
	p.order = append(p.order, q)
	p.on[path]++
	p.feedSoon(q)
	p.crowd()
	return q
}

// OnGone tells that a peer is no longer connected. What was asked of it is
// open to others; nothing is cancelled.
func (p *Picker) OnGone(now time.Time, key PeerKey) {
	p.clock(now)
	q := p.peers[key]
	if q == nil {
		return
	}
	for len(q.tries) > 0 {
		p.drop(q.tries[0])
	}
	p.unclaim(q)
	if q.seed {
		p.seeds--
	} else {
		for i := q.have.next(0); i >= 0; i = q.have.next(i + 1) {
			p.count(i, -1)
		}
	}
	delete(p.peers, key)
	q.gone = true
	if !q.checkAt.IsZero() {
		heap.Remove(&p.checks, q.check)
	}
	p.on[q.path]--
	same := func(o *peer) bool { return o == q }
	p.order = slices.DeleteFunc(p.order, same)
	p.hungry = slices.DeleteFunc(p.hungry, same)
	p.idle = slices.DeleteFunc(p.idle, same)
	for i, o := range p.order {
		o.pos = i
	}
	p.ranked = time.Time{}
}

// OnAlive tells of any message from a peer. It does not lift a snub, but
// keeps a peer that has us wait in its queue out of Dead for two minutes.
func (p *Picker) OnAlive(now time.Time, key PeerKey) {
	p.clock(now)
	if q := p.peers[key]; q != nil {
		q.alive = p.now
	}
}

// OnHave tells that a peer has count pieces from first on.
func (p *Picker) OnHave(now time.Time, key PeerKey, first, count int) {
	p.clock(now)
	if q := p.peers[key]; q != nil {
		first, end := p.clip(first, count)
		p.had(q, first, end)
	}
}

// News is that a peer has a piece.
type News struct {
	From  *Peer // of this Picker
	Piece int
}

// OnNews is OnHave of many at once, for who keeps a Peer so that it need not be looked
// up. News of who is gone by now are ignored.
func (p *Picker) OnNews(now time.Time, news []News) {
	p.clock(now)
	for _, n := range news { // memory is waited for once, not once for each
		if p.valid(n.Piece) && n.From.have.has(n.Piece) {
			p.warm++
		}
	}
	for _, n := range news {
		if p.valid(n.Piece) && !n.From.gone {
			p.had(n.From, n.Piece, n.Piece+1)
		}
	}
}

// had notes that a peer has the pieces from first to end.
func (p *Picker) had(q *peer, first, end int) {
	if first >= end {
		return
	}
	q.alive = p.now
	p.due.hot = true
	all := end-first == len(p.pieces)
	q.settled(first, end)
	switch {
	case q.seed:
		return
	case all && q.have.len == 0 && !q.unhad:
		q.have.addRange(first, end)
		q.seed = true
		p.seeds++
	default:
		for i := first; i < end; i++ {
			if !q.have.has(i) {
				q.have.add(i)
				p.count(i, 1)
			}
		}
		p.promote(q)
	}
	p.mayAsk(q, first, end)
	p.kept(q, first, end)
}

// mayAsk lets pieces be asked of a peer, but those it refused or somebody near is
// getting.
func (p *Picker) mayAsk(q *peer, first, end int) {
	q.ask.addRange(first, end)
	q.refused.mask(&q.ask, first, end)
	p.mask(q, first, end)
	for i := first; i < end; i++ {
		if few(p.pieces[i].in) {
			p.lookFew(q)
			break
		}
	}
	p.offer(q, first, end)
}

// offer has it looked again for what to ask of a peer that had room and nothing to
// ask, if some of these pieces may be asked.
func (p *Picker) offer(q *peer, first, end int) {
	if !q.idle {
		return // it has no room, or is looked at anyway
	}
	for i := first; i < end; i++ {
		if p.pieces[i].in != nowhere && q.ask.has(i) {
			p.look(q)
			return
		}
	}
}

// promote counts a peer that has come to have everything as a seed.
func (p *Picker) promote(q *peer) {
	if q.have.len < len(p.pieces) || len(q.partial) > 0 || q.unhad || q.seed {
		return
	}
	q.seed = true
	p.seeds++
	p.look(q) // more may wait at a seed
	for i := range p.pieces {
		p.count(i, -1)
	}
}

// OnUnhave tells that a peer no longer has count pieces from first on. What
// was asked of them is cancelled.
func (p *Picker) OnUnhave(now time.Time, key PeerKey, first, count int) {
	p.clock(now)
	q := p.peers[key]
	first, end := p.clip(first, count)
	if q == nil || first >= end {
		return
	}
	for _, a := range slices.Clone(q.tries) {
		if a.piece >= first && a.piece < end && !a.whole() {
			p.cancel(a)
		}
	}
	if q.seed {
		q.seed, q.unhad = false, true
		p.seeds--
		p.crowd()
		for i := range p.pieces {
			p.count(i, 1)
		}
		p.lookFew(q)
	}
	q.settled(first, end)
	for i := q.have.next(first); i >= 0 && i < end; i = q.have.next(i + 1) {
		q.have.remove(i)
		q.ask.remove(i)
		p.count(i, -1)
	}
}

// clip cuts a run of pieces to those there are, whatever a stranger sends.
func (p *Picker) clip(first, count int) (int, int) {
	first, count = max(first, 0), max(count, 0)
	if first >= len(p.pieces) {
		return 0, 0
	}
	return first, first + min(count, len(p.pieces)-first)
}

// outstanding adds to what is in flight at a peer. Silence and rate are
// measured while it is not zero.
func (p *Picker) outstanding(q *peer, delta int) {
	was := q.out
	q.out += delta
	p.inUse += int64(delta)
	if was == 0 && q.out > 0 {
		q.meter.start(p.now)
		q.since = p.now
		p.expect(q)
	}
	if was > 0 && q.out == 0 {
		q.meter.stop(p.now)
		q.silent += p.now.Sub(q.since)
		q.since = time.Time{}
	}
}

// expect has a peer checked when it has been silent for too long.
func (p *Picker) expect(q *peer) {
	p.check(q, p.now.Add(max(p.patience(q)-q.silent, time.Millisecond)))
}

// silence is how long a peer has delivered nothing of what it was asked.
func (q *peer) silence(now time.Time) time.Duration {
	if q.since.IsZero() {
		return q.silent
	}
	return q.silent + now.Sub(q.since)
}

// patience is the silence after which a peer is snubbed. Before it has sent a
// block of anything, we may just wait in its queue, and that holds up nothing.
func (p *Picker) patience(q *peer) time.Duration {
	begun, taken, passes := false, false, false
	for _, a := range q.tries {
		passes = passes || q.passes(a.piece) && a.begun() && !a.whole()
		begun, taken = begun || a.begun() && !a.whole(), taken || a.taken && !a.whole()
	}
	switch {
	case passes || !begun && taken:
		return max(snubTaken, 4*q.rtt)
	case !begun:
		return snubMax
	}
	d := max(snubMin, 4*q.rtt)
	if rate := q.meter.rate(); rate > 0 {
		expected := q.rtt + seconds(float64(p.cfg.Block)/rate)
		d = max(d, 3*expected)
	}
	return min(d, snubMax)
}

// pace is how many bytes a peer delivers in the round trip and queueAhead, as far
// as it has shown.
func (p *Picker) pace(q *peer) float64 {
	w := float64(q.grown)
	if q.meter.known() {
		w = min(w, q.meter.rateAt(p.now)*(tripSlack*q.rtt.Seconds()+queueAhead))
	}
	return w
}

// window is how many bytes may be in flight at a peer: its pace, and at least
// some whole pieces, from which it may choose what it sends first. They cost
// little while they wait: others may be asked for them too.
func (p *Picker) window(q *peer) int {
	if q.snubbed {
		return p.cfg.Block
	}
	pieces := queuePieces
	if q.seed {
		pieces = queueSeed
	}
	w := max(p.pace(q), float64(pieces)*min(p.meanSize(), queueSize), float64(2*p.cfg.Block))
	return min(int(w), p.cfg.MaxPeer)
}

// speed is the rate expected of a peer in bytes/s, more than 0.
func (p *Picker) speed(q *peer) float64 {
	if !q.proven { // not more than a block in all the time it has been silent
		return min(guess, float64(p.cfg.Block)/max(q.silence(p.now).Seconds(), 1e-3))
	}
	return max(1, q.meter.rateAt(p.now))
}

// eta is when a peer would have sent n bytes more than is in flight.
func (p *Picker) eta(q *peer, n int) time.Duration {
	return q.rtt + seconds(float64(q.out+n)/p.speed(q))
}

// seconds is a duration of s seconds, at most an hour.
func seconds(s float64) time.Duration {
	return time.Duration(min(s, 3600) * float64(time.Second))
}
