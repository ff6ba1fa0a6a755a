package pick

import (
	"cmp"
	"math/rand/v2"
	"time"
)

const (
	defaultBlock   = 64 << 10 // 0.1% header, 65 ms at 1 MB/s; algorithms.md 12.1
	defaultStarted = 64       // 64 to 128 MiB of buffers; 8 fast peers with 8 pieces each
	defaultBytes   = 64 << 20 // of those buffers
	defaultPeer    = 8 << 20  // below the windows of QUIC (10-15 MiB) and yamux (16 MiB)
	maxCopies      = 2        // of a piece that come at once; a third seldom helps and always costs
	maxQueued      = 16       // peers in whose queues a piece waits; the first to send it has it
	maxWaiting     = 8        // of what waits, one byte in so many counts as a buffer
	commonest      = 63       // availability from which all pieces are equally common
	tier           = commonest + 1
)

// Picker decides what to ask of whom. It is not safe for use by several
// goroutines. Peers and pieces that it does not know are ignored, as are events
// about attempts that it has given up: they may cross a Cancel on the way.
//
// Time given to its methods should not run backwards; if it does it stands still.
type Picker struct {
	cfg Config
	rng *rand.Rand
	now time.Time

	pieces  []piece
	missing *set              // wanted and not here
	open    *set              // nobody is at it, and peers may be asked
	queued  *set              // waits in few queues, and more peers may be asked
	rarity  [2 * tier]set     // open, then queued, split by holders that are not seeds; without words until used
	again   []int             // begun, and perhaps without a peer that delivers: to be asked first
	held    map[int]bool      // another source fetches it
	claims  map[int]claim     // somebody on the LAN fetches it from far
	unasked int               // missing, not held, and nobody is bound to send it; 0 begins the endgame
	done    int               // pieces here
	lied    bool              // a piece that came was wrong
	opened  uint64            // counts pieces that became open: what a peer that found nothing waits for
	tries   [][]*attempt      // by piece
	started []*attempt        // all attempts
	fewer   uint64            // counts pieces that came to be of interest there: what a peer that found no such waits for
	swaps   bool              // at one of them something may be swapped
	peers   map[PeerKey]*peer //
	order   []*peer           // snubbed last, then by path, rate, arrival
	hungry  []*peer           // that may have room, or something to ask, since they were fed
	sated   []*peer           // scratch of Advance
	idle    []*peer           // that had room when they were fed, and nothing to ask
	on      [paths]int        // peers by path
	checks  checks            // peers that are due to be checked some time
	claimAt time.Time         // when the first claim ends; zero: none
	lookAt  time.Time         // when paths are to be weighed without an event; zero: not
	deadAt  time.Time         // nobody is dead before
	arrived uint64            // peers seen so far
	seeds   int               // peers that have every piece and are counted here, not in piece.holders
	classes [paths]class      // what better paths hold and how fast they are
	ranked  time.Time         // when order and classes were made
	due     deadlines         // pieces with a deadline
	took    spread            // how long an attempt takes
	inUse   int64             // bytes in flight
	buffers int64             // bytes of the pieces of attempts of which blocks came
	waiting int64             // and of the others
	cancels []Cancel          // for the next Plan
	freed   []int             // for the next Plan
	taken   []Request         // for the next Plan
	judged  []*peer           // with offers that may be taken now
	wake    time.Time         // see Deadline
	warm    uint64            // so that OnNews looks ahead
}

// New returns a picker for pieces of the given sizes in bytes (1 and more).
// Nothing is wanted at first.
func New(cfg Config, sizes []int, rng *rand.Rand) *Picker {
	cfg.Block = cmp.Or(cfg.Block, defaultBlock)
	cfg.MaxStarted = max(8, cmp.Or(cfg.MaxStarted, defaultStarted))
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, defaultBytes)
	cfg.MaxPeer = max(2*cfg.Block, cmp.Or(cfg.MaxPeer, defaultPeer))
	cfg.Worth = cmp.Or(cfg.Worth, time.Second)
	p := &Picker{
		cfg:     cfg,
		rng:     rng,
		pieces:  make([]piece, len(sizes)),
		missing: newSet(len(sizes)),
		open:    newSet(len(sizes)),
		queued:  newSet(len(sizes)),
		held:    map[int]bool{},
		claims:  map[int]claim{},
		tries:   make([][]*attempt, len(sizes)),
		peers:   map[PeerKey]*peer{},
	}
	for i, size := range sizes {
		p.pieces[i] = piece{size: int32(size), in: nowhere}
	}
	p.due.at = map[int]time.Time{}
	return p
}

// Want asks for a piece, by deadline if that is not zero. Calling it again
// changes the deadline. A piece that is here already stays done.
func (p *Picker) Want(now time.Time, piece int, deadline time.Time) {
	p.clock(now)
	if !p.valid(piece) {
		return
	}
	p.pieces[piece].wanted = true
	if !p.pieces[piece].done {
		p.due.set(piece, deadline)
	}
	p.refresh(piece)
}

// WantAll asks for every piece. Deadlines stay.
func (p *Picker) WantAll(now time.Time) {
	p.clock(now)
	for i := range p.pieces {
		p.pieces[i].wanted = true
		p.refresh(i)
	}
}

// Forget takes Want back. Attempts in flight are cancelled.
func (p *Picker) Forget(now time.Time, piece int) {
	p.clock(now)
	if !p.valid(piece) {
		return
	}
	p.pieces[piece].wanted = false
	p.due.set(piece, time.Time{})
	p.cancelAll(piece)
	p.refresh(piece)
}

// Done tells that a piece is verified and here, whatever its source. Attempts
// still in flight are cancelled.
func (p *Picker) Done(now time.Time, piece int) {
	p.clock(now)
	if !p.valid(piece) || p.pieces[piece].done {
		return
	}
	p.pieces[piece].done = true
	p.done++
	p.due.set(piece, time.Time{})
	p.cancelAll(piece)
	p.release(piece)
	p.refresh(piece)
}

// Lost tells that a piece is no longer here; if it is wanted it is fetched again.
func (p *Picker) Lost(now time.Time, piece int) {
	p.clock(now)
	if !p.valid(piece) || !p.pieces[piece].done {
		return
	}
	p.pieces[piece].done = false
	p.done--
	p.refresh(piece)
}

// Hold tells that another source, the origin, is fetching a piece (held) or
// has given up. A held piece is not begun at a peer, except in the endgame.
func (p *Picker) Hold(now time.Time, piece int, held bool) {
	p.clock(now)
	if !p.valid(piece) {
		return
	}
	if held {
		p.held[piece] = true
	} else {
		delete(p.held, piece)
	}
	p.refresh(piece)
}

// Deadline is when Advance has to be called again if no event comes before;
// zero: only an event can change what it would say.
func (p *Picker) Deadline() time.Time { return p.wake }

func (p *Picker) valid(piece int) bool { return piece >= 0 && piece < len(p.pieces) }

// clock moves time forward.
func (p *Picker) clock(now time.Time) {
	if now.After(p.now) {
		p.now = now
	}
}

// sooner is the earlier of two times of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// past reports whether a time has come; zero never does.
func (p *Picker) past(at time.Time) bool { return !at.IsZero() && !p.now.Before(at) }

// wakeAt makes Deadline not later than at. What is past needs no waking.
func (p *Picker) wakeAt(at time.Time) {
	if at.After(p.now) && (p.wake.IsZero() || at.Before(p.wake)) {
		p.wake = at
	}
}
