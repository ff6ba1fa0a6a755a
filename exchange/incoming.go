package exchange

import (
	"math/bits"

	"github.com/shoal-p2p/shoal/exchange/pb"
)

type pendingKey struct {
	root  *Root
	piece int
}

// incoming is a piece on its way: the blocks come straight into data.
// Guarded by Session.mu, but data itself while busy belongs to the reader.
type incoming struct {
	data      *buffer // nil until the first block comes
	size      int     // bytes of the piece
	missing   uint32  // one bit a block; MaxLeaf is 32 blocks
	busy      bool    // the reader is filling data: it alone changes missing
	cancelled bool
	lent      *cached // data, for those to whom it is passed on as it comes; nil: it is not
}

func (in *incoming) cancel() {
	in.cancelled = true
	in.free()
}

// came is how many bytes have come, in whole blocks.
func (in *incoming) came() int {
	n := blocks(in.size) // at least 1: no piece is empty
	came := (n - bits.OnesCount32(in.missing)) * Block
	if in.missing>>(n-1) == 0 { // the last one, which may be shorter
		came -= n*Block - in.size
	}
	return came
}

// free gives the buffer of a cancelled piece back, once nobody fills it.
func (in *incoming) free() {
	if in.cancelled && !in.busy && in.data != nil {
		in.data.release()
		in.data = nil
	}
}

// Ask is a run of blocks of a piece.
type Ask struct {
	Piece, First, Count int
	Size                int  // bytes of the whole piece
	Urgent              bool // a reader waits for it
	Tied                bool // asked of others too: it is offered before it comes
	Again               bool // takes an offer: it was asked before
}

func (a Ask) follows(b Ask) bool {
	return a.Urgent == b.Urgent && a.Tied == b.Tied && a.Piece == b.Piece+1 && a.First == 0 && b.First+b.Count == blocks(b.Size)
}

// bytes of the blocks that are asked for.
func (a Ask) bytes() int64 { return int64(min(a.Count*Block, a.Size-a.First*Block)) }

// Request asks s for blocks of a piece of size bytes. The blocks of one piece
// are asked in one or several requests; when all have come, the piece is
// delivered as Received. Runs of whole consecutive pieces go as one message.
// Nothing happens when the session has ended: Gone tells of it.
func (r *Root) Request(s *Session, asks []Ask) {
	s.mu.Lock()
	m := s.members[r]
	if m == nil || m.ours == 0 || s.ended != nil {
		s.mu.Unlock()
		return
	}
	handle := m.ours
	for _, a := range asks {
		k := pendingKey{r, a.Piece}
		if a.Again {
			continue
		}
		if s.pending[k] == nil {
			s.pending[k] = &incoming{size: a.Size, missing: 1<<blocks(a.Size) - 1}
		}
		s.credit += a.bytes()
	}
	s.mu.Unlock()
	for len(asks) > 0 {
		q := &pb.Request{
			Handle: handle, Piece: uint32(asks[0].Piece), First: uint32(asks[0].First),
			Count: uint32(asks[0].Count), Urgent: asks[0].Urgent, Tied: asks[0].Tied,
		}
		n := 1
		for n < len(asks) && asks[n].follows(asks[n-1]) && q.Count+uint32(asks[n].Count) <= maxRequest {
			q.Count += uint32(asks[n].Count)
			n++
		}
		asks = asks[n:]
		s.post(&pb.Message{Body: &pb.Message_Request{Request: q}})
	}
}

// Cancel takes back all that was asked of s for a piece, and tells how many bytes
// of it had come. What is on its way comes as Wasted.
func (r *Root) Cancel(s *Session, piece int) int {
	lost, pending := s.drop(r, piece)
	r.Retract(s, piece)
	if pending {
		s.postCancel(r, piece)
	}
	return lost
}

func (s *Session) postCancel(r *Root, piece int) {
	if h := s.handleOf(r); h != 0 {
		s.post(&pb.Message{Body: &pb.Message_Cancel{Cancel: &pb.Cancel{Handle: h, Piece: uint32(piece)}}})
	}
}

// Bad tells s that a piece of its did not verify.
func (r *Root) Bad(s *Session, piece int) {
	if h := s.handleOf(r); h != 0 {
		s.post(&pb.Message{Body: &pb.Message_Bad{Bad: &pb.Bad{Handle: h, Piece: uint32(piece)}}})
	}
}

// drop forgets a piece, and tells how much of it came and whether it was pending.
func (s *Session) drop(r *Root, piece int) (came int, pending bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.pending[pendingKey{r, piece}]
	if in == nil {
		return 0, false
	}
	delete(s.pending, pendingKey{r, piece})
	in.cancel()
	return in.came(), true
}

// CancelAll takes back all that was asked of s for the root.
func (r *Root) CancelAll(s *Session) {
	s.dropAll(r, true)
	r.retractFrom(s)
}

// dropAll forgets all that was asked for r; tell cancels it with the peer too.
func (s *Session) dropAll(r *Root, tell bool) {
	var pieces []int
	s.mu.Lock()
	for k, in := range s.pending {
		if k.root == r {
			delete(s.pending, k)
			in.cancel()
			pieces = append(pieces, k.piece)
		}
	}
	s.forgetTrees(r)
	s.mu.Unlock()
	if tell {
		for _, p := range pieces {
			s.postCancel(r, p)
		}
	}
}

// take finds the piece that a frame belongs to and readies it to be filled. in
// is nil when the frame was not asked for, or not any more. The root is nil
// when the handle is not known. An error means that the peer sends more than
// was ever asked.
func (s *Session) take(f frame) (key pendingKey, in *incoming, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key = pendingKey{s.theirs[f.handle], int(f.piece)}
	if s.credit -= int64(f.length); s.credit < 0 {
		return key, nil, errTooMuch
	}
	in = s.pending[key]
	// A frame may bring again a part of what is here: one that was on its way
	// when its piece was cancelled, and asked for anew, ends where it likes.
	if in == nil || in.busy || in.missing&f.bits() == 0 {
		return key, nil, nil
	}
	end := int(f.first)*Block + int(f.length)
	if end > in.size || (end < in.size && f.length != uint32(f.count)*Block) {
		return key, nil, nil
	}
	if in.data == nil {
		in.data = newBuffer(in.size)
	}
	in.busy = true
	return key, in, nil
}

// filled notes n blocks that came. It returns whether the piece was cancelled
// meanwhile; and, if it is passed on, how many it has from the first one on.
func (s *Session) filled(in *incoming, block, n int) (passes int, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.missing &^= uint32(1<<n-1) << block
	if in.lent != nil && !in.cancelled {
		in.lent.missing = in.missing
		passes = in.prefix()
	}
	return passes, in.cancelled
}

// rest ends the filling of a piece. It returns the piece if it is whole, and
// whether it was cancelled.
func (s *Session) rest(key pendingKey, in *incoming) (whole *buffer, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.busy = false
	if in.cancelled {
		in.free()
		return nil, true
	}
	if bits.OnesCount32(in.missing) > 0 {
		return nil, false
	}
	delete(s.pending, key)
	return in.data, false
}
