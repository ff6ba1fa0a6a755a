package exchange

import (
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
)

// handle applies one control message of the peer. Messages about a handle that
// is not known are ignored: they crossed a Close.
func (s *Session) handle(m *pb.Message) error {
	switch b := m.Body.(type) {
	case *pb.Message_Open:
		return s.onOpen(b.Open)
	case *pb.Message_Close:
		s.onClose(b.Close.GetHandle())
	case *pb.Message_Have:
		return s.onHave(b.Have)
	case *pb.Message_Unhave:
		return s.onUnhave(b.Unhave)
	case *pb.Message_TreeRequest:
		return s.onTreeRequest(b.TreeRequest)
	case *pb.Message_TreeReply:
		s.onTreeReply(b.TreeReply)
	case *pb.Message_Request:
		return s.onRequest(b.Request)
	case *pb.Message_Cancel:
		if r := s.rootOf(b.Cancel.GetHandle()); r != nil {
			s.x.server.cancel(s, r, int(b.Cancel.Piece))
		}
	case *pb.Message_Reject:
		s.onReject(b.Reject)
	case *pb.Message_Bad:
		s.onBad(b.Bad)
	case *pb.Message_Claim:
		return s.onClaim(b.Claim)
	case *pb.Message_Peers:
		return s.onPeers(b.Peers)
	case *pb.Message_Ping:
		s.post(&pb.Message{Body: &pb.Message_Pong{Pong: &pb.Ping{Nonce: b.Ping.GetNonce()}}})
	case *pb.Message_Pong:
		s.onPong()
	case *pb.Message_Hello:
		return fmt.Errorf("%w: second greeting", errProtocol)
	}
	return nil
}

func (s *Session) rootOf(handle uint32) *Root {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.theirs[handle]
}

func (s *Session) onPong() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.pinged.IsZero() {
		s.rtt.Store(int64(max(time.Since(s.pinged), time.Microsecond)))
		s.pinged = time.Time{}
	}
}

// onOpen answers a peer that opens a root: with our own Open and what we have
// of it, or with one that says it is missing here.
func (s *Session) onOpen(o *pb.Open) error {
	c, err := cid.Cast(o.GetRoot())
	if err != nil {
		return fmt.Errorf("%w: root: %w", errProtocol, err)
	}
	if o.Pieces > merkle.MaxPieces || (o.Handle == 0) != o.Missing {
		return fmt.Errorf("%w: open of %d pieces, handle %d", errProtocol, o.Pieces, o.Handle)
	}
	r := s.x.root(c)
	if r == nil {
		if !o.Missing {
			s.post(openMessage(0, c, 0))
		}
		return nil
	}
	s.mu.Lock()
	m := s.members[r]
	if m == nil {
		m = &member{}
	}
	answer := m.ours == 0 || m.missing // it does not know our state, or had no use for it
	if s.ended != nil || (s.theirs[o.Handle] == nil && len(s.theirs) >= maxHandles) {
		s.mu.Unlock()
		return fmt.Errorf("%w: more than %d roots open", errProtocol, maxHandles)
	}
	s.members[r] = m
	m.missing = o.Missing
	if m.theirs != 0 && m.theirs != o.Handle {
		delete(s.theirs, m.theirs)
	}
	if m.theirs = o.Handle; o.Handle != 0 {
		s.theirs[o.Handle] = r
	}
	s.mu.Unlock()
	if answer && !o.Missing {
		r.greet(s)
	}
	r.deliver(Opened{Of: r, From: s, Missing: o.Missing, Pieces: int(o.Pieces)})
	if !o.Missing {
		r.introduce(s)
	}
	return nil
}

func (s *Session) onClose(handle uint32) {
	s.mu.Lock()
	r := s.theirs[handle]
	delete(s.theirs, handle)
	var reply uint32
	if r != nil {
		if m := s.members[r]; m != nil {
			m.theirs, m.missing = 0, true
			// A root that we only serve ends with the peer's interest in it.
			if !r.owned() {
				reply = m.ours
				delete(s.ours, m.ours)
				delete(s.members, r)
			}
		}
	}
	s.mu.Unlock()
	if r == nil {
		return
	}
	if reply != 0 {
		s.post(&pb.Message{Body: &pb.Message_Close{Close: &pb.Close{Handle: reply}}})
	}
	s.x.server.leave(s, r)
	r.deliver(Opened{Of: r, From: s, Missing: true})
	s.x.drop(r)
}

func (s *Session) onHave(h *pb.Have) error {
	r := s.rootOf(h.GetHandle())
	if r == nil {
		return nil
	}
	runs, err := decodeRuns(h.Runs, r.pieces())
	if err != nil {
		return err
	}
	r.deliver(Haves{Of: r, From: s, All: h.All, Runs: runs})
	return nil
}

func (s *Session) onUnhave(h *pb.Unhave) error {
	r := s.rootOf(h.GetHandle())
	if r == nil {
		return nil
	}
	runs, err := decodeRuns(h.Runs, r.pieces())
	if err != nil {
		return err
	}
	r.deliver(Unhaves{Of: r, From: s, Runs: runs})
	return nil
}

func (s *Session) onClaim(c *pb.Claim) error {
	r := s.rootOf(c.GetHandle())
	if r == nil {
		return nil
	}
	runs, err := decodeRuns(c.Runs, r.pieces())
	if err != nil {
		return err
	}
	const longest = 60_000 // ms; a claim is renewed or forgotten
	r.deliver(Claims{From: s, Runs: runs, TTL: int(min(c.TtlMs, longest))})
	return nil
}

func (s *Session) onPeers(p *pb.Peers) error {
	if len(p.GetRecords()) > maxPeers {
		return fmt.Errorf("%w: %d peer records", errProtocol, len(p.Records))
	}
	if r := s.rootOf(p.GetHandle()); r != nil {
		r.deliver(Met{From: s, Records: p.Records})
	}
	return nil
}

func (s *Session) onReject(j *pb.Reject) {
	r := s.rootOf(j.GetHandle())
	if r == nil {
		return
	}
	s.drop(r, int(j.Piece))
	r.deliver(Rejected{From: s, Piece: int(j.Piece), Busy: j.Reason == pb.Reject_BUSY})
}

func (s *Session) onBad(b *pb.Bad) {
	r := s.rootOf(b.GetHandle())
	if r == nil {
		return
	}
	if p, ok := r.piece(int(b.Piece)); ok {
		s.x.server.cache.remove(p.Key)
		s.x.cfg.Library.Suspect(p.Key)
	}
}

func (s *Session) onRequest(q *pb.Request) error {
	r := s.rootOf(q.GetHandle())
	if r == nil {
		return nil
	}
	if q.Count == 0 || q.Count > maxRequest || q.First >= maxBlocks {
		return fmt.Errorf("%w: request of %d+%d blocks", errProtocol, q.First, q.Count)
	}
	for part := range r.split(int(q.Piece), int(q.First), int(q.Count)) {
		reason, ok := pb.Reject_NOT_HELD, r.holds(part.piece)
		if ok && !s.x.server.queue(s, r, part) {
			ok, reason = false, pb.Reject_BUSY
		}
		if !ok {
			s.reject(r, part.piece, reason)
		}
	}
	return nil
}

func (s *Session) reject(r *Root, piece int, reason pb.Reject_Reason) {
	if h := s.handleOf(r); h != 0 {
		s.post(&pb.Message{Body: &pb.Message_Reject{Reject: &pb.Reject{Handle: h, Piece: uint32(piece), Reason: reason}}})
	}
}

// handleOf is our handle of r, 0 if it is not open in this session.
func (s *Session) handleOf(r *Root) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.members[r]; m != nil {
		return m.ours
	}
	return 0
}
