package exchange

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
)

// relay is a node that gets a piece of the first peer, of which some blocks have
// come, and the second one, which wants it too.
type relay struct {
	t      *testing.T
	c      content
	r      *Root
	events chan Event
	from   *Session
	p      []*rawPeer
	data   network.Stream // from the first peer
	got    chan frame     // at the second one
	body   []byte
}

func newRelay(t *testing.T, n *node, p []*rawPeer) *relay {
	c := makeContent(t, 70, 2<<20, merkle.UnixFSv1)
	y := &relay{t: t, c: c, p: p, got: make(chan frame, 64), body: make([]byte, len(c.pieces[0]))}
	y.r, y.events = n.open(c.root)
	y.r.Hold(Held{Table: c.table, Have: make([]bool, len(c.pieces)), Tree: c.tree})
	p[1].h.SetStreamHandler(n.x.data, y.read)
	for i, q := range p {
		q.greet(uint64(i + 1))
		q.say(openMessage(1, c.root, len(c.pieces), false))
		if s := await[Opened](t, y.events).From; s.Peer == p[0].h.ID() {
			y.from = s
		}
	}
	p[0].say(haveMessage(1, true, nil))
	await[Haves](t, y.events)
	y.r.Request(y.from, []Ask{{Piece: 0, Count: blocks(len(c.pieces[0])), Size: len(c.pieces[0])}})
	listen(p[0], (*pb.Message).GetRequest)
	y.data = p[0].frames(p[0].theirs)
	y.send(0, 4)
	await[Arrived](t, y.events)
	synctest.Wait()
	return y
}

// send has the first peer send blocks.
func (y *relay) send(first, count int) {
	body := y.c.pieces[0][first*Block : min((first+count)*Block, len(y.c.pieces[0]))]
	y.p[0].frame(y.data, frame{handle: 1, first: uint16(first), count: uint16(count), length: uint32(len(body))}, body)
}

// read takes frames at the second peer.
func (y *relay) read(st network.Stream) {
	var head [frameHeader]byte
	io.ReadFull(st, head[:8])
	for total := uint64(0); ; {
		if _, err := io.ReadFull(st, head[:]); err != nil {
			return
		}
		f, err := parseFrame(head[:])
		if err != nil {
			return
		}
		io.ReadFull(st, y.body[int(f.first)*Block:][:f.length])
		total += uint64(f.length)
		y.p[1].try(&pb.Message{Body: &pb.Message_Ack{Ack: &pb.Ack{Bytes: total}}})
		y.got <- f
	}
}

// blocks is how many blocks come to the second peer within a second.
func (y *relay) blocks() (n int) {
	late := time.After(time.Second)
	for {
		select {
		case f := <-y.got:
			n += int(f.count)
		case <-late:
			return n
		}
	}
}

// What comes is passed on as it comes, to whoever asks for it, before it is whole.
func TestPass(t *testing.T) {
	rawInVirtualTime(t, 2, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
		y := newRelay(t, n, p)
		y.r.Pass(y.from, 0)
		for told := []*pb.Partial(nil); len(told) == 0; {
			told = listen(p[1], (*pb.Message).GetHave).Partial
		}
		p[1].say(requestMessage(1, 0, 0, uint32(blocks(len(y.c.pieces[0])))))
		if got := y.blocks(); got != 4 {
			t.Fatalf("%d blocks of the 4 that are here", got)
		}
		y.send(4, 10)
		if got := y.blocks(); got != 10 {
			t.Fatalf("%d blocks of the 10 that came", got)
		}
		rest := blocks(len(y.c.pieces[0])) - 14
		y.send(14, rest)
		await[Received](t, y.events)
		y.r.Have(0)
		if got := y.blocks(); got != rest || !bytes.Equal(y.body, y.c.pieces[0]) {
			t.Fatalf("%d blocks of the last %d", got, rest)
		}
		if h := listen(p[1], (*pb.Message).GetHave); len(h.Runs) != 2 {
			t.Errorf("told %v", h)
		}
		if len(y.r.passing) > 0 || n.x.server.cache.byKey[y.c.table.Pieces[0].Key] == nil {
			t.Error("what was passed on is not kept to be served")
		}
	})
}

// When nothing more comes of a piece, those to whom it was passed on are told, and
// get nothing more.
func TestRetract(t *testing.T) {
	for name, end := range map[string]func(y *relay){
		"cancelled": func(y *relay) { y.r.Cancel(y.from, 0) },
		"rejected": func(y *relay) {
			y.p[0].say(&pb.Message{Body: &pb.Message_Reject{Reject: &pb.Reject{Handle: 1}}})
		},
		"gone":  func(y *relay) { y.p[0].st.Reset() },
		"wrong": func(y *relay) { y.r.Retract(y.from, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			rawInVirtualTime(t, 2, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
				y := newRelay(t, n, p)
				y.r.Pass(y.from, 0)
				p[1].say(requestMessage(1, 0, 0, 16))
				if got := y.blocks(); got != 4 {
					t.Fatalf("%d blocks of the 4 that are here", got)
				}
				end(y)
				if u := listen(p[1], (*pb.Message).GetUnhave); len(u.Runs) != 2 {
					t.Errorf("told %v", u)
				}
				p[1].say(requestMessage(1, 0, 4, 12))
				if j := listen(p[1], (*pb.Message).GetReject); j.Piece != 0 {
					t.Errorf("told %v", j)
				}
				if got := y.blocks(); got != 0 || len(y.r.passing) > 0 {
					t.Errorf("%d blocks after the end", got)
				}
			})
		})
	}
}
