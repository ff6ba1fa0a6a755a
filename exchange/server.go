package exchange

import (
	"cmp"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/exchange/ledger"
	"github.com/shoal-p2p/shoal/exchange/pb"
)

const (
	limitedFrame = 2 * Block // bytes of a frame in a lane with a token bucket: 0.1 s at 10 Mbit/s
	perPeer      = 2         // frames of one peer at once: one is read and hashed while the other is written
)

// server is the upload side: requests queue per peer, and the ledger of a lane
// says whose turn it is. Peers whose path the upload limit counts are in one
// lane, the rest in the other, so that a LAN peer never waits for a token.
type server struct {
	x     *Exchange
	cache *pieceCache
	limit *limiter
	lanes [2]*lane // free, limited

	mu     sync.Mutex
	totals map[peer.ID]Balance
	bySent map[string]int64 // root -> payload bytes
}

type lane struct {
	mu     sync.Mutex
	wake   *sync.Cond
	closed bool
	ledger *ledger.Ledger
	queues map[*Session]*queue
	peers  map[ledger.PeerKey]*Session
	frame  int // most blocks of a frame
}

// queue holds the requests of one peer in order of arrival.
type queue struct {
	items   []item
	blocks  int // in items
	busy    int // frames on their way
	exposed int // blocks that the ledger knows of
}

type item struct {
	root *Root
	part part
}

func newServer(x *Exchange) *server {
	s := &server{
		x: x, limit: newLimiter(x.cfg.Upload),
		cache:  newPieceCache(cmp.Or(x.cfg.Cache, 16)),
		totals: map[peer.ID]Balance{}, bySent: map[string]int64{},
	}
	for p, b := range x.cfg.Balances {
		s.totals[p] = b
	}
	for i := range s.lanes {
		l := &lane{
			ledger: ledger.New(ledger.Config{}, rand.New(rand.NewPCG(x.random(), x.random()))),
			queues: map[*Session]*queue{}, peers: map[ledger.PeerKey]*Session{},
			frame: maxBlocks,
		}
		l.wake = sync.NewCond(&l.mu)
		for p, b := range x.cfg.Balances {
			l.ledger.Restore(ledger.PeerKey(p), ledger.Balance(b))
		}
		s.lanes[i] = l
		for range cmp.Or(x.cfg.Workers, 4) {
			x.wg.Go(func() { s.work(l) })
		}
	}
	s.lanes[1].frame = limitedFrame / Block
	x.wg.Go(s.closeLanes)
	return s
}

// closeLanes wakes the workers when the exchange closes.
func (s *server) closeLanes() {
	<-s.x.ctx.Done()
	for _, l := range s.lanes {
		l.mu.Lock()
		l.closed = true
		l.wake.Broadcast()
		l.mu.Unlock()
	}
}

func (s *server) lane(p Path) *lane {
	if s.limit.limits(p) {
		return s.lanes[1]
	}
	return s.lanes[0]
}

// queue takes a request. False when the peer has too many waiting, or uploads are off.
func (s *server) queue(from *Session, r *Root, p part) bool {
	if s.limit.off && s.limit.limits(from.Path()) {
		return false
	}
	l := s.lane(from.Path())
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queues[from]
	if q == nil {
		if l.peers[ledger.PeerKey(from.Peer)] != nil {
			return false // an older session of the peer is about to end
		}
		q = &queue{}
		l.queues[from] = q
		l.peers[ledger.PeerKey(from.Peer)] = from
	}
	if len(q.items) >= maxQueued {
		return false
	}
	q.items = append(q.items, item{r, p})
	q.blocks += p.count
	l.expose(from, q)
	return true
}

// expose tells the ledger of the blocks that may be served now: none while the
// peer has perPeer frames on their way.
func (l *lane) expose(s *Session, q *queue) {
	want := q.blocks
	if q.busy >= perPeer {
		want = 0
	}
	now, key := time.Now(), ledger.PeerKey(s.Peer)
	switch {
	case want > q.exposed:
		l.ledger.Queue(now, key, int64(want-q.exposed)*Block)
		l.wake.Signal()
	case want < q.exposed:
		l.ledger.Unqueue(now, key, int64(q.exposed-want)*Block)
	}
	q.exposed = want
}

// work serves one frame after the other until the exchange closes.
func (s *server) work(l *lane) {
	for {
		to, it, ok := l.next()
		if !ok {
			return
		}
		n := s.serve(to, it)
		l.done(to, n)
	}
}

// next waits for the peer whose turn it is and takes a frame off its queue.
func (l *lane) next() (*Session, item, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.closed {
			return nil, item{}, false
		}
		key, ok := l.ledger.Next(time.Now())
		if !ok {
			l.wake.Wait()
			continue
		}
		to := l.peers[key]
		q := l.queues[to]
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
		l.expose(to, q)
		return to, it, true
	}
}

// done accounts a served frame of n payload bytes.
func (l *lane) done(to *Session, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ledger.OnSent(time.Now(), ledger.PeerKey(to.Peer), int64(n))
	if q := l.queues[to]; q != nil {
		q.busy--
		l.expose(to, q)
	}
}

// serve sends one frame and returns the bytes sent, or rejects it.
func (s *server) serve(to *Session, it item) int {
	p, ok := it.root.piece(it.part.piece)
	if !ok {
		return 0
	}
	data, release, err := s.cache.get(p.Key, func(buf []byte) ([]byte, error) {
		return s.x.cfg.Library.ReadPiece(s.x.ctx, p.Key, buf)
	})
	if err != nil {
		s.x.log.Debug("cannot serve", "root", it.root.CID, "piece", it.part.piece, "err", err)
		to.reject(it.root, it.part.piece, pb.Reject_NOT_HELD)
		return 0
	}
	defer release()
	from := it.part.first * Block
	body := data[min(from, len(data)):min(from+it.part.count*Block, len(data))]
	if len(body) == 0 || s.limit.wait(s.x.ctx, to.Path(), len(body)) != nil {
		return 0
	}
	h := to.handleOf(it.root)
	if h == 0 {
		return 0
	}
	f := frame{handle: h, piece: uint32(it.part.piece), first: uint16(it.part.first), count: uint16(blocks(len(body))), length: uint32(len(body))}
	if err := to.writeFrame(s.x.ctx, f, body); err != nil {
		to.end(err)
		return 0
	}
	to.sent.Add(int64(len(body)))
	s.mu.Lock()
	b := s.totals[to.Peer]
	b.Sent += int64(len(body))
	s.totals[to.Peer] = b
	s.bySent[it.root.CID.KeyString()] += int64(len(body))
	s.mu.Unlock()
	return len(body)
}

// cancel takes the waiting parts of a piece off a peer's queue.
func (s *server) cancel(from *Session, r *Root, piece int) {
	s.remove(from, func(it item) bool { return it.root == r && it.part.piece == piece })
}

// leave takes all of a root off a peer's queue.
func (s *server) leave(from *Session, r *Root) {
	s.remove(from, func(it item) bool { return it.root == r })
}

func (s *server) remove(from *Session, match func(item) bool) {
	for _, l := range s.lanes {
		l.mu.Lock()
		if q := l.queues[from]; q != nil {
			kept := q.items[:0]
			q.blocks = 0
			for _, it := range q.items {
				if !match(it) {
					kept = append(kept, it)
					q.blocks += it.part.count
				}
			}
			q.items = kept
			l.expose(from, q)
		}
		l.mu.Unlock()
	}
}

// gone forgets a session.
func (s *server) gone(from *Session) {
	s.remove(from, func(item) bool { return true })
	for _, l := range s.lanes {
		l.mu.Lock()
		delete(l.queues, from)
		if key := ledger.PeerKey(from.Peer); l.peers[key] == from {
			delete(l.peers, key)
			l.ledger.OnGone(time.Now(), key)
		}
		l.mu.Unlock()
	}
}

func (s *server) onReceived(from *Session, n int) {
	l := s.lane(from.Path())
	l.mu.Lock()
	l.ledger.OnReceived(time.Now(), ledger.PeerKey(from.Peer), int64(n))
	l.mu.Unlock()
	s.mu.Lock()
	b := s.totals[from.Peer]
	b.Received += int64(n)
	s.totals[from.Peer] = b
	s.mu.Unlock()
}

func (s *server) balance(p peer.ID) Balance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totals[p]
}

func (s *server) balances() map[peer.ID]Balance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totals
}

func (s *server) sentOf(c cid.Cid) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bySent[c.KeyString()]
}
