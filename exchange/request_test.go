package exchange

import (
	"bytes"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
)

// seeded starts a node that has c and one that owns the root and has met it.
func seeded(t *testing.T, c content, cfg Config) (seed, owner *node, r *Root, events chan Event, s *Session) {
	t.Helper()
	seed, owner = newNode(t, newHost(t, "tcp"), cfg), newNode(t, newHost(t, "tcp"), Config{})
	seed.put(c)
	r, events = owner.open(c.root)
	s = owner.dial(seed)
	r.Join(s)
	await[Haves](t, events)
	return seed, owner, r, events, s
}

// A piece may be asked in parts, in any order, some of them twice; a request
// may go on over pieces. What arrives is counted once a block.
func TestRequestInParts(t *testing.T) {
	t.Parallel()
	c := makeContent(t, 10, 3<<20+100, merkle.UnixFSv1)
	_, _, r, events, s := seeded(t, c, Config{})
	r.Request(s, []Ask{{Piece: 1, First: 9, Count: 7, Size: 1 << 20}})
	r.Request(s, []Ask{{Piece: 1, First: 0, Count: 6, Size: 1 << 20}, {Piece: 1, First: 4, Count: 2, Size: 1 << 20}})
	r.Request(s, []Ask{{Piece: 1, First: 6, Count: 3, Size: 1 << 20}})
	r.Request(s, []Ask{{Piece: 0, Count: 16, Size: 1 << 20}})
	r.Request(s, []Ask{{Piece: 2, Count: 16, Size: 1 << 20}, {Piece: 3, Count: 1, Size: 100}})
	arrived, wasted := map[int]int{}, 0
	for whole := 0; whole < 4 || wasted == 0; {
		switch ev := (<-events).(type) {
		case Arrived:
			arrived[ev.Piece] += ev.N
		case Wasted:
			wasted += ev.Bytes
		case Received:
			whole++
			if !bytes.Equal(ev.Data, c.pieces[ev.Piece]) {
				t.Errorf("piece %d differs", ev.Piece)
			}
			ev.Release()
		case Rejected, Gone:
			t.Fatalf("%+v", ev)
		}
	}
	if arrived[0] != 16 || arrived[1] != 16 || arrived[2] != 16 || arrived[3] != 1 || wasted != 2*Block {
		t.Errorf("arrived %v, %d bytes wasted", arrived, wasted)
	}
	if received, _ := s.Amounts(); received != 3<<20+100+2*Block {
		t.Errorf("%d bytes received", received)
	}
}

// What is cancelled does not come, unless it was under way; then it is Wasted.
// The piece can be asked again.
func TestCancel(t *testing.T) {
	t.Parallel()
	c := makeContent(t, 11, 8<<20, merkle.UnixFSv1)
	seed, _, r, events, s := seeded(t, c, Config{})
	seed.gate = make(chan struct{})
	var asks []Ask
	for i := range 8 {
		asks = append(asks, Ask{Piece: i, Count: 16, Size: 1 << 20})
	}
	r.Request(s, asks)
	l := seed.x.server.lanes[0]
	waits := func(items int) func() bool {
		return func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			for key := range l.queues {
				return l.slots == 4-perPeer && l.uploads.Waiting(key) == items
			}
			return false
		}
	}
	until(t, "two frames are under way, the rest waits", waits(8))
	for i := range 7 {
		r.Cancel(s, i)
	}
	r.Cancel(s, 3) // again: nothing happens
	until(t, "only what was not cancelled waits", waits(1))
	close(seed.gate)
	wasted := 0
	for got := -1; got != 7; {
		switch ev := (<-events).(type) {
		case Received:
			got = ev.Piece
			ev.Release()
		case Wasted:
			wasted += ev.Bytes
		}
	}
	if wasted == 0 || wasted > perPeer<<20 {
		t.Errorf("%d bytes wasted, want those of %d frames", wasted, perPeer)
	}
	r.Request(s, asks[3:4])
	if got := await[Received](t, events); got.Piece != 3 || !bytes.Equal(got.Data, c.pieces[3]) {
		t.Errorf("piece %d", got.Piece)
	}
}

// The buffer of a piece that is cancelled belongs to its reader until it rests.
func TestCancelWhileFilled(t *testing.T) {
	t.Parallel()
	c := makeContent(t, 11, 1<<20, merkle.UnixFSv1)
	_, _, r, _, s := seeded(t, c, Config{})
	key, in := pendingKey{r, 0}, &incoming{data: newBuffer(1000), size: 1000, missing: 1, busy: true}
	s.mu.Lock()
	s.pending[key] = in
	s.mu.Unlock()
	r.Cancel(s, 0)
	if in.data == nil {
		t.Fatal("the buffer went back to the pool while it was filled")
	}
	if _, over := s.filled(in, 0, 1); !over {
		t.Error("the reader is not told")
	}
	if whole, over := s.rest(key, in); whole != nil || !over || in.data != nil {
		t.Errorf("whole: %v, cancelled: %v, buffer: %v", whole != nil, over, in.data)
	}
}

// Pieces that are not held, or cannot be read, are rejected; so is all when
// uploads are off, and what is too much at once.
func TestReject(t *testing.T) {
	t.Parallel()
	c := makeContent(t, 12, 3<<20, merkle.UnixFSv1)
	seed, _, r, events, s := seeded(t, c, Config{})
	seed.lose(c.table.Pieces[1].Key)
	r.Request(s, []Ask{{Piece: 1, Count: 16, Size: 1 << 20}})
	if got := await[Rejected](t, events); got.Piece != 1 || got.Busy {
		t.Errorf("%+v", got)
	}
	seed.x.Withdraw(c.table.Pieces[2].Key)
	if got := await[Unhaves](t, events); !slices.Equal(got.Runs, []Run{{2, 1}}) {
		t.Errorf("%+v", got)
	}
	r.Request(s, []Ask{{Piece: 2, Count: 16, Size: 1 << 20}})
	if got := await[Rejected](t, events); got.Piece != 2 || got.Busy {
		t.Errorf("%+v", got)
	}
	r.Request(s, []Ask{{Piece: 0, Count: 16, Size: 1 << 20}})
	await[Received](t, events).Release()

	off, _, r, events, s := seeded(t, c, Config{Upload: Limit{Rate: -1, LAN: true}})
	r.Request(s, []Ask{{Piece: 0, Count: 16, Size: 1 << 20}})
	if got := await[Rejected](t, events); !got.Busy {
		t.Errorf("%+v", got)
	}
	r.AskTree(s, c.root, 0, 0)
	if got := await[TreePart](t, events); len(got.Blocks) != 1 {
		t.Errorf("uploads are off, and so the tree: %+v", got)
	}
	if off.reads > 0 {
		t.Error("read a piece although uploads are off")
	}
}

// What the library loses is taken back, what it gains is told, in one message order.
func TestRefresh(t *testing.T) {
	t.Parallel()
	c := makeContent(t, 13, 4<<20, merkle.UnixFSv1)
	seed, _, _, events, _ := seeded(t, c, Config{})
	seed.put(c, 1, 3)
	seed.x.Refresh(c.root)
	if got := await[Unhaves](t, events); !slices.Equal(got.Runs, []Run{{0, 1}, {2, 1}}) {
		t.Errorf("%+v", got)
	}
	if got := await[Haves](t, events); !slices.Equal(got.Runs, []Run{{1, 1}, {3, 1}}) || got.All {
		t.Errorf("%+v", got)
	}
	seed.put(c)
	seed.x.Refresh(c.root)
	if got := await[Haves](t, events); !got.All {
		t.Errorf("%+v", got)
	}
	seed.x.Forget(c.root)
	if got := await[Opened](t, events); !got.Missing {
		t.Errorf("%+v", got)
	}
}

// A receiver's bad piece is looked at again, and read anew for the next.
func TestBad(t *testing.T) {
	t.Parallel()
	c := makeContent(t, 14, 2<<20, merkle.UnixFSv1)
	wrong := bytes.Clone(c.pieces[1])
	wrong[5]++
	seed, _, r, events, s := seeded(t, c, Config{})
	seed.add(c.table.Pieces[1].Key, wrong)
	r.Request(s, []Ask{{Piece: 1, Count: 16, Size: 1 << 20}})
	got := await[Received](t, events) // exchange only transports: the owner verifies
	if !bytes.Equal(got.Data, wrong) {
		t.Error("other bytes came than were sent")
	}
	r.Bad(s, 1)
	until(t, "the piece is suspected", func() bool {
		seed.mu.Lock()
		defer seed.mu.Unlock()
		return slices.Equal(seed.suspects, []merkle.Key{c.table.Pieces[1].Key})
	})
	seed.add(c.table.Pieces[1].Key, c.pieces[1])
	r.Request(s, []Ask{{Piece: 1, Count: 16, Size: 1 << 20}})
	if got := await[Received](t, events); !bytes.Equal(got.Data, c.pieces[1]) {
		t.Error("the bad bytes were kept for serving")
	}
}

// A tree comes in several parts, and more asks than a peer takes at once wait
// for their turn.
func TestTreeInParts(t *testing.T) {
	t.Parallel()
	c := makeContent(t, 15, 100<<20/4, merkle.UnixFSv0) // 100 pieces: 1 node
	seed, _, r, events, s := seeded(t, c, Config{})
	// A tree of 40 blocks of 100 KB, of which about 11 fit a reply.
	h := seed.roots[c.root.KeyString()]
	h.Tree = slices.Clone(h.Tree)
	for i := range 39 {
		b := makeContent(t, 1000+uint64(i), 100_000, merkle.UnixFSv1)
		seed.blocks[b.root.KeyString()] = b.pieces[0]
		h.Tree = append(h.Tree, b.root)
	}
	seed.x.Forget(c.root)
	seed.mu.Lock()
	seed.roots[c.root.KeyString()] = h
	seed.mu.Unlock()
	got, parts := 0, 0
	for more := true; more; parts++ {
		r.AskTree(s, c.root, got, 0)
		p := await[TreePart](t, events)
		if p.Skip != got || p.Node != c.root || p.From != s || len(p.Blocks) == 0 {
			t.Fatalf("part at %d of %d blocks, want at %d", p.Skip, len(p.Blocks), got)
		}
		got, more = got+len(p.Blocks), p.More
	}
	if got != 40 || parts != 4 {
		t.Errorf("%d blocks in %d parts, want 40 in 4", got, parts)
	}
	seen := map[int]bool{}
	for i := range 3 * treeQueue {
		r.AskTree(s, c.root, i, 1)
	}
	for range 3 * treeQueue {
		seen[await[TreePart](t, events).Skip] = true
	}
	if len(seen) != 3*treeQueue {
		t.Errorf("%d answers to %d asks", len(seen), 3*treeQueue)
	}
	r.AskTree(s, makeContent(t, 16, 10, merkle.UnixFSv1).root, 0, 0)
	if p := await[TreePart](t, events); !p.Missing {
		t.Errorf("%+v", p)
	}
	r.AskTree(s, c.root, 1000, 0)
	if p := await[TreePart](t, events); len(p.Blocks) > 0 || p.More {
		t.Errorf("past the end: %+v", p)
	}
}

// Claims and the records of other peers reach the owner.
func TestClaimAndPeers(t *testing.T) {
	t.Parallel()
	n := newNodes(t, "tcp", 3, Config{})
	c := makeContent(t, 17, 3<<20, merkle.UnixFSv1)
	n[0].put(c)
	r1, e1 := n[1].open(c.root)
	r1.Join(n[1].dial(n[0]))
	await[Haves](t, e1)
	r2, e2 := n[2].open(c.root)
	r2.Join(n[2].dial(n[0]))
	if met := await[Met](t, e2); len(met.Peers) != 1 || met.Peers[0].ID != n[1].h.ID() || met.From.Peer != n[0].h.ID() {
		t.Errorf("%+v", met)
	}
	r2.Join(n[2].dial(n[1]))
	await[Opened](t, e2)
	r1.Claim([]Run{{1, 2}}, 1<<30, false)
	if got := await[Claims](t, e2); !slices.Equal(got.Runs, []Run{{1, 2}}) || got.TTL != 60_000 {
		t.Errorf("%+v", got)
	}
}

// Opening a handle, closing and opening again leaves nothing behind.
func TestHandlesGoAway(t *testing.T) {
	t.Parallel()
	seed := newNode(t, newHost(t, "tcp"), Config{})
	p := handshake(t, newHost(t, "tcp"), seed, 1)
	for i := range uint64(20) {
		c := makeContent(t, 100+i, 10, merkle.UnixFSv1)
		seed.put(c)
		p.say(openMessage(uint32(1+i%3), c.root, 0, false))
		o := listen(p, func(m *pb.Message) *pb.Open { return m.GetOpen() })
		p.say(closeMessage(uint32(1 + i%3)))
		if got := listen(p, func(m *pb.Message) *pb.Close { return m.GetClose() }); got.Handle != o.Handle {
			t.Fatalf("closed %d, opened %d", got.Handle, o.Handle)
		}
	}
	s := seed.x.session(p.h.ID())
	until(t, "no root is left", func() bool {
		seed.x.mu.Lock()
		defer seed.x.mu.Unlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(seed.x.roots) == 0 && len(s.ours)+len(s.theirs)+len(s.members)+len(s.sought) == 0
	})
}
