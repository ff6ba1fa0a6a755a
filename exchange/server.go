package exchange

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/exchange/ledger"
	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/exchange/upload"
	"github.com/shoal-p2p/shoal/merkle"
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
		l.describe(to, to.place, s.class())
	}
}

// class is by which rule peers are served.
func (s *server) class() ledger.Class {
	if s.x.cfg.Group {
		return ledger.Group
	}
	return ledger.Public
}

// served is why a session was served last.
func (s *server) served(to *Session) ledger.Reason { return s.lane(to.Path()).served(to) }

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
func (s *server) queue(to *Session, p upload.Part) bool {
	if s.limit.off && s.limit.limits(to.Path()) {
		return false
	}
	return s.lane(to.Path()).queue(time.Now(), to, p)
}

// cancel takes the waiting parts of a piece off a peer's queue.
func (s *server) cancel(to *Session, r *Root, piece int) {
	for _, l := range s.lanes {
		l.cancel(time.Now(), to, r, piece)
	}
}

// leave takes all of a root off a peer's queue.
func (s *server) leave(to *Session, r *Root) {
	for _, l := range s.lanes {
		l.leave(time.Now(), to, r)
	}
}

// measured notes a round trip to a peer.
func (s *server) measured(to *Session, trip time.Duration) {
	for _, l := range s.lanes {
		l.measured(to, trip)
	}
}

// refused notes that a peer did not give what it has: it is no promising newcomer.
func (s *server) refused(from *Session) {
	for _, l := range s.lanes {
		l.refused(time.Now(), from)
	}
}

// copied notes that a peer of a root has pieces: they are less urgent to give away.
func (s *server) copied(from *Session, r *Root, runs []Run) {
	for _, l := range s.lanes {
		l.copied(time.Now(), from, r, runs)
	}
}

// forget lets go of what is known of a root.
func (s *server) forget(r *Root) {
	for _, l := range s.lanes {
		l.forget(r)
	}
}

// dispatch gives out the slots of a lane until the exchange closes.
func (s *server) dispatch(l *lane) {
	for {
		to, p, ok := l.next()
		if !ok {
			return
		}
		if !s.x.spawn(func() { s.upload(l, to, p) }) { // closed
			l.vacate()
			return
		}
	}
}

// upload serves one frame. A peer that takes it slowly, or not at all, holds no
// slot for longer than slotTime, so that it delays nobody else.
func (s *server) upload(l *lane, to *Session, p upload.Part) {
	vacate := sync.OnceFunc(l.vacate)
	ok := s.serve(l, to, p, func() func() bool { return time.AfterFunc(slotTime, vacate).Stop })
	vacate()
	l.done(time.Now(), to, p, ok)
}

// serve sends one frame, or rejects it. writing is called before the write, and
// what it returns after it.
func (s *server) serve(l *lane, to *Session, part upload.Part, writing func() func() bool) bool {
	r := part.Root.(*Root)
	p, ok := r.piece(part.Piece)
	if !ok {
		return false
	}
	data, release, err := s.read(r, part.Piece, p)
	if err != nil {
		s.x.log.Debug("cannot serve", "root", r.CID, "piece", part.Piece, "err", err)
		to.reject(r, part.Piece, pb.Reject_NOT_HELD)
		return false
	}
	defer release()
	from := part.First * Block
	body := data[from:min(from+part.Count*Block, len(data))]
	h := to.handleOf(r)
	if h == 0 {
		return false // closed meanwhile
	}
	f := frame{handle: h, piece: uint32(part.Piece), first: uint16(part.First), count: uint16(part.Count), length: uint32(len(body))}
	written := writing()
	err = to.writeFrame(l, f, body)
	written()
	if err != nil {
		to.end(err)
		return false
	}
	s.onSent(to, r, len(body))
	return true
}

// read returns a piece: what has come of it, if it is passed on.
func (s *server) read(r *Root, piece int, p merkle.Piece) (data []byte, release func(), err error) {
	if c := r.lend(piece); c != nil {
		return c.data, func() { s.cache.release(c) }, nil
	}
	return s.cache.get(p, func(buf []byte) ([]byte, error) {
		return s.x.cfg.Library.ReadPiece(s.x.ctx, p.Key, buf)
	})
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
	return maps.Clone(s.totals)
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

// rate tells the lanes what members are worth: those who pass on more get more.
// Who gave nothing lately may have had nothing to give, and counts as the mean.
func (s *server) rate(sessions []*Session) {
	gave := make([]float64, len(sessions))
	var sum, givers float64
	for i, to := range sessions {
		received, _ := to.Amounts()
		if gave[i] = float64(received - to.rated); gave[i] > 0 {
			sum, givers = sum+gave[i], givers+1
		}
		to.rated = received
	}
	for i, to := range sessions {
		worth := 1.0
		if gave[i] > 0 {
			worth = min(max(gave[i]*givers/sum, 0.5), 2)
		}
		for _, l := range s.lanes {
			l.value(to, worth)
		}
	}
}
