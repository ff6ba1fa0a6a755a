package exchange

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/internal/testnet"
	"github.com/shoal-p2p/shoal/merkle"
)

// rawInVirtualTime runs a test in a bubble with a node and n peers by hand.
func rawInVirtualTime(t *testing.T, n int, cfg Config, test func(t *testing.T, n *node, p []*rawPeer)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, n+1, testnet.Config{})
		node := newNode(t, hosts[0], cfg)
		peers := make([]*rawPeer, n)
		for i, h := range hosts[1:] {
			testnet.Connect(t, h, hosts[0])
			st, err := h.NewStream(t.Context(), hosts[0].ID(), node.x.control)
			if err != nil {
				t.Fatal(err)
			}
			peers[i] = newRawPeer(t, h, node, st)
		}
		test(t, node, peers)
	})
}

// Who does not greet has ten seconds.
func TestNoHello(t *testing.T) {
	rawInVirtualTime(t, 1, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
		start := time.Now()
		p[0].st.Write([]byte{5}) // opens the stream, and begins a message
		for p[0].hear() != nil {
		}
		if took := time.Since(start); took < helloTimeout || took > helloTimeout+time.Second {
			t.Errorf("cut off after %v", took)
		}
		if len(n.x.Sessions()) > 0 {
			t.Error("there is a session")
		}
	})
}

// Close does not wait for those who have not greeted.
func TestCloseDuringHello(t *testing.T) {
	rawInVirtualTime(t, 1, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
		p[0].st.Write([]byte{5})
		time.Sleep(time.Second)
		start := time.Now()
		n.x.Close()
		if took := time.Since(start); took > 0 {
			t.Errorf("Close took %v", took)
		}
	})
}

// Who greets and then says nothing, not even pong, is gone after a while.
func TestSilent(t *testing.T) {
	rawInVirtualTime(t, 1, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
		p[0].greet(1)
		start := time.Now()
		s := n.x.session(p[0].h.ID())
		<-s.Done()
		if took := time.Since(start); took < pongTimeout-time.Second || took > pongTimeout+2*pingEvery {
			t.Errorf("ended after %v: %v", took, s.why())
		}
	})
}

// Who answers pings stays, for hours.
func TestIdle(t *testing.T) {
	inVirtualTime(t, 2, Config{}, func(t *testing.T, n []*node) {
		s := n[0].dial(n[1])
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if s.ctx.Err() != nil {
			t.Errorf("ended: %v", s.why())
		}
	})
}

// A data stream that does not show its number has ten seconds.
func TestDataStreamSaysNothing(t *testing.T) {
	rawInVirtualTime(t, 1, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
		p[0].greet(1)
		s := n.x.session(p[0].h.ID())
		for range 3 * maxStreams {
			st, err := p[0].h.NewStream(t.Context(), n.h.ID(), n.x.data)
			if err != nil {
				t.Fatal(err)
			}
			st.Write([]byte{1})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := streamsOf(s); got != maxStreams {
			t.Errorf("%d streams wait", got)
		}
		time.Sleep(helloTimeout)
		synctest.Wait()
		if got := streamsOf(s); got != 0 || s.ctx.Err() != nil {
			t.Errorf("%d streams wait, session: %v", got, s.ctx.Err())
		}
	})
}

// Peers that ask for everything and read nothing hold up nobody: with one
// upload slot and three of them, another is served at once. Their sessions end.
func TestNeverReads(t *testing.T) {
	rawInVirtualTime(t, 4, Config{Workers: 1}, func(t *testing.T, n *node, p []*rawPeer) {
		c := makeContent(t, 40, 24<<20, merkle.UnixFSv1)
		n.put(c)
		for _, q := range p[:3] {
			q.h.SetStreamHandler(n.x.data, func(network.Stream) {}) // opens it and never reads
			q.greet(1)
			q.say(openMessage(1, c.root, 24, false))
			q.say(requestMessage(1, 4, 0, 20*16))
		}
		time.Sleep(5 * time.Second)
		start := time.Now()
		p[3].greet(1)
		n2 := make(chan int, 1)
		p[3].h.SetStreamHandler(n.x.data, p[3].readAll(n2))
		p[3].say(openMessage(1, c.root, 24, false))
		p[3].say(requestMessage(1, 0, 0, 4*16))
		if got := <-n2; got != 4<<20 {
			t.Errorf("%d bytes", got)
		}
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("4 MiB took %v beside peers that do not read", took)
		}
		time.Sleep(2 * frameTimeout)
		synctest.Wait()
		if left := len(n.x.Sessions()); left > 0 { // the fourth does not answer pings
			t.Errorf("%d sessions left", left)
		}
		for _, l := range n.x.server.lanes {
			if l.slots != 1 || len(l.queues) > 0 {
				t.Errorf("%d slots, %d queues", l.slots, len(l.queues))
			}
		}
		for _, e := range n.x.server.cache.byKey {
			if e.users != 0 {
				t.Errorf("a piece has %d users", e.users)
			}
		}
	})
}

// A peer that never reads its control stream is cut off when what it should
// read has piled up, and delays no owner meanwhile.
func TestNeverReadsControl(t *testing.T) {
	rawInVirtualTime(t, 1, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
		c := makeContent(t, 41, 4<<20, merkle.UnixFSv1)
		r, events := n.open(c.root)
		r.Hold(c.held(0))
		p[0].greet(1)
		p[0].say(openMessage(1, c.root, 4, false))
		s := await[Opened](t, events).From
		start := time.Now()
		for range 100_000 {
			r.Claim([]Run{{0, 1}, {2, 1}}, 1000, false)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("the owner waited %v", took)
		}
		<-s.Done()
		if g := await[Gone](t, events); g.From != s {
			t.Errorf("%+v", g)
		}
	})
}

// Tree replies wait for the writer one at a time: who asks and does not read
// makes us hold one, however slowly it asks.
func TestTreesNotRead(t *testing.T) {
	rawInVirtualTime(t, 1, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
		c := makeContent(t, 42, 1<<20, merkle.UnixFSv1)
		n.put(c)
		p[0].greet(1)
		s := n.x.session(p[0].h.ID())
		q := &pb.Message{Body: &pb.Message_TreeRequest{TreeRequest: &pb.TreeRequest{Node: c.root.Bytes()}}}
		for s.ctx.Err() == nil && p[0].try(q) == nil {
			time.Sleep(100 * time.Millisecond)
			if queued := len(s.out); queued > 3 {
				t.Fatalf("%d messages wait", queued)
			}
		}
		synctest.Wait()
		if s.ctx.Err() == nil {
			t.Error("the session goes on")
		}
	})
}

// A peer may be told large maps, but not make them pile up.
func TestQueryFlood(t *testing.T) {
	rawInVirtualTime(t, 1, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
		c := makeContent(t, 43, 1<<20, merkle.UnixFSv1)
		r, _ := n.open(c.root)
		h := Held{Table: &merkle.Table{Pieces: make([]merkle.Piece, merkle.MaxPieces)}, Have: make([]bool, merkle.MaxPieces)}
		for i := range h.Have {
			h.Have[i] = i%2 == 0
		}
		r.Close()
		n.mu.Lock()
		n.roots[c.root.KeyString()] = h
		n.mu.Unlock()
		p[0].greet(1)
		s := n.x.session(p[0].h.ID())
		most := int64(0)
		for s.ctx.Err() == nil && p[0].try(openMessage(1, c.root, 0, true)) == nil {
			synctest.Wait()
			most = max(most, s.queued.Load())
		}
		if most < 4<<20 || most > outBytes+2<<20 {
			t.Errorf("%d bytes waited", most)
		}
	})
}

// Who asks without end and does not read the answers is not read from meanwhile.
func TestPingFlood(t *testing.T) {
	rawInVirtualTime(t, 1, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
		p[0].greet(1)
		s := n.x.session(p[0].h.ID())
		ping := &pb.Message{Body: &pb.Message_Ping{Ping: &pb.Ping{Nonce: 1 << 60}}}
		p[0].st.SetWriteDeadline(time.Now().Add(time.Hour))
		said := 0
		for p[0].try(ping) == nil {
			said++
		}
		<-s.finished
		if said < outQueue || said > 1_000_000 {
			t.Errorf("%d pings were taken", said)
		}
	})
}

// streamsOf is how many data streams of the peer there are.
func streamsOf(s *Session) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}
