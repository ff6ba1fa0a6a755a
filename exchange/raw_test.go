package exchange

import (
	"bufio"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/shoal-p2p/shoal/exchange/ledger"
	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
)

// rawPeer speaks the protocol by hand, and so may break it.
type rawPeer struct {
	t      testing.TB
	h      host.Host
	to     *node
	st     network.Stream
	r      *bufio.Reader
	theirs uint64 // the node's session number
}

func newRawPeer(t testing.TB, h host.Host, to *node, st network.Stream) *rawPeer {
	return &rawPeer{t: t, h: h, to: to, st: st, r: bufio.NewReader(st)}
}

// greet exchanges the greetings.
func (p *rawPeer) greet(session uint64) {
	p.t.Helper()
	p.say(helloMessage(session))
	h := p.hear().GetHello()
	if h == nil {
		p.t.Fatal("no greeting")
	}
	p.theirs = h.Session
}

func (p *rawPeer) say(m *pb.Message) {
	p.t.Helper()
	if err := p.try(m); err != nil {
		p.t.Fatalf("say %v: %v", m, err)
	}
}

func (p *rawPeer) try(m *pb.Message) error { return writeMessage(p.st, m) }

// hear reads the next message; nil when the stream has ended.
func (p *rawPeer) hear() *pb.Message {
	p.t.Helper()
	p.st.SetReadDeadline(time.Now().Add(patience))
	var buf []byte
	m, err := readMessage(p.r, &buf, func() int { return maxReply })
	if err != nil {
		return nil
	}
	return m
}

// listen reads until a message that pick takes. It answers pings.
func listen[B any](p *rawPeer, pick func(*pb.Message) *B) *B {
	p.t.Helper()
	for {
		m := p.hear()
		if m == nil {
			p.t.Fatal("the stream ended")
		}
		if ping := m.GetPing(); ping != nil {
			p.say(&pb.Message{Body: &pb.Message_Pong{Pong: ping}})
		}
		if b := pick(m); b != nil {
			return b
		}
	}
}

// cutOff waits for the node to end the stream.
func (p *rawPeer) cutOff() {
	p.t.Helper()
	for p.hear() != nil {
	}
	until(p.t, "the session ends", func() bool { return p.to.x.session(p.h.ID()) == nil })
}

// frames opens a data stream that begins with a session number.
func (p *rawPeer) frames(session uint64) network.Stream {
	p.t.Helper()
	st, err := p.h.NewStream(p.t.Context(), p.to.h.ID(), p.to.x.data)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := st.Write(binary.BigEndian.AppendUint64(nil, session)); err != nil {
		p.t.Fatal(err)
	}
	return st
}

// frame writes a frame of blocks of a piece.
func (p *rawPeer) frame(st network.Stream, f frame, body []byte) {
	p.t.Helper()
	if _, err := st.Write(append(appendFrame(nil, f), body...)); err != nil {
		p.t.Fatal(err)
	}
}

func helloMessage(session uint64) *pb.Message {
	return &pb.Message{Body: &pb.Message_Hello{Hello: &pb.Hello{Agent: "by hand", Session: session}}}
}

func requestMessage(handle, piece, first, count uint32) *pb.Message {
	return &pb.Message{Body: &pb.Message_Request{Request: &pb.Request{Handle: handle, Piece: piece, First: first, Count: count}}}
}

// readAll reads and acknowledges the frames that come until none does for a
// second, and tells how many bytes they brought.
func (p *rawPeer) readAll(n chan<- int) network.StreamHandler {
	return func(st network.Stream) {
		var total uint64
		defer func() { n <- int(total) }()
		buf := make([]byte, merkle.MaxLeaf)
		if _, err := io.ReadFull(st, buf[:8]); err != nil {
			return
		}
		for {
			st.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := io.ReadFull(st, buf[:frameHeader]); err != nil {
				return
			}
			f, err := parseFrame(buf[:frameHeader])
			if err != nil {
				return
			}
			if _, err := io.ReadFull(st, buf[:f.length]); err != nil {
				return
			}
			total += uint64(f.length)
			p.try(&pb.Message{Body: &pb.Message_Ack{Ack: &pb.Ack{Bytes: total}}})
		}
	}
}

func ledgerKey(n *node) ledger.PeerKey { return ledger.PeerKey(n.h.ID()) }
