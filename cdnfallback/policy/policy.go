package policy

import (
	"cmp"
	"math/rand/v2"
	"time"
)

// Policy decides when origin bytes may be spent. It is not safe for use by
// several goroutines. Pieces that it does not know are ignored.
type Policy struct {
	cfg  Config
	rng  *rand.Rand
	self uint64 // hash of this node's key
	now  time.Time

	pieces  []piece
	missing *set // wanted and not here
	idle    *set // missing, not in flight at the origin, not asked of a peer
	orphans *set // idle, held and claimed by nobody
	size    int  // mean bytes of a piece
	due     dues

	peers     map[string]*rival
	lacks     int  // peers that lack something; negative: count anew
	count     int  // pieces here
	met       bool // there was a peer once
	providers int  // known in the last look
	looked    time.Time
	claims    claims

	seats    float64       // how many may fetch at a time what nobody has, in a crowd
	sitting  bool          // this node is one of them
	freed    time.Time     // a seat was left
	vacant   time.Time     // since when there is a seat to be had; zero: all are taken
	polite   time.Duration // drawn at random, for the seat that is to be had
	rest     time.Time     // until when the next request of the rule inject waits in a crowd
	injected time.Time     // the last request of the rule inject began or ended
	hungry   time.Time     // since when this node may inject and nothing falls to it; zero: something does
	landed   time.Time     // the last piece of the origin, or when its request began
	whole    float64       // bytes/s that the origin sends to all of the crowd; 0: unknown
	budget   budget

	began    time.Time // first Want
	jitter   time.Duration
	byPeers  time.Time     // last verified byte from peers
	sign     time.Time     // last sign that the swarm moves: a new holder or claim
	heard    time.Time     // the last claim of a peer's own
	fast     meter         // from peers, tau 2 s
	slow     meter         // from peers, tau 20 s
	askTime  time.Duration // a piece takes at peers
	askedAt  map[int]time.Time
	shortage shortage
	tokens   bucket

	flights  []flight
	origin   busy
	told     float64 // rate of one request as the caller measured it
	rtt      time.Duration
	down     time.Time
	failures int
	retry    time.Time
	runs     int   // requests that ended well
	first    int64 // bytes spent by the rule start
	cursor   int   // where the last run ended

	changed bool
	next    time.Time
}

// piece is what the policy knows of one piece.
type piece struct {
	size                                 int32
	holders                              int32
	wanted, done, flying, asked, claimed bool
}

// flight is an origin request.
type flight struct {
	first, count int
	left         int // pieces that have not come
}

// rival is a peer of the root.
type rival struct {
	hash    uint64
	met     time.Time
	count   int       // pieces it has
	live    int       // claims it has told of, its own and relayed
	near    int       // of them, its own
	claimed time.Time // its last claim of its own
	broken  int       // claims that came to nothing
}

// New returns a policy for pieces of the given sizes in bytes; self is this
// node's key, of the kind that OnPeer gets. Nothing is wanted at first.
func New(cfg Config, sizes []int, self string, rng *rand.Rand) *Policy {
	parallel := 2
	if cfg.Class == Background {
		cfg.OriginAfter = cmp.Or(cfg.OriginAfter, backgroundAfter)
		parallel = 1
	}
	cfg.Parallel = cmp.Or(cfg.Parallel, parallel)
	cfg.RunBytes = cmp.Or(cfg.RunBytes, defaultRun)
	cfg.LongRun = cmp.Or(cfg.LongRun, defaultLong)
	n := len(sizes)
	p := &Policy{
		cfg: cfg, rng: rng, self: hash(self),
		pieces: make([]piece, n), missing: newSet(n), idle: newSet(n), orphans: newSet(n),
		due:   dues{at: map[int]time.Time{}},
		peers: map[string]*rival{}, claims: claims{until: map[int]claim{}},
		fast: newMeter(fastTau), slow: newMeter(slowTau), askTime: firstAskTime, askedAt: map[int]time.Time{},
		jitter: time.Duration(rng.Int64N(int64(coldJitter))), lacks: -1, seats: seatsFirst,
	}
	total := 0
	for i, size := range sizes {
		p.pieces[i].size = int32(size)
		total += size
	}
	p.size = max(1, total/max(1, n))
	p.budget.cap = int64(cfg.Copies * float64(total))
	p.cursor = rng.IntN(max(1, n))
	return p
}

const (
	backgroundAfter = 30 * time.Second
	economyAfter    = time.Second
	lookMost        = time.Second            // who is not found by then is not waited for
	interactiveLook = 300 * time.Millisecond // for peers, before an interactive fetch that may have some
	coldJitter      = 300 * time.Millisecond // of economy, so that a crowd does not start as one
	defaultRun      = 8 << 20                // one request per 1 to 8 leaves: CDN friendly, and little to lose to a peer that comes
	defaultLong     = 64 << 20
	firstAskTime    = 300 * time.Millisecond // what peers are expected to take for a piece until they showed
)

// Want asks for a piece, by deadline if that is not zero. Calling it again
// changes the deadline.
func (p *Policy) Want(now time.Time, piece int, deadline time.Time) {
	if !p.valid(piece) {
		return
	}
	p.clock(now)
	p.begin()
	if p.missing.len == 0 { // silence while nothing was wanted is no stall
		p.byPeers = p.now
	}
	p.pieces[piece].wanted = true
	if !p.pieces[piece].done {
		p.due.set(piece, deadline)
	}
	p.refresh(piece)
	p.changed = true
}

// WantAll asks for every piece. Deadlines stay.
func (p *Policy) WantAll(now time.Time) {
	p.clock(now)
	p.begin()
	for i := range p.pieces {
		p.pieces[i].wanted = true
		p.refresh(i)
	}
	p.changed = true
}

// Forget takes Want back. Requests in flight go on.
func (p *Policy) Forget(now time.Time, piece int) {
	if !p.valid(piece) {
		return
	}
	p.clock(now)
	p.pieces[piece].wanted = false
	p.due.set(piece, time.Time{})
	p.refresh(piece)
}

// Done tells that a piece is verified and here, whatever its source.
func (p *Policy) Done(now time.Time, piece int) {
	if !p.valid(piece) || p.pieces[piece].done {
		return
	}
	p.clock(now)
	p.pieces[piece].done = true
	if p.pieces[piece].flying {
		p.pieces[piece].flying = false
		p.landing(piece)
	}
	p.count++
	if asked, ok := p.askedAt[piece]; ok {
		p.askTime += (p.now.Sub(asked) - p.askTime) / 8
	}
	p.due.set(piece, time.Time{})
	p.refresh(piece)
}

// Lost tells that a piece is no longer here.
func (p *Policy) Lost(now time.Time, piece int) {
	if !p.valid(piece) || !p.pieces[piece].done {
		return
	}
	p.clock(now)
	p.pieces[piece].done = false
	p.count--
	p.refresh(piece)
	p.changed = true
}

// Deadline is when Advance has to be called again if no event comes before;
// zero: only an event can change what it would say.
func (p *Policy) Deadline() time.Time { return p.next }

func (p *Policy) valid(piece int) bool { return piece >= 0 && piece < len(p.pieces) }

func (p *Policy) clock(now time.Time) {
	if now.After(p.now) {
		p.now = now
	}
}

// begin starts the clocks that run from the first Want on.
func (p *Policy) begin() {
	if p.began.IsZero() {
		p.began, p.byPeers, p.sign = p.now, p.now, p.now
		p.fast.pass(p.now)
		p.slow.pass(p.now)
	}
}

// refresh derives the sets a piece is in from its state.
// Invariant: orphans is part of idle, and idle of missing. See FuzzPolicy.
func (p *Policy) refresh(i int) {
	pc := &p.pieces[i]
	missing := pc.wanted && !pc.done
	idle := missing && !pc.flying && !pc.asked
	p.missing.put(i, missing)
	p.idle.put(i, idle)
	p.orphans.put(i, idle && pc.holders == 0 && !pc.claimed)
}
