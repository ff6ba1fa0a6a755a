package exchange

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
	"github.com/shoal-p2p/shoal/exchange/upload"
)

// lane is a set of upload slots and the peers that wait for one. Package upload
// decides what a slot sends next. A slot is what reads, hashes and writes one
// frame; how much may be on the way is not its concern.
type lane struct {
	mu      sync.Mutex
	wake    *sync.Cond // of the dispatcher
	alarm   *time.Timer
	closed  bool
	slots   int // free
	uploads *upload.Uploads
	pacer   *pacer
	queues  map[ledger.PeerKey]*Session // one a session that lives
}

// newLane makes a lane with so many slots, whose frames have at most maxFrame
// blocks.
func newLane(maxFrame, slots int, rng *rand.Rand) *lane {
	l := &lane{
		slots:   slots,
		uploads: upload.New(upload.Config{Block: Block, MaxFrame: maxFrame, MaxQueued: maxQueued, MaxBusy: perPeer}, rng),
		pacer:   newPacer(),
		queues:  map[ledger.PeerKey]*Session{},
	}
	l.wake = sync.NewCond(&l.mu)
	l.alarm = time.AfterFunc(time.Hour, l.wake.Signal)
	return l
}

func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.alarm.Stop()
	l.wake.Broadcast()
}

func ledgerKeyOf(s *Session) ledger.PeerKey { return ledger.PeerKey(s.Peer) }

// meet begins to serve a session, from a balance on.
func (l *lane) meet(now time.Time, to *Session, b ledger.Balance) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queues[ledgerKeyOf(to)] = to
	l.uploads.OnPeer(now, ledgerKeyOf(to), b)
	l.wake.Signal() // who was there before may have filled the line
}

// describe sets by which rules a session is served.
func (l *lane) describe(to *Session, place string, class ledger.Class) {
	l.with(to, func(key ledger.PeerKey) {
		l.uploads.Ledger().Prefix(key, place)
		l.uploads.OnPlace(key, place)
		l.uploads.Ledger().Class(key, class)
	})
}

// value sets what a byte sent to a member is worth.
func (l *lane) value(to *Session, v float64) {
	l.with(to, func(key ledger.PeerKey) { l.uploads.Ledger().Value(key, v) })
}

// served is why a session was served last.
func (l *lane) served(to *Session) (why ledger.Reason) {
	l.with(to, func(key ledger.PeerKey) { why = l.uploads.Ledger().Served(key) })
	return why
}

// with runs f if the session is still the peer's, and wakes the dispatcher.
func (l *lane) with(to *Session, f func(key ledger.PeerKey)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queues[ledgerKeyOf(to)] == to {
		f(ledgerKeyOf(to))
		l.wake.Signal()
	}
}

// gone forgets a session.
func (l *lane) gone(now time.Time, to *Session) {
	l.with(to, func(key ledger.PeerKey) {
		delete(l.queues, key)
		l.uploads.OnGone(now, key)
	})
}

// queue takes a request; false when the peer has too many waiting.
func (l *lane) queue(now time.Time, to *Session, p upload.Part) (ok bool) {
	l.with(to, func(key ledger.PeerKey) { ok = l.uploads.Queue(now, key, p) })
	return ok
}

// next waits for a slot and for something to send, and takes a frame off its
// queue. False when the lane is closed.
func (l *lane) next() (to *Session, p upload.Part, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed {
		var offers []func()
		if l.slots > 0 {
			to, p, ok = l.choose(time.Now())
			offers = l.offers()
		}
		if len(offers) > 0 { // sessions are locked before lanes
			l.mu.Unlock()
			for _, offer := range offers {
				offer()
			}
			l.mu.Lock()
		}
		if ok {
			return to, p, true
		}
		if len(offers) == 0 {
			l.wake.Wait()
		}
	}
	return nil, upload.Part{}, false
}

// choose takes what goes out next, and a slot for it. mu is held.
func (l *lane) choose(now time.Time) (*Session, upload.Part, bool) {
	key, p, ok := l.uploads.Next(now)
	l.pacer.set(l.uploads.Pace())
	if !ok {
		if at := l.uploads.Deadline(); !at.IsZero() {
			l.alarm.Reset(at.Sub(now))
		}
		return nil, p, false
	}
	l.slots--
	return l.queues[key], p, true
}

// offers are the offers to make. mu is held.
func (l *lane) offers() (offers []func()) {
	for _, o := range l.uploads.Offers() {
		if to := l.queues[o.Peer]; to != nil {
			offers = append(offers, func() { to.offer(o.Root.(*Root), o.Piece) })
		}
	}
	return offers
}

// vacate gives a slot back.
func (l *lane) vacate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slots++
	l.wake.Signal()
}

// done tells that a frame that next gave out was handed to the transport, or
// was not.
func (l *lane) done(now time.Time, to *Session, p upload.Part, ok bool) {
	l.with(to, func(key ledger.PeerKey) { l.uploads.OnSent(now, key, p, ok) })
}

// acked tells that a peer has got a frame of n bytes.
func (l *lane) acked(now time.Time, to *Session, n int) {
	l.with(to, func(key ledger.PeerKey) { l.uploads.OnAcked(now, key, n) })
}

// measured notes a round trip to a peer.
func (l *lane) measured(to *Session, trip time.Duration) {
	l.with(to, func(key ledger.PeerKey) { l.uploads.OnTrip(key, trip) })
}

// received tells the ledger what a peer gave.
func (l *lane) received(now time.Time, from *Session, n int) {
	l.with(from, func(key ledger.PeerKey) { l.uploads.OnReceived(now, key, int64(n)) })
}

// refused notes that a peer did not give what it has.
func (l *lane) refused(now time.Time, from *Session) {
	l.with(from, func(key ledger.PeerKey) { l.uploads.OnRefused(now, key) })
}

// cancel takes the waiting parts of a piece off a peer's queue.
func (l *lane) cancel(now time.Time, to *Session, r *Root, piece int) {
	l.with(to, func(key ledger.PeerKey) { l.uploads.Cancel(now, key, r, piece) })
}

// leave takes all of a root off a peer's queue.
func (l *lane) leave(now time.Time, to *Session, r *Root) {
	l.with(to, func(key ledger.PeerKey) { l.uploads.Leave(now, key, r) })
}

// copied notes that a peer has pieces of a root.
func (l *lane) copied(now time.Time, from *Session, r *Root, runs []Run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, run := range runs {
		l.uploads.OnHave(now, ledgerKeyOf(from), r, run.First, run.Count)
	}
}

// forget lets go of what is known of a root.
func (l *lane) forget(r *Root) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uploads.Forget(r)
}
