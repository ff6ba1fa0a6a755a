package exchange

import (
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/exchange/ledger"
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
		return s.onBad(b.Bad)
	case *pb.Message_Claim:
		return s.onClaim(b.Claim)
	case *pb.Message_Peers:
		return s.onPeers(b.Peers)
	case *pb.Message_Offer:
		s.onOffer(b.Offer)
	case *pb.Message_Ack:
		return s.onAck(b.Ack.GetBytes())
	case *pb.Message_Ping:
		s.send(&pb.Message{Body: &pb.Message_Pong{Pong: &pb.Ping{Nonce: b.Ping.GetNonce()}}})
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
		trip := max(time.Since(s.pinged), time.Microsecond)
		s.rtt.Store(int64(trip))
		s.pinged = time.Time{}
		s.x.server.measured(s, trip)
	}
}

// onOpen answers a peer that opens a root: with our own Open and what we have
// of it, or with one that says it is missing here.
func (s *Session) onOpen(o *pb.Open) error {
	c, err := castCID(o.GetRoot())
	if err != nil {
		return err
	}
	if o.Pieces > merkle.MaxPieces || (o.Handle == 0) != o.Missing {
		return fmt.Errorf("%w: open of %d pieces, handle %d", errProtocol, o.Pieces, o.Handle)
	}
	if o.Missing {
		s.onMissing(c)
		return nil
	}
	if len(o.Manifest) > merkle.MaxEnvelope {
		return fmt.Errorf("%w: manifest of %d bytes", errProtocol, len(o.Manifest))
	}
	r := s.x.enter(c, s)
	if s.x.cfg.OnSought != nil && (r == nil || r.lacks()) {
		s.x.cfg.OnSought(s.Peer, c, o.Manifest)
	}
	if r == nil {
		s.send(openMessage(0, c, 0, false))
		o.Manifest = nil // not kept: it may be long
		return s.seek(c, o)
	}
	first, answer, err := s.opened(r, c, o)
	if err == nil && answer {
		r.greet(s, false)
	}
	if err != nil {
		r.forget(s)
		return err
	}
	r.deliver(Opened{Of: r, From: s, Pieces: int(o.Pieces)})
	if first {
		r.welcome(s, int(min(o.Known, maxPeers)))
	}
	return nil
}

// opened notes the peer's handle of r. It tells whether the peer had none, and
// whether it needs to know what we have.
func (s *Session) opened(r *Root, c cid.Cid, o *pb.Open) (first, answer bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return false, false, s.ended
	}
	delete(s.sought, c.KeyString())
	switch at := s.theirs[o.Handle]; {
	case at == nil && len(s.theirs) >= maxHandles:
		return false, false, fmt.Errorf("%w: more than %d roots open", errProtocol, maxHandles)
	case at != nil && at != r:
		return false, false, fmt.Errorf("%w: handle %d names two roots", errProtocol, o.Handle)
	}
	m := s.members[r]
	if m == nil {
		m = &member{}
		s.members[r] = m
	}
	if m.theirs != 0 && m.theirs != o.Handle {
		delete(s.theirs, m.theirs)
	}
	first, answer = m.theirs == 0, m.ours == 0 || m.missing || o.Query
	if first {
		m.has, m.all = HaveMap{}, false
	}
	m.theirs, m.missing = o.Handle, false
	s.theirs[o.Handle] = r
	return first, answer, nil
}

// onMissing is told that the peer has nothing of a root that we opened.
func (s *Session) onMissing(c cid.Cid) {
	s.x.mu.Lock()
	r := s.x.roots[c.KeyString()]
	s.x.mu.Unlock()
	if r == nil {
		return
	}
	s.mu.Lock()
	m := s.members[r]
	if m != nil {
		delete(s.theirs, m.theirs)
		m.theirs, m.missing = 0, true
	}
	s.mu.Unlock()
	if m == nil {
		return // we did not ask
	}
	s.lost(r)
}

// lost tells the owner of r that the peer has no part in it any more. A root
// that we only serve ends with the peer's interest in it.
func (s *Session) lost(r *Root) {
	s.dropAll(r, false)
	r.retractFrom(s)
	s.x.server.leave(s, r)
	r.deliver(Opened{Of: r, From: s, Missing: true})
	r.abandon(s)
}

// seek remembers that the peer asks for a root that is not here, in case it comes.
func (s *Session) seek(c cid.Cid, o *pb.Open) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.theirs[o.Handle] != nil {
		return fmt.Errorf("%w: handle %d names two roots", errProtocol, o.Handle)
	}
	if len(s.sought) < maxHandles {
		s.sought[c.KeyString()] = o
	}
	return nil
}

// reopen answers anew a peer that asked for a root when it was not here.
func (s *Session) reopen(c cid.Cid) {
	err := s.locked(s.applying, func() error {
		s.mu.Lock()
		o := s.sought[c.KeyString()]
		s.mu.Unlock()
		if o == nil {
			return nil
		}
		return s.onOpen(o)
	})
	if err != nil {
		s.end(err)
	}
}

func (s *Session) onClose(handle uint32) {
	s.mu.Lock()
	for key, o := range s.sought {
		if o.Handle == handle {
			delete(s.sought, key)
		}
	}
	r := s.theirs[handle]
	delete(s.theirs, handle)
	if r != nil {
		if m := s.members[r]; m != nil {
			m.theirs, m.missing = 0, true
		}
	}
	s.mu.Unlock()
	if r != nil {
		s.lost(r)
	}
}

// leave ends our part in r and returns the handle to close, 0 if there is none.
func (s *Session) leave(r *Root) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.members[r]
	if m == nil {
		return 0
	}
	delete(s.members, r)
	delete(s.ours, m.ours)
	delete(s.theirs, m.theirs)
	return m.ours
}

// interested tells whether the peer has r open.
func (s *Session) interested(r *Root) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.members[r]
	return m != nil && m.theirs != 0
}

// open gives r a handle in s, or the one it has. 0 when the session has ended
// or has too many roots.
func (s *Session) open(r *Root) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return 0
	}
	m := s.members[r]
	if m == nil {
		m = &member{}
	}
	if m.ours == 0 {
		if len(s.ours) >= maxHandles {
			return 0
		}
		s.next++
		m.ours = s.next
		s.ours[m.ours] = r
		s.members[r] = m
	}
	return m.ours
}

// runs reads the run list of a message about a root, nil if that is not open.
func (s *Session) runs(handle uint32, nums []uint32) (*Root, []Run, error) {
	r := s.rootOf(handle)
	if r == nil {
		return nil, nil, nil
	}
	runs, err := decodeRuns(nums, r.pieces())
	return r, runs, err
}

func (s *Session) onHave(h *pb.Have) error {
	r, runs, err := s.runs(h.GetHandle(), h.GetRuns())
	if r == nil || err != nil {
		return err
	}
	partial, err := decodePartial(h.GetPartial(), r.pieces())
	if err != nil {
		return err
	}
	s.noteHave(r, h.All, runs)
	s.x.server.copied(s, r, runs)
	r.deliver(Haves{Of: r, From: s, All: h.All, Runs: runs, Partial: partial})
	return nil
}

func (s *Session) onUnhave(h *pb.Unhave) error {
	r, runs, err := s.runs(h.GetHandle(), h.GetRuns())
	if r == nil || err != nil {
		return err
	}
	s.noteUnhave(r)
	r.deliver(Unhaves{Of: r, From: s, Runs: runs})
	return nil
}

func (s *Session) onClaim(c *pb.Claim) error {
	r, runs, err := s.runs(c.GetHandle(), c.GetRuns())
	if r == nil || err != nil {
		return err
	}
	const longest = 60_000 // ms; a claim is renewed or forgotten
	if c.Relayed > MaxRelayed {
		return fmt.Errorf("%w: claim relayed %d times", errProtocol, c.Relayed)
	}
	r.deliver(Claims{From: s, Runs: runs, TTL: int(min(c.TtlMs, longest)), Relayed: int(c.Relayed), Near: c.Near})
	return nil
}

func (s *Session) onReject(j *pb.Reject) {
	r := s.rootOf(j.GetHandle())
	if r == nil {
		return
	}
	_, pending := s.drop(r, int(j.Piece))
	r.Retract(s, int(j.Piece))
	if pending {
		s.x.server.refused(s)
		r.deliver(Rejected{From: s, Piece: int(j.Piece), Busy: j.Reason == pb.Reject_BUSY})
	}
}

// onOffer asks the owner of a root whether it still wants a piece of this peer.
func (s *Session) onOffer(o *pb.Offer) {
	r := s.rootOf(o.GetHandle())
	if r == nil {
		return
	}
	s.mu.Lock()
	wanted := s.pending[pendingKey{r, int(o.Piece)}] != nil
	s.mu.Unlock()
	if wanted {
		r.deliver(Offered{From: s, Piece: int(o.Piece)})
	} else {
		s.postCancel(r, int(o.Piece))
	}
}

// onBad has a piece looked at that the peer found bad. An honest peer leaves
// after a few, so more are only meant to keep our disk busy.
func (s *Session) onBad(b *pb.Bad) error {
	r := s.rootOf(b.GetHandle())
	if r == nil {
		return nil
	}
	s.mu.Lock()
	s.bads++
	over := s.bads > maxBad
	s.mu.Unlock()
	if over {
		return fmt.Errorf("%w: more than %d pieces called bad", errProtocol, maxBad)
	}
	if p, ok := r.piece(int(b.Piece)); ok {
		s.x.server.cache.remove(p.Key)
		s.x.cfg.Library.Suspect(p.Key)
	}
	return nil
}

func (s *Session) onRequest(q *pb.Request) error {
	r := s.rootOf(q.GetHandle())
	if r == nil {
		return nil
	}
	if q.Count == 0 || q.Count > maxRequest || q.First >= maxBlocks || int(q.Piece) >= r.pieces() {
		return fmt.Errorf("%w: request of %d+%d blocks from piece %d on", errProtocol, q.First, q.Count, q.Piece)
	}
	parts := 0
	for part := range r.split(int(q.Piece), int(q.First), int(q.Count)) {
		part.Urgent, part.Tied, part.Free = q.Urgent, q.Tied, s.isFree(r, part.Piece)
		reason, ok := pb.Reject_NOT_HELD, r.serves(part.Piece)
		if ok && !s.x.server.queue(s, part) {
			ok, reason = false, pb.Reject_BUSY
		}
		if !ok {
			s.reject(r, part.Piece, reason)
		}
		parts++
	}
	if parts == 0 { // past the end of the piece, or the tree is not here
		s.reject(r, int(q.Piece), pb.Reject_NOT_HELD)
	}
	return nil
}

// isFree reports whether a piece is of the free set of the peer's address.
func (s *Session) isFree(r *Root, piece int) bool {
	total := r.pieces()
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.members[r]
	if m == nil {
		return false
	}
	if m.free == nil {
		m.free = ledger.FreeSet(s.prefix, string(r.CID.Bytes()), total)
	}
	_, ok := slices.BinarySearch(m.free, piece)
	return ok
}

func (s *Session) reject(r *Root, piece int, reason pb.Reject_Reason) {
	if h := s.handleOf(r); h != 0 {
		s.send(&pb.Message{Body: &pb.Message_Reject{Reject: &pb.Reject{Handle: h, Piece: uint32(piece), Reason: reason}}})
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
