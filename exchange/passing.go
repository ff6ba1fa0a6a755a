package exchange

import (
	"math/bits"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
)

// maxPassing bounds the pieces of a root that are passed on as they come, each a
// buffer of one piece.
const maxPassing = 32

// passing is a piece that is passed on to others while it comes. It is provisional:
// nobody knows yet whether it is right, and those who ask for it were told so.
type passing struct {
	from *Session
	lent *cached // what has come, as the server sends it
}

// Pass has a piece that was requested of s passed on to other peers as it comes. It
// ends with Have, with Retract, or when nothing more comes. Nothing happens without a
// peer that may want it, or while uploads have better to do.
func (r *Root) Pass(s *Session, piece int) {
	p, ok := r.piece(piece)
	if !ok || !r.mayPass(piece) || !r.x.server.worth(r, piece) {
		return
	}
	c, came := s.passOn(r, piece, p)
	if c == nil {
		return
	}
	r.mu.Lock()
	if r.passing == nil {
		r.passing = map[int]*passing{}
	}
	r.passing[piece] = &passing{s, c}
	r.coming = append(r.coming, piece)
	r.x.server.partial(r, piece, came)
	if !s.passes(r, piece, c) { // it was taken back meanwhile
		r.retract(func(p int, _ *Session) bool { return p == piece })
	}
	r.mu.Unlock()
	r.x.announceSoon()
}

// more notes how many blocks of a piece have come that is passed on.
func (r *Root) more(s *Session, piece, blocks int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.passing[piece]; f != nil && f.from == s {
		r.x.server.partial(r, piece, blocks)
	}
}

func (r *Root) mayPass(piece int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.passing[piece] == nil && len(r.passing) < maxPassing && len(r.joined) > 1 && !r.have.Has(piece)
}

// passOn lends a piece that comes from s to those to whom it is passed on, and returns
// how many blocks have come, from the first one on; nil without any.
func (s *Session) passOn(r *Root, piece int, p merkle.Piece) (c *cached, came int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.pending[pendingKey{r, piece}]
	if in == nil || in.data == nil || in.lent != nil || in.prefix() == 0 {
		return nil, 0
	}
	in.lent = lent(p, in.data, in.missing)
	return in.lent, in.prefix()
}

// prefix is how many blocks have come, from the first one on.
func (in *incoming) prefix() int { return min(bits.TrailingZeros32(in.missing), blocks(in.size)) }

// passed ends the passing on of a piece that is here now. mu is held.
func (r *Root) passed(piece int) {
	f := r.passing[piece]
	if f == nil {
		return
	}
	delete(r.passing, piece)
	if f.from.unpass(r, piece, f.lent) {
		r.x.server.cache.adopt(f.lent)
	}
	r.x.server.cache.release(f.lent)
}

// retract ends the passing on of pieces of which nothing more comes, and tells those
// who may wait for them. mu is held.
func (r *Root) retract(which func(piece int, from *Session) bool) {
	var gone HaveMap
	for piece, f := range r.passing {
		if !which(piece, f.from) {
			continue
		}
		delete(r.passing, piece)
		f.from.unpass(r, piece, f.lent)
		r.x.server.cache.release(f.lent)
		r.x.server.withdraw(r, piece)
		gone.Add(piece)
	}
	r.coming = slices.DeleteFunc(r.coming, gone.Has)
	r.lose(&gone)
}

// passes reports whether a piece that comes from s is lent as c, or has come.
func (s *Session) passes(r *Root, piece int, c *cached) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.pending[pendingKey{r, piece}]
	return c.missing == 0 || in != nil && in.lent == c
}

// unpass ends the lending of a piece that comes, and reports whether it is whole.
func (s *Session) unpass(r *Root, piece int, c *cached) (whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in := s.pending[pendingKey{r, piece}]; in != nil && in.lent == c {
		in.lent = nil
	}
	return c.missing == 0
}

// retractFrom is retract of all that came from s.
func (r *Root) retractFrom(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retract(func(_ int, from *Session) bool { return from == s })
}

// Retract ends the passing on of a piece of which nothing more comes from s, or that
// was wrong, if it came from s.
func (r *Root) Retract(s *Session, piece int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.passing[piece]; f != nil && f.from == s {
		r.retract(func(p int, _ *Session) bool { return p == piece })
	}
}

// lend returns a piece that is passed on, nil if it is not. The caller releases it.
func (r *Root) lend(piece int) *cached {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.passing[piece]
	if f == nil {
		return nil
	}
	r.x.server.cache.use(f.lent)
	return f.lent
}

// serves reports whether a piece is here, or passed on.
func (r *Root) serves(piece int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.have.Has(piece) || r.passing[piece] != nil
}

// partials is what a peer is told of pieces that are passed on. mu is held.
func (r *Root) partials(pieces []int) (told []*pb.Partial) {
	for _, piece := range pieces {
		if f := r.passing[piece]; f != nil {
			told = append(told, &pb.Partial{Piece: uint32(piece)})
		}
	}
	return told
}

func partialMessage(handle uint32, told []*pb.Partial) *pb.Message {
	return &pb.Message{Body: &pb.Message_Have{Have: &pb.Have{Handle: handle, Partial: told}}}
}

// partial tells the lanes how much of a piece is here.
func (s *server) partial(r *Root, piece, blocks int) {
	for _, l := range s.lanes {
		l.update(func(now time.Time) { l.uploads.OnPartial(now, r, piece, blocks) })
	}
}

// whole tells the lanes that a piece is here.
func (s *server) whole(r *Root, piece int) {
	for _, l := range s.lanes {
		l.update(func(now time.Time) { l.uploads.OnWhole(now, r, piece) })
	}
}

// withdraw takes a piece that was passed on off all queues.
func (s *server) withdraw(r *Root, piece int) {
	for _, l := range s.lanes {
		l.update(func(now time.Time) { l.uploads.Withdraw(now, r, piece) })
	}
}

// worth reports whether it is worth while to pass a piece on.
func (s *server) worth(r *Root, piece int) bool {
	if s.limit.off {
		return false
	}
	l := s.lanes[0]
	if s.limit.b != nil {
		l = s.lanes[1]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.uploads.Worth(r, piece)
}

// update runs f, and wakes the dispatcher.
func (l *lane) update(f func(now time.Time)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(time.Now())
	l.wake.Signal()
}
