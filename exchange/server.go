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
	limitedFrame = 2 * Block   // bytes of a frame in a lane with a token bucket: 0.1 s at 10 Mbit/s
	perPeer      = 2           // frames of one peer at once: one is read and hashed while the other is written
	slotTime     = time.Second // a frame that takes longer to write leaves its slot to others
	maxPeersKept = 10_000      // balances, and other things kept by peer or root
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

func newServer(x *Exchange) *server {
	s := &server{
		x: x, limit: newLimiter(x.cfg.Upload),
		cache:  newPieceCache(cmp.Or(x.cfg.Cache, 16)),
		totals: map[peer.ID]Balance{}, bySent: map[string]int64{},
	}
	for p, b := range x.cfg.Balances {
		s.totals[p] = b
	}
	trim(s.totals, gave)
	for i := range s.lanes {
		frame := maxBlocks
		if i == 1 {
			frame = limitedFrame / Block
		}
		l := newLane(frame, cmp.Or(x.cfg.Workers, 4), rand.New(rand.NewPCG(x.random(), x.random())))
		s.lanes[i] = l
		x.wg.Go(func() { s.dispatch(l) })
	}
	x.wg.Go(s.closeLanes)
	return s
}

// closeLanes wakes the dispatchers when the exchange closes.
func (s *server) closeLanes() {
	<-s.x.ctx.Done()
	for _, l := range s.lanes {
		l.close()
	}
}

func (s *server) lane(p Path) *lane {
	if s.limit.limits(p) {
		return s.lanes[1]
	}
	return s.lanes[0]
}

// meet begins to serve a session. There is one a peer: the one before is gone.
func (s *server) meet(to *Session) {
	b := s.balance(to.Peer)
	for _, l := range s.lanes {
		l.meet(time.Now(), to, ledger.Balance(b))
	}
}

// gone forgets a session.
func (s *server) gone(to *Session) {
	for _, l := range s.lanes {
		l.gone(time.Now(), to)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	trim(s.totals, gave)
}

// queue takes a request. False when the peer has too many waiting, or uploads are off.
func (s *server) queue(to *Session, r *Root, p part) bool {
	if s.limit.off && s.limit.limits(to.Path()) {
		return false
	}
	return s.lane(to.Path()).queue(time.Now(), to, item{r, p})
}

// cancel takes the waiting parts of a piece off a peer's queue.
func (s *server) cancel(to *Session, r *Root, piece int) {
	s.remove(to, func(it item) bool { return it.root == r && it.part.piece == piece })
}

// leave takes all of a root off a peer's queue.
func (s *server) leave(to *Session, r *Root) {
	s.remove(to, func(it item) bool { return it.root == r })
}

func (s *server) remove(to *Session, match func(item) bool) {
	for _, l := range s.lanes {
		l.remove(time.Now(), to, match)
	}
}

// dispatch gives out the slots of a lane until the exchange closes.
func (s *server) dispatch(l *lane) {
	for {
		to, it, ok := l.next()
		if !ok {
			return
		}
		if !s.x.spawn(func() { s.upload(l, to, it) }) { // closed
			l.vacate()
			return
		}
	}
}

// upload serves one frame. A peer that takes it slowly, or not at all, holds no
// slot for longer than slotTime, so that it delays nobody else.
func (s *server) upload(l *lane, to *Session, it item) {
	vacate := sync.OnceFunc(l.vacate)
	n := s.serve(to, it, func() func() bool { return time.AfterFunc(slotTime, vacate).Stop })
	vacate()
	l.done(time.Now(), to, n)
}

// serve sends one frame and returns the bytes sent, or rejects it. writing is
// called before the write, and what it returns after it.
func (s *server) serve(to *Session, it item, writing func() func() bool) int {
	p, ok := it.root.piece(it.part.piece)
	if !ok {
		return 0
	}
	data, release, err := s.cache.get(p, func(buf []byte) ([]byte, error) {
		return s.x.cfg.Library.ReadPiece(s.x.ctx, p.Key, buf)
	})
	if err != nil {
		s.x.log.Debug("cannot serve", "root", it.root.CID, "piece", it.part.piece, "err", err)
		to.reject(it.root, it.part.piece, pb.Reject_NOT_HELD)
		return 0
	}
	defer release()
	from := it.part.first * Block
	body := data[from:min(from+it.part.count*Block, len(data))]
	if s.limit.wait(to.ctx, to.Path(), len(body)) != nil {
		return 0
	}
	h := to.handleOf(it.root)
	if h == 0 {
		return 0 // closed meanwhile
	}
	f := frame{handle: h, piece: uint32(it.part.piece), first: uint16(it.part.first), count: uint16(it.part.count), length: uint32(len(body))}
	written := writing()
	err = to.writeFrame(f, body)
	written()
	if err != nil {
		to.end(err)
		return 0
	}
	s.onSent(to, it.root, len(body))
	return len(body)
}

func (s *server) onSent(to *Session, r *Root, n int) {
	to.sent.Add(int64(n))
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.totals[to.Peer]
	b.Sent += int64(n)
	s.totals[to.Peer] = b
	s.bySent[r.CID.KeyString()] += int64(n)
	trim(s.bySent, func(n int64) int64 { return n })
}

// onReceived counts what a peer gave that was asked for.
func (s *server) onReceived(from *Session, n int) {
	for _, l := range s.lanes {
		l.received(time.Now(), from, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.totals[from.Peer]
	b.Received += int64(n)
	s.totals[from.Peer] = b
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

// gave is what a balance is worth keeping for.
func gave(b Balance) int64 { return b.Received }

// trim takes out what is worth least, until maxPeersKept are left: whoever
// brings many identities, or asks for many roots, pushes out only his own.
func trim[K cmp.Ordered, V any](m map[K]V, worth func(V) int64) {
	for len(m) > maxPeersKept {
		var least K
		first := true
		for k, v := range m {
			if c := cmp.Compare(worth(v), worth(m[least])); first || c < 0 || (c == 0 && k < least) {
				least, first = k, false
			}
		}
		delete(m, least)
	}
}
