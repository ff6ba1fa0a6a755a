package exchange

import (
	"iter"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
)

// Root is this node's part in one root: what it has, and the sessions of its
// peers. A root that is being fetched has an owner that gets Events and sends
// requests; a root that is only served has none. Methods never wait for a peer.
type Root struct {
	CID cid.Cid

	x      *Exchange
	events chan<- Event  // nil without an owner
	left   chan struct{} // closed when the owner leaves

	mu     sync.Mutex
	table  *merkle.Table // nil until the tree is known
	have   HaveMap
	tree   []cid.Cid
	fresh  []int // had, and not yet announced
	joined map[*Session]bool
}

func newRoot(x *Exchange, c cid.Cid, events chan<- Event) *Root {
	return &Root{CID: c, x: x, events: events, left: make(chan struct{}), joined: map[*Session]bool{}}
}

func (r *Root) owned() bool {
	if r.events == nil {
		return false
	}
	select {
	case <-r.left:
		return false
	default:
		return true
	}
}

func (r *Root) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.joined) == 0
}

// deliver hands an event to the owner, if there is one. It waits for the
// owner, which never waits for a peer.
func (r *Root) deliver(e Event) {
	if r.events == nil {
		if got, ok := e.(Received); ok {
			Release(got.Data)
		}
		return
	}
	select {
	case r.events <- e:
	case <-r.left:
	case <-r.x.ctx.Done():
	}
}

// hold sets what is here of a root that is served.
func (r *Root) hold(h Held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.table, r.tree = h.Table, h.Tree
	for i, ok := range h.Have {
		if ok {
			r.have.Add(i)
		}
	}
}

// Hold tells peers the tree and what is here of it: the owner knows the table now.
func (r *Root) Hold(h Held) {
	r.hold(h)
	for _, s := range r.sessions() {
		r.greet(s)
	}
}

// refresh replaces what a served root has, and tells its peers.
func (r *Root) refresh(h Held) {
	r.mu.Lock()
	r.have = HaveMap{}
	r.mu.Unlock()
	r.Hold(h)
}

// Have says that pieces are here now; peers learn of it within 100 ms.
func (r *Root) Have(pieces ...int) {
	r.mu.Lock()
	for _, p := range pieces {
		if r.have.Add(p) {
			r.fresh = append(r.fresh, p)
		}
	}
	r.mu.Unlock()
	select {
	case r.x.dirty <- struct{}{}:
	default: // a batch is due already
	}
}

// announce sends the fresh pieces to every peer that opened the root.
func (r *Root) announce() {
	r.mu.Lock()
	fresh := r.fresh
	r.fresh = nil
	r.mu.Unlock()
	if len(fresh) == 0 {
		return
	}
	slices.Sort(fresh)
	nums, rest := encodeRuns(runsOf(slices.Values(fresh)))
	for _, s := range r.sessions() {
		if h := s.handleOf(r); h != 0 {
			s.post(haveMessage(h, false, nums))
		}
	}
	for _, run := range rest {
		for i := range run.Count {
			r.again(run.First + i)
		}
	}
}

func (r *Root) again(piece int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fresh = append(r.fresh, piece)
	select {
	case r.x.dirty <- struct{}{}:
	default:
	}
}

// withdraw takes a piece back that turned out bad.
func (r *Root) withdraw(key merkle.Key) {
	r.mu.Lock()
	var gone []int
	if r.table != nil {
		for p := range r.have.All() {
			if r.table.Pieces[p].Key == key {
				gone = append(gone, p)
			}
		}
	}
	for _, p := range gone {
		r.have.Remove(p)
	}
	r.mu.Unlock()
	if len(gone) == 0 {
		return
	}
	nums, _ := encodeRuns(runsOf(slices.Values(gone)))
	for _, s := range r.sessions() {
		if h := s.handleOf(r); h != 0 {
			s.post(&pb.Message{Body: &pb.Message_Unhave{Unhave: &pb.Unhave{Handle: h, Runs: nums}}})
		}
	}
}

func (r *Root) sessions() []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*Session, 0, len(r.joined))
	for s := range r.joined {
		out = append(out, s)
	}
	return out
}

// Join opens the root with a peer: it will answer with Opened and Haves.
func (r *Root) Join(s *Session) { r.greet(s) }

// greet sends our Open and what we have to s.
func (r *Root) greet(s *Session) {
	r.mu.Lock()
	pieces, all := 0, false
	var maps [][]uint32
	if r.table != nil {
		pieces = len(r.table.Pieces)
		all = r.have.Count() == pieces
		for rest := r.have.Runs(); !all && rest != nil; {
			nums, left := encodeRuns(rest)
			maps = append(maps, nums)
			rest = nil
			if len(left) > 0 {
				rest = slices.Values(left)
			}
		}
	}
	r.joined[s] = true
	r.mu.Unlock()
	h := s.open(r)
	if h == 0 {
		r.forget(s)
		return
	}
	s.post(openMessage(h, r.CID, pieces))
	if all && pieces > 0 {
		s.post(haveMessage(h, true, nil))
	}
	for _, nums := range maps {
		s.post(haveMessage(h, false, nums))
	}
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
		s.members[r] = m
	}
	if m.ours == 0 {
		if len(s.ours) >= maxHandles {
			return 0
		}
		s.next++
		m.ours = s.next
		s.ours[m.ours] = r
	}
	return m.ours
}

// introduce tells s of other peers of the root, and them of s. Their addresses
// are their own signed records.
func (r *Root) introduce(s *Session) {
	var records [][]byte
	for _, other := range r.sessions() {
		if other == s || other.handleOf(r) == 0 {
			continue
		}
		if rec := r.x.record(other.Peer); rec != nil && len(records) < maxPeers {
			records = append(records, rec)
		}
	}
	if h := s.handleOf(r); h != 0 && len(records) > 0 {
		s.post(&pb.Message{Body: &pb.Message_Peers{Peers: &pb.Peers{Handle: h, Records: records}}})
	}
}

func (r *Root) forget(s *Session) {
	r.mu.Lock()
	delete(r.joined, s)
	r.mu.Unlock()
}

// gone is told that a session ended.
func (r *Root) gone(s *Session, err error) {
	r.forget(s)
	r.deliver(Gone{From: s, Err: err})
	r.x.drop(r)
}

// handOver moves the sessions of a root that was only served to its new owner.
func (r *Root) handOver(to *Root) {
	r.mu.Lock()
	joined := r.joined
	r.joined = map[*Session]bool{}
	to.table, to.have, to.tree = r.table, r.have, r.tree
	r.mu.Unlock()
	for s := range joined {
		s.mu.Lock()
		if m := s.members[r]; m != nil && s.ended == nil {
			delete(s.members, r)
			s.members[to] = m
			s.ours[m.ours], s.theirs[m.theirs] = to, to
			delete(s.ours, 0)
			delete(s.theirs, 0)
			to.joined[s] = true
		}
		s.mu.Unlock()
	}
}

// Close ends the owner's part. Peers are still served what was had.
func (r *Root) Close() {
	r.x.mu.Lock()
	select {
	case <-r.left:
		r.x.mu.Unlock()
		return
	default:
	}
	close(r.left)
	r.x.mu.Unlock()
	for _, s := range r.sessions() {
		s.dropAll(r)
	}
	r.mu.Lock()
	nothing := r.have.Count() == 0
	r.mu.Unlock()
	if nothing {
		r.leave()
	}
	r.x.drop(r)
}

// leave closes the root in every session.
func (r *Root) leave() {
	for _, s := range r.sessions() {
		s.mu.Lock()
		m := s.members[r]
		if m != nil {
			delete(s.members, r)
			delete(s.ours, m.ours)
			delete(s.theirs, m.theirs)
		}
		s.mu.Unlock()
		if m != nil && m.ours != 0 {
			s.post(&pb.Message{Body: &pb.Message_Close{Close: &pb.Close{Handle: m.ours}}})
		}
		r.forget(s)
		r.x.server.leave(s, r)
	}
}

// Claim tells the peers that we fetch pieces from the origin.
func (r *Root) Claim(runs []Run, ttlMillis int) {
	nums, _ := encodeRuns(slices.Values(runs))
	for _, s := range r.sessions() {
		if h := s.handleOf(r); h != 0 {
			s.post(&pb.Message{Body: &pb.Message_Claim{Claim: &pb.Claim{Handle: h, Runs: nums, TtlMs: uint32(ttlMillis)}}})
		}
	}
}

func (r *Root) pieces() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.table == nil {
		return merkle.MaxPieces
	}
	return len(r.table.Pieces)
}

func (r *Root) piece(n int) (merkle.Piece, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.table == nil || n < 0 || n >= len(r.table.Pieces) {
		return merkle.Piece{}, false
	}
	return r.table.Pieces[n], true
}

func (r *Root) holds(piece int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.have.Has(piece)
}

// part is a run of blocks of one piece.
type part struct{ piece, first, count int }

// split cuts a run of blocks that may go on over pieces into parts. What is
// past the last piece is left out.
func (r *Root) split(piece, first, count int) iter.Seq[part] {
	return func(yield func(part) bool) {
		for count > 0 {
			p, ok := r.piece(piece)
			if !ok || first >= blocks(p.Size) {
				return
			}
			n := min(count, blocks(p.Size)-first)
			if !yield(part{piece, first, n}) {
				return
			}
			piece, first, count = piece+1, 0, count-n
		}
	}
}

func openMessage(handle uint32, c cid.Cid, pieces int) *pb.Message {
	return &pb.Message{Body: &pb.Message_Open{Open: &pb.Open{
		Handle: handle, Root: c.Bytes(), Missing: handle == 0, Pieces: uint32(pieces),
	}}}
}

func haveMessage(handle uint32, all bool, runs []uint32) *pb.Message {
	return &pb.Message{Body: &pb.Message_Have{Have: &pb.Have{Handle: handle, All: all, Runs: runs}}}
}
