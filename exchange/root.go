package exchange

import (
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/exchange/upload"
	"github.com/shoal-p2p/shoal/merkle"
)

// Root is this node's part in one root: what it has, and the sessions of its
// peers. A root that is being fetched has an owner that gets Events and sends
// requests; a root that is only served has none. It may gain and lose an owner
// while peers are served. Methods never wait for a peer.
type Root struct {
	CID cid.Cid

	x *Exchange

	// Messages that tell what is here are posted under mu, so that peers get
	// them in the order in which it changed. Locked before Session.mu.
	mu      sync.Mutex
	owner   *owner        // nil while the root is only served
	table   *merkle.Table // nil until the tree is known
	have    HaveMap
	tree    []cid.Cid
	fresh   []int            // had, and not yet announced
	passing map[int]*passing // pieces that are passed on as they come
	coming  []int            // of these, those not yet announced
	joined  map[*Session]bool
	guests  map[*Session]*guest // peers that opened it
	opened  uint64              // guests so far
	named   uint64              // of them, those whose records became known
	heard   int                 // the most peers of which one told us at once lately
}

// owner is who gets the events of a root, until it leaves.
type owner struct {
	events chan<- Event
	left   chan struct{} // closed when it leaves
}

func newRoot(x *Exchange, c cid.Cid) *Root {
	return &Root{CID: c, x: x, joined: map[*Session]bool{}}
}

func (r *Root) owned() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owner != nil
}

// deliver hands an event to the owner, if there is one. It waits for the
// owner, which never waits for a peer.
func (r *Root) deliver(e Event) {
	r.mu.Lock()
	o := r.owner
	r.mu.Unlock()
	if o != nil {
		select {
		case o.events <- e:
			return
		case <-o.left:
		case <-r.x.ctx.Done():
		}
	}
	if got, ok := e.(Received); ok {
		got.Release()
	}
}

// hold sets the tree and adds to what is here.
func (r *Root) hold(h Held) {
	r.table, r.tree = h.Table, h.Tree
	for i, ok := range h.Have {
		if ok {
			r.have.Add(i)
		}
	}
}

// Hold tells peers the tree and what is here of it: the owner knows the table now.
func (r *Root) Hold(h Held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hold(h)
	for s := range r.joined {
		r.tell(s, false)
	}
}

// refresh replaces what a served root has, and tells its peers.
func (r *Root) refresh(h Held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.owner != nil {
		return // who knows better
	}
	old := r.have
	r.have = HaveMap{}
	r.hold(h)
	for p := range r.have.All() {
		old.Remove(p)
	}
	r.lose(&old)
	for s := range r.joined {
		r.tell(s, false)
	}
}

// Have says that pieces are here now; peers learn of it within 100 ms, or about 1 s where
// that does not matter.
func (r *Root) Have(pieces ...int) {
	r.mu.Lock()
	for _, p := range pieces {
		if r.have.Add(p) {
			r.fresh = append(r.fresh, p)
		}
		r.passed(p)
		r.x.server.whole(r, p)
	}
	r.mu.Unlock()
	r.x.announceSoon()
}

// announce sends the fresh pieces to every peer that opened the root, and which are
// coming. There is no hurry where enough have a piece, and for who has it already, but
// not all; nobody is told that a piece is coming that he has.
func (r *Root) announce() {
	r.mu.Lock()
	defer r.mu.Unlock()
	coming := slices.DeleteFunc(r.coming, func(p int) bool { return r.passing[p] == nil })
	slices.Sort(r.fresh)
	fresh := slices.DeleteFunc(slices.Compact(r.fresh), func(p int) bool { return !r.have.Has(p) })
	r.coming, r.fresh = nil, nil
	scarce := r.scarce(slices.Concat(fresh, coming))
	lists := slices.Collect(runLists(runsOf(slices.Values(fresh))))
	for s := range r.joined {
		handle, soon, wanted := s.lacking(r, fresh, coming, scarce)
		if handle == 0 {
			continue
		}
		told := r.partials(wanted)
		for _, nums := range lists {
			m := haveMessage(handle, false, nums)
			m.GetHave().Partial, told = told, nil
			s.queue(outgoing{m, !soon})
		}
		if len(told) > 0 {
			s.queue(outgoing{partialMessage(handle, told), !soon})
		}
	}
}

// enough is how many peers have a piece when it does not matter any more who is next:
// who lacks it can ask one of them meanwhile.
const enough = 4

// scarce are those of pieces that fewer than enough peers have told of. mu is held.
func (r *Root) scarce(pieces []int) *HaveMap {
	holders := make([]int, len(pieces))
	for s := range r.joined {
		s.tally(r, pieces, holders)
	}
	var few HaveMap
	for i, p := range pieces {
		if holders[i] < enough {
			few.Add(p)
		}
	}
	return &few
}

// post sends a message to every peer of the root. mu is held.
func (r *Root) post(m func(handle uint32) *pb.Message) {
	for s := range r.joined {
		if h := s.handleOf(r); h != 0 {
			s.post(m(h))
		}
	}
}

// withdraw takes a piece back that turned out bad.
func (r *Root) withdraw(key merkle.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var gone HaveMap
	if r.table != nil {
		for p := range r.have.All() {
			if r.table.Pieces[p].Key == key {
				gone.Add(p)
			}
		}
	}
	for p := range gone.All() {
		r.have.Remove(p)
	}
	r.lose(&gone)
}

// lose tells peers of pieces that are not here any more. mu is held.
func (r *Root) lose(gone *HaveMap) {
	for nums := range runLists(gone.Runs()) {
		r.post(func(handle uint32) *pb.Message {
			return &pb.Message{Body: &pb.Message_Unhave{Unhave: &pb.Unhave{Handle: handle, Runs: nums}}}
		})
	}
}

// Join opens the root with a peer: it will answer with Opened and Haves, or
// with Gone if the session has ended or has too many roots.
func (r *Root) Join(s *Session) {
	if !r.greet(s, true) {
		r.x.spawn(func() { r.deliver(Gone{From: s, Err: s.why()}) })
	}
}

// greet sends our Open and what we have to s, unless s has ended.
func (r *Root) greet(s *Session, query bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tell(s, query)
}

// tell is greet with mu held.
func (r *Root) tell(s *Session, query bool) bool {
	h := s.open(r)
	if h == 0 {
		delete(r.joined, s)
		return false
	}
	r.joined[s] = true
	pieces := 0
	if r.table != nil {
		pieces = len(r.table.Pieces)
	}
	open := openMessage(h, r.CID, pieces, query)
	open.GetOpen().Known = uint32(r.known())
	s.post(open)
	switch n := r.have.Count(); {
	case n == 0:
	case n == pieces:
		s.post(haveMessage(h, true, nil))
	default:
		for nums := range runLists(r.have.Runs()) {
			s.post(haveMessage(h, false, nums))
		}
	}
	if told := r.partials(slices.Sorted(maps.Keys(r.passing))); len(told) > 0 {
		s.post(partialMessage(h, told))
	}
	return true
}

// forget takes a session out that has ended.
func (r *Root) forget(s *Session) {
	r.mu.Lock()
	delete(r.joined, s)
	delete(r.guests, s)
	r.retract(func(_ int, from *Session) bool { return from == s })
	r.mu.Unlock()
	r.x.drop(r)
}

// Close ends the owner's part: it gets no more events. Peers are still served
// what was had. An owner calls it once; the root may have another then.
func (r *Root) Close() {
	r.x.mu.Lock() // so that Open waits until this owner has let go
	r.mu.Lock()
	o := r.owner
	r.owner = nil
	var left []*Session
	if o != nil {
		close(o.left)
		r.retract(func(int, *Session) bool { return true })
		for s := range r.joined {
			s.dropAll(r, true)
		}
		left = r.leave(r.have.Count() == 0)
	}
	r.mu.Unlock()
	r.x.mu.Unlock()
	r.unqueue(left)
	r.x.drop(r)
}

// leave closes the root in the sessions of peers that have no part in it, or in
// all, and returns them. mu is held.
func (r *Root) leave(all bool) (left []*Session) {
	for s := range r.joined {
		if all || !s.interested(r) {
			r.part(s)
			left = append(left, s)
		}
	}
	return left
}

// Leave ends our part in the root with one peer: neither asks the other for
// anything of it any more, unless one joins anew.
func (r *Root) Leave(s *Session) {
	s.dropAll(r, true)
	r.mu.Lock()
	r.retract(func(_ int, from *Session) bool { return from == s })
	r.part(s)
	r.mu.Unlock()
	r.x.server.leave(s, r)
}

// part ends our part in s. mu is held.
func (r *Root) part(s *Session) {
	delete(r.joined, s)
	delete(r.guests, s)
	if h := s.leave(r); h != 0 {
		s.post(closeMessage(h))
	}
}

// unqueue takes what waits to be served of r off sessions that left it.
func (r *Root) unqueue(left []*Session) {
	for _, s := range left {
		r.x.server.leave(s, r)
	}
}

// abandon ends a peer's part in a root that is only served.
func (r *Root) abandon(s *Session) {
	r.mu.Lock()
	if r.owner == nil {
		r.part(s)
	}
	r.mu.Unlock()
	r.x.drop(r)
}

// lacks tells whether some of a root that is only served is not here.
func (r *Root) lacks() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owner == nil && r.table != nil && r.have.Count() < len(r.table.Pieces)
}

// Present shows a manifest to a peer that does not have the root: a cache may
// fetch it then.
func (r *Root) Present(s *Session, manifest []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := s.handleOf(r); h != 0 {
		m := openMessage(h, r.CID, 0, true)
		m.GetOpen().Manifest = manifest
		s.post(m)
	}
}

// MaxRelayed is how often a claim is passed on at most.
const MaxRelayed = 2

// Claim tells the peers that we fetch pieces from the origin, or with 0 that we
// no longer do; with near those on the LAN alone that we get them from far.
func (r *Root) Claim(runs []Run, ttlMillis int, near bool) {
	r.claim(Claims{Runs: runs, TTL: ttlMillis, Near: near}, func(s *Session) bool { return !near || s.Path() == LAN })
}

// ClaimTo is Claim to one peer, who was not there before.
func (r *Root) ClaimTo(to *Session, runs []Run, ttlMillis int) {
	r.claim(Claims{Runs: runs, TTL: ttlMillis}, func(s *Session) bool { return s == to })
}

// Relay passes what is news of a peer's claim on to the others, unless it has come
// far enough.
func (r *Root) Relay(c Claims, news []Run) {
	if c.Relayed < MaxRelayed && !c.Near {
		r.claim(Claims{Runs: news, TTL: c.TTL, Relayed: c.Relayed + 1}, func(s *Session) bool { return s != c.From })
	}
}

func (r *Root) claim(c Claims, to func(*Session) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for nums := range runLists(slices.Values(c.Runs)) {
		for s := range r.joined {
			if h := s.handleOf(r); h != 0 && to(s) {
				s.post(&pb.Message{Body: &pb.Message_Claim{Claim: &pb.Claim{
					Handle: h, Runs: nums, TtlMs: uint32(c.TTL), Relayed: uint32(c.Relayed), Near: c.Near,
				}}})
			}
		}
	}
}

// pieces is the number of pieces, merkle.MaxPieces while it is unknown.
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

// split cuts a run of blocks that may go on over pieces into parts. What is
// past the last piece is left out.
func (r *Root) split(piece, first, count int) iter.Seq[upload.Part] {
	return func(yield func(upload.Part) bool) {
		for count > 0 {
			p, ok := r.piece(piece)
			if !ok || first >= blocks(p.Size) {
				return
			}
			n := min(count, blocks(p.Size)-first)
			if !yield(upload.Part{Root: r, Piece: piece, First: first, Count: n, Size: p.Size}) {
				return
			}
			piece, first, count = piece+1, 0, count-n
		}
	}
}

func openMessage(handle uint32, c cid.Cid, pieces int, query bool) *pb.Message {
	return &pb.Message{Body: &pb.Message_Open{Open: &pb.Open{
		Handle: handle, Root: c.Bytes(), Missing: handle == 0, Pieces: uint32(pieces), Query: query,
	}}}
}

func closeMessage(handle uint32) *pb.Message {
	return &pb.Message{Body: &pb.Message_Close{Close: &pb.Close{Handle: handle}}}
}

func haveMessage(handle uint32, all bool, runs []uint32) *pb.Message {
	return &pb.Message{Body: &pb.Message_Have{Have: &pb.Have{Handle: handle, All: all, Runs: runs}}}
}
