package exchange

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// lane is a set of upload slots and the peers that wait for one. Its ledger
// says whose turn it is.
//
// Invariant: the ledger knows of as many blocks of a peer as its queue has, and
// of none while perPeer frames of it are under way. So whom the ledger names
// has something to be sent. See TestLaneBooks.
type lane struct {
	frame int // most blocks of a frame

	mu     sync.Mutex
	wake   *sync.Cond // of the dispatcher
	closed bool
	slots  int // free
	ledger *ledger.Ledger
	queues map[ledger.PeerKey]*queue // one a session that lives
}

// queue holds the requests of one peer in order of arrival.
type queue struct {
	to      *Session
	items   []item
	blocks  int // in items
	busy    int // frames on their way
	exposed int // blocks that the ledger knows of
}

type item struct {
	root *Root
	part part
}

func newLane(frame, slots int, rng *rand.Rand) *lane {
	l := &lane{
		frame: frame, slots: slots, ledger: ledger.New(ledger.Config{}, rng),
		queues: map[ledger.PeerKey]*queue{},
	}
	l.wake = sync.NewCond(&l.mu)
	return l
}

func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.wake.Broadcast()
}

// meet begins to serve a session, from a balance on.
func (l *lane) meet(_ time.Time, to *Session, b ledger.Balance) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := ledger.PeerKey(to.Peer)
	l.queues[key] = &queue{to: to}
	l.ledger.Restore(key, b)
}

// gone forgets a session.
func (l *lane) gone(now time.Time, to *Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of(to) != nil {
		delete(l.queues, ledger.PeerKey(to.Peer))
		l.ledger.OnGone(now, ledger.PeerKey(to.Peer))
	}
}

// of returns the queue of a session, nil if it is gone.
func (l *lane) of(to *Session) *queue {
	if q := l.queues[ledger.PeerKey(to.Peer)]; q != nil && q.to == to {
		return q
	}
	return nil
}

// queue takes a request; false when the peer has too many waiting.
func (l *lane) queue(now time.Time, to *Session, it item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.of(to)
	if q == nil || len(q.items) >= maxQueued {
		return false
	}
	q.items = append(q.items, it)
	q.blocks += it.part.count
	l.expose(now, q)
	return true
}

// expose tells the ledger of the blocks that may be served now.
func (l *lane) expose(now time.Time, q *queue) {
	want := q.blocks
	if q.busy >= perPeer {
		want = 0
	}
	key := ledger.PeerKey(q.to.Peer)
	switch {
	case want > q.exposed:
		l.ledger.Queue(now, key, int64(want-q.exposed)*Block)
		l.wake.Signal()
	case want < q.exposed:
		l.ledger.Unqueue(now, key, int64(q.exposed-want)*Block)
	}
	q.exposed = want
}

// next waits for a slot and the peer whose turn it is, and takes a frame off
// its queue. False when the lane is closed.
func (l *lane) next() (*Session, item, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed {
		if l.slots > 0 {
			if to, it, ok := l.choose(time.Now()); ok {
				l.slots--
				return to, it, true
			}
		}
		l.wake.Wait()
	}
	return nil, item{}, false
}

// choose takes a frame of the peer whose turn it is. mu is held.
func (l *lane) choose(now time.Time) (*Session, item, bool) {
	key, ok := l.ledger.Next(now)
	if !ok {
		return nil, item{}, false
	}
	q := l.queues[key]
	it := q.items[0]
	if it.part.count > l.frame {
		q.items[0].part.first += l.frame
		q.items[0].part.count -= l.frame
		it.part.count = l.frame
	} else {
		q.items = q.items[1:]
	}
	q.blocks -= it.part.count
	q.busy++
	l.expose(now, q)
	return q.to, it, true
}

// vacate gives a slot back.
func (l *lane) vacate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slots++
	l.wake.Signal()
}

// done accounts a frame that next gave out, of which n payload bytes were sent.
func (l *lane) done(now time.Time, to *Session, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q := l.of(to); q != nil {
		l.ledger.OnSent(now, ledger.PeerKey(to.Peer), int64(n))
		q.busy--
		l.expose(now, q)
	}
}

// received tells the ledger what a peer gave.
func (l *lane) received(now time.Time, from *Session, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of(from) != nil {
		l.ledger.OnReceived(now, ledger.PeerKey(from.Peer), int64(n))
	}
}

// remove takes what matches off a peer's queue.
func (l *lane) remove(now time.Time, to *Session, match func(item) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.of(to)
	if q == nil {
		return
	}
	kept := q.items[:0]
	q.blocks = 0
	for _, it := range q.items {
		if !match(it) {
			kept = append(kept, it)
			q.blocks += it.part.count
		}
	}
	q.items = kept
	l.expose(now, q)
}
