package exchange

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
	"google.golang.org/protobuf/encoding/protowire"
)

// victim is a node that holds c, and a peer that breaks the protocol.
func victim(t *testing.T) (*node, content, *rawPeer) {
	t.Helper()
	n := newNode(t, newHost(t, "tcp"), Config{})
	c := makeContent(t, 30, 2<<20, merkle.UnixFSv1)
	n.put(c)
	return n, c, handshake(t, newHost(t, "tcp"), n, 1)
}

// unhurt checks that a node is back to nothing and still serves others.
func unhurt(t *testing.T, n *node, c content) {
	t.Helper()
	until(t, "the session is gone", func() bool { return len(n.x.Sessions()) == 0 })
	until(t, "the books are empty", func() bool {
		n.x.mu.Lock()
		defer n.x.mu.Unlock()
		for _, l := range n.x.server.lanes {
			l.mu.Lock()
			busy := len(l.queues) > 0 || l.slots != 4
			l.mu.Unlock()
			if busy {
				return false
			}
		}
		return len(n.x.roots) == 0
	})
	other := newNode(t, newHost(t, "tcp"), Config{})
	if err := other.get(c.root, other.dial(n)).run(t.Context()); err != nil {
		t.Errorf("it does not serve any more: %v", err)
	}
}

// Each of these is a protocol violation: the session ends, at once.
func TestViolations(t *testing.T) {
	t.Parallel()
	c := makeContent(t, 30, 2<<20, merkle.UnixFSv1)
	second := makeContent(t, 31, 10, merkle.UnixFSv1)
	open := openMessage(1, c.root, 2, false)
	long := make([]uint32, maxRuns+2)
	for name, say := range map[string][]*pb.Message{
		"second greeting":        {{Body: &pb.Message_Hello{Hello: &pb.Hello{}}}},
		"root that is no CID":    {{Body: &pb.Message_Open{Open: &pb.Open{Handle: 1, Root: []byte("garbage")}}}},
		"a root of 512 KB":       {{Body: &pb.Message_Open{Open: &pb.Open{Handle: 1, Root: identity(500_000)}}}},
		"a node of 512 KB":       {{Body: &pb.Message_TreeRequest{TreeRequest: &pb.TreeRequest{Node: identity(500_000)}}}},
		"root without a CID":     {{Body: &pb.Message_Open{Open: &pb.Open{Handle: 1}}}},
		"open without handle":    {{Body: &pb.Message_Open{Open: &pb.Open{Root: c.root.Bytes()}}}},
		"missing with a handle":  {{Body: &pb.Message_Open{Open: &pb.Open{Handle: 1, Missing: true, Root: c.root.Bytes()}}}},
		"too many pieces":        {openMessage(1, c.root, merkle.MaxPieces+1, false)},
		"handle of two roots":    {open, openMessage(1, second.root, 1, false)},
		"handle, then nothing":   {open, openMessage(1, vectorRoot, 1, false)},
		"haves past the end":     {open, haveMessage(1, false, []uint32{1, 2})},
		"unhaves past the end":   {open, {Body: &pb.Message_Unhave{Unhave: &pb.Unhave{Handle: 1, Runs: []uint32{2, 1}}}}},
		"odd run list":           {open, haveMessage(1, false, []uint32{1})},
		"long run list":          {open, haveMessage(1, false, long)},
		"claims past the end":    {open, {Body: &pb.Message_Claim{Claim: &pb.Claim{Handle: 1, Runs: []uint32{0, 3}}}}},
		"request of nothing":     {open, requestMessage(1, 0, 0, 0)},
		"request of too much":    {open, requestMessage(1, 0, 0, maxRequest+1)},
		"request of block 32":    {open, requestMessage(1, 0, maxBlocks, 1)},
		"request past the end":   {open, requestMessage(1, 2, 0, 1)},
		"tree of no CID":         {{Body: &pb.Message_TreeRequest{TreeRequest: &pb.TreeRequest{Node: []byte{1}}}}},
		"too many peer records":  {open, {Body: &pb.Message_Peers{Peers: &pb.Peers{Handle: 1, Records: make([][]byte, maxPeers+1)}}}},
		"a large peer record":    {open, {Body: &pb.Message_Peers{Peers: &pb.Peers{Handle: 1, Records: [][]byte{make([]byte, maxRecord+1)}}}}},
		"a large unasked answer": {{Body: &pb.Message_TreeReply{TreeReply: &pb.TreeReply{Blocks: [][]byte{make([]byte, maxMessage)}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, newHost(t, "tcp"), Config{})
			n.put(c)
			n.put(second)
			p := handshake(t, newHost(t, "tcp"), n, 1)
			for _, m := range say {
				p.try(m) // the last may meet a reset
			}
			p.cutOff()
		})
	}
}

// identity is a CID that holds n bytes itself.
func identity(n int) []byte {
	b := append([]byte{1, 0x55, 0}, binary.AppendUvarint(nil, uint64(n))...)
	return append(b, make([]byte, n)...)
}

// What names an unknown handle crossed a Close and is passed over, like what a
// later version may say.
func TestPassedOver(t *testing.T) {
	t.Parallel()
	_, c, p := victim(t)
	for _, m := range []*pb.Message{
		haveMessage(9, false, []uint32{5}), closeMessage(9), requestMessage(9, 0, 0, 0),
		{}, {Body: &pb.Message_Pong{Pong: &pb.Ping{Nonce: 5}}},
		{Body: &pb.Message_Cancel{Cancel: &pb.Cancel{Handle: 9}}},
		{Body: &pb.Message_Reject{Reject: &pb.Reject{Handle: 9}}},
		{Body: &pb.Message_Bad{Bad: &pb.Bad{Handle: 9}}},
		{Body: &pb.Message_Unhave{Unhave: &pb.Unhave{Handle: 9}}},
		{Body: &pb.Message_Claim{Claim: &pb.Claim{Handle: 9}}},
		{Body: &pb.Message_Peers{Peers: &pb.Peers{Handle: 9}}},
		{Body: &pb.Message_TreeReply{TreeReply: &pb.TreeReply{Id: 9}}},
		{Body: &pb.Message_SubHashes{SubHashes: &pb.SubHashes{Handle: 9}}},
		openMessage(0, c.root, 0, false),
	} {
		p.say(m)
	}
	later := protowire.AppendTag(nil, 99, protowire.BytesType)
	later = protowire.AppendBytes(later, []byte("later"))
	p.st.Write(append([]byte{byte(len(later))}, later...))
	p.say(openMessage(1, c.root, 2, false))
	if o := listen(p, func(m *pb.Message) *pb.Open { return m.GetOpen() }); o.Pieces != 2 {
		t.Errorf("got %v", o)
	}
}

func TestGarbage(t *testing.T) {
	t.Parallel()
	n, c, p := victim(t)
	noise := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{7}).Read(noise)
	noise[0], noise[1] = 0x7f, 0x07 // the length of a message that does not parse
	p.st.Write(noise)
	p.cutOff()
	for _, start := range [][]byte{bytes.Repeat([]byte{0xff}, 100), noise, {0x00}, tinyFields(300)} {
		if err := p.h.Connect(t.Context(), info(n.h)); err != nil {
			t.Fatal(err)
		}
		st, err := p.h.NewStream(t.Context(), n.h.ID(), n.x.control)
		if err != nil {
			t.Fatal(err)
		}
		st.Write(start) // instead of a greeting
		q := newRawPeer(t, p.h, n, st)
		for q.hear() != nil { // its greeting, and the end
		}
	}
	unhurt(t, n, c)
}

// asking is a node that fetches from a peer by hand, up to the request of
// piece 0 of two.
func asking(t *testing.T) (n *node, r *Root, events chan Event, s *Session, p *rawPeer) {
	t.Helper()
	n = newNode(t, newHost(t, "tcp"), Config{})
	c := makeContent(t, 30, 2<<20, merkle.UnixFSv1)
	p = handshake(t, newHost(t, "tcp"), n, 1)
	r, events = n.open(c.root)
	r.Hold(Held{Table: c.table, Have: make([]bool, 2), Tree: c.tree})
	p.say(openMessage(5, c.root, 2, false))
	p.say(haveMessage(5, true, nil))
	s = await[Haves](t, events).From
	r.Request(s, []Ask{{Piece: 0, Count: 16, Size: 1 << 20}})
	listen(p, func(m *pb.Message) *pb.Request { return m.GetRequest() })
	return n, r, events, s, p
}

var piece0 = frame{handle: 5, count: 16, length: 1 << 20}

// Wrong bytes of the right length are delivered: the owner verifies. After the
// piece came, more of it is Wasted as long as it was asked, and then a violation.
func TestSendsMoreThanAsked(t *testing.T) {
	t.Parallel()
	_, r, events, s, p := asking(t)
	r.Request(s, []Ask{{Piece: 0, First: 3, Count: 1, Size: 1 << 20}}) // asked twice
	st := p.frames(p.theirs)
	p.frame(st, piece0, bytes.Repeat([]byte{1}, 1<<20))
	if got := await[Received](t, events); len(got.Data) != 1<<20 || got.Data[77] != 1 {
		t.Errorf("%d bytes", len(got.Data))
	}
	block := frame{handle: 5, first: 3, count: 1, length: Block}
	p.frame(st, block, make([]byte, Block))
	if got := await[Wasted](t, events); got.Bytes != Block {
		t.Errorf("%+v", got)
	}
	p.frame(st, block, make([]byte, Block))
	await[Gone](t, events)
	p.cutOff()
	if got := p.to.x.Balance(p.h.ID()).Received; got != 1<<20 {
		t.Errorf("it has earned %d bytes", got)
	}
}

// A frame that was on its way when its piece was cancelled and asked for anew
// may lie across those that follow: every block counts once, and none is lost.
func TestFramesOverlap(t *testing.T) {
	t.Parallel()
	_, r, events, s, p := asking(t)
	r.Request(s, []Ask{{Piece: 0, First: 1, Count: 2, Size: 1 << 20}}) // as before the cancel
	st := p.frames(p.theirs)
	body := bytes.Repeat([]byte{1}, 1<<20)
	p.frame(st, frame{handle: 5, first: 1, count: 2, length: 2 * Block}, body[:2*Block])
	for first := uint16(0); first < 16; first += 2 {
		p.frame(st, frame{handle: 5, first: first, count: 2, length: 2 * Block}, body[:2*Block])
	}
	arrived, wasted := 0, 0
	for {
		var ev Event
		select {
		case ev = <-events:
		case <-time.After(patience):
			t.Fatalf("piece 0 is not whole: %d blocks arrived, %d bytes wasted", arrived, wasted)
		}
		switch ev := ev.(type) {
		case Arrived:
			arrived += ev.N
		case Wasted:
			wasted += ev.Bytes
		case Received:
			if !bytes.Equal(ev.Data, body) || arrived != 16 || wasted != 2*Block {
				t.Errorf("%d blocks arrived and %d bytes wasted; want 16 and %d", arrived, wasted, 2*Block)
			}
			return
		}
	}
}

// Frames that were not asked for fill nothing, whatever they claim to be.
func TestFramesNotAsked(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]frame{
		"another piece":    {handle: 5, piece: 1, count: 16, length: 1 << 20},
		"no such piece":    {handle: 5, piece: 2, count: 16, length: 1 << 20},
		"past its end":     {handle: 5, first: 16, count: 1, length: Block},
		"over its end":     {handle: 5, first: 1, count: 16, length: 1 << 20},
		"short of a block": {handle: 5, count: 1, length: 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, events, s, p := asking(t)
			st := p.frames(p.theirs)
			p.frame(st, f, make([]byte, f.length))
			if got := await[Wasted](t, events); got.Bytes != int(f.length) {
				t.Errorf("%+v", got)
			}
			s.mu.Lock()
			for _, in := range s.pending {
				if in.missing != 0xffff || in.busy {
					t.Errorf("piece 0 misses %b", in.missing)
				}
			}
			s.mu.Unlock()
		})
	}
	t.Run("unknown handle", func(t *testing.T) {
		t.Parallel()
		_, _, events, s, p := asking(t)
		st := p.frames(p.theirs)
		f := piece0
		f.handle, f.count, f.length = 6, 1, Block
		p.frame(st, f, make([]byte, Block))
		f = frame{handle: 5, first: 0, count: 15, length: 15 * Block}
		p.frame(st, f, make([]byte, f.length))
		await[Arrived](t, events)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.credit != 0 {
			t.Errorf("credit of %d bytes", s.credit)
		}
	})
}

// A header that breaks the rules, a data stream that ends, and a second one end
// the session.
func TestDataStreamViolations(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(p *rawPeer){
		"bad header":  func(p *rawPeer) { p.frame(p.frames(p.theirs), frame{handle: 5}, nil) },
		"garbage":     func(p *rawPeer) { p.frames(p.theirs).Write(bytes.Repeat([]byte{0xee}, 5000)) },
		"ends":        func(p *rawPeer) { p.frames(p.theirs).Close() },
		"ends midway": func(p *rawPeer) { st := p.frames(p.theirs); p.frame(st, piece0, make([]byte, 99)); st.Close() },
		"reset": func(p *rawPeer) {
			st, s := p.frames(p.theirs), p.to.x.session(p.h.ID())
			until(t, "it has shown its number", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return slices.Contains(slices.Collect(maps.Values(s.streams)), true)
			})
			st.Reset()
		},
		"two":         func(p *rawPeer) { p.frames(p.theirs); p.frames(p.theirs) },
		"never asked": func(p *rawPeer) { p.frame(p.frames(p.theirs), frame{handle: 1, count: 32, length: 2 << 20}, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, events, s, p := asking(t)
			do(p)
			await[Gone](t, events)
			p.cutOff()
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.pending) > 0 {
				t.Error("a piece is still pending")
			}
		})
	}
}

// A data stream with the number of another session is closed, and nothing else
// happens.
func TestDataStreamOfAnotherSession(t *testing.T) {
	t.Parallel()
	_, _, events, _, p := asking(t)
	stranger := p.frames(p.theirs + 1)
	if n, err := stranger.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes", n)
	}
	p.frame(p.frames(p.theirs), piece0, make([]byte, 1<<20))
	await[Received](t, events)
}

// manyRoots are more roots than a session may have open.
func manyRoots() [][]byte {
	roots := make([][]byte, maxHandles+10)
	for i := range roots {
		h := merkle.Key{0x55}
		binary.BigEndian.PutUint32(h[1:], uint32(i))
		roots[i] = h.CID().Bytes()
	}
	return roots
}

// openRoot opens the i-th of them.
func openRoot(roots [][]byte, i int) *pb.Message {
	return &pb.Message{Body: &pb.Message_Open{Open: &pb.Open{Handle: uint32(i + 1), Root: roots[i]}}}
}

// A flood of handles ends the session or is bounded, and hurts nobody else.
func TestFloodOfHandles(t *testing.T) {
	t.Parallel()
	roots := manyRoots()
	n, c, p := victim(t)
	n.mu.Lock()
	for _, r := range roots {
		n.roots[string(r)] = n.roots[c.root.KeyString()]
	}
	n.mu.Unlock()
	go drain(p)
	for i := range roots {
		if p.try(openRoot(roots, i)) != nil {
			break
		}
	}
	until(t, "the session ends", func() bool { return n.x.session(p.h.ID()) == nil })
	unhurt(t, n, c)
}

// A flood of roots that are not here ends the session or is bounded, and hurts nobody else.
func TestFloodOfStrangeRoots(t *testing.T) {
	t.Parallel()
	roots := manyRoots()
	n, c, p := victim(t)
	go drain(p)
	for i := range roots {
		p.say(openRoot(roots, i))
	}
	p.say(openMessage(5000, c.root, 2, false))
	s := n.x.session(p.h.ID())
	until(t, "the last is open", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.theirs[5000] != nil
	})
	s.mu.Lock()
	if len(s.sought) != maxHandles || len(s.theirs) != 1 || len(s.members) != 1 {
		t.Errorf("%d sought, %d handles, %d members", len(s.sought), len(s.theirs), len(s.members))
	}
	s.mu.Unlock()
	p.st.Reset()
	unhurt(t, n, c)
}

// A flood of missing roots ends the session or is bounded, and hurts nobody else.
func TestFloodOfMissingRoots(t *testing.T) {
	t.Parallel()
	n, c, p := victim(t)
	for range 5000 {
		p.say(openMessage(0, c.root, 0, false))
	}
	p.say(&pb.Message{Body: &pb.Message_Ping{Ping: &pb.Ping{Nonce: 7}}})
	listen(p, func(m *pb.Message) *pb.Ping { return m.GetPong() })
	if n.asked > 0 {
		t.Errorf("the library was asked %d times", n.asked)
	}
}

// A flood of requests ends the session or is bounded, and hurts nobody else.
func TestFloodOfRequests(t *testing.T) {
	t.Parallel()
	n, c, p := victim(t)
	n.gate = make(chan struct{})
	p.say(openMessage(1, c.root, 2, false))
	for range 2*maxQueued + 100 {
		p.say(requestMessage(1, 0, 0, 1))
	}
	j := listen(p, func(m *pb.Message) *pb.Reject { return m.GetReject() })
	if j.Reason != pb.Reject_BUSY || j.Piece != 0 {
		t.Errorf("got %v", j)
	}
	l := n.x.server.lanes[0]
	l.mu.Lock()
	for key := range l.queues {
		if waits := l.uploads.Waiting(key); waits > maxQueued {
			t.Errorf("%d requests wait", waits)
		}
	}
	l.mu.Unlock()
	p.st.Reset()
	close(n.gate)
	unhurt(t, n, c)
}

// A flood of tree requests ends the session or is bounded, and hurts nobody else.
func TestFloodOfTreeRequests(t *testing.T) {
	t.Parallel()
	n, c, p := victim(t)
	for i := range 5000 { // it does not listen, so that the answers pile up
		q := &pb.TreeRequest{Id: uint32(i), Node: c.root.Bytes()}
		if p.try(&pb.Message{Body: &pb.Message_TreeRequest{TreeRequest: q}}) != nil {
			break
		}
	}
	p.cutOff()
	unhurt(t, n, c)
}

// A flood of bad pieces ends the session or is bounded, and hurts nobody else.
func TestFloodOfBadPieces(t *testing.T) {
	t.Parallel()
	n, c, p := victim(t)
	p.say(openMessage(1, c.root, 2, false))
	for range 10 * maxBad {
		p.try(&pb.Message{Body: &pb.Message_Bad{Bad: &pb.Bad{Handle: 1, Piece: 1}}})
	}
	p.cutOff()
	if len(n.suspects) > maxBad {
		t.Errorf("%d suspects", len(n.suspects))
	}
	unhurt(t, n, c)
}

// A flood of tiny fields ends the session or is bounded, and hurts nobody else.
func TestFloodOfTinyFields(t *testing.T) {
	t.Parallel()
	n, c, p := victim(t)
	b := tinyFields(maxMessage/2 - 10)
	p.st.Write(append(protowire.AppendVarint(nil, uint64(len(b))), b...))
	p.cutOff()
	unhurt(t, n, c)
}

// drain reads what a node says until the end.
func drain(p *rawPeer) {
	var buf []byte
	for {
		if _, err := readMessage(p.r, &buf, limited(maxReply)); err != nil {
			return
		}
	}
}
