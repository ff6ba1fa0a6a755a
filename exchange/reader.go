package exchange

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/shoal-p2p/shoal/exchange/pb"
)

var errTooMuch = fmt.Errorf("%w: more is sent than was asked", errProtocol)

// acceptData reads frames from the data stream of a peer that we asked for pieces.
func (x *Exchange) acceptData(st network.Stream) {
	s := x.session(st.Conn().RemotePeer())
	if s == nil || !s.attach(st) {
		st.Reset()
	}
}

// attach starts reading a data stream, unless the session has ended or the
// peer has too many that have not shown their number.
func (s *Session) attach(st network.Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil || len(s.streams) >= maxStreams {
		return false
	}
	s.streams[st] = false
	s.wg.Go(func() { s.readData(st) })
	return true
}

// resetData ends the data streams, so that nobody waits in one.
func (s *Session) resetData() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.streams {
		st.Reset()
	}
}

// chosen makes st the data stream of the peer; it may have one.
func (s *Session) chosen(st network.Stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.streams {
		if other {
			return fmt.Errorf("%w: second data stream", errProtocol)
		}
	}
	s.streams[st] = true
	return nil
}

// readData reads one data stream. The session ends with the stream that showed
// its number: without one the peer has nothing to say.
func (s *Session) readData(st network.Stream) {
	defer func() {
		st.Reset()
		s.mu.Lock()
		delete(s.streams, st)
		s.mu.Unlock()
	}()
	r := bufio.NewReaderSize(st, 64) // headers only: bodies are read past it
	var head [frameHeader]byte
	st.SetReadDeadline(time.Now().Add(helloTimeout)) // an error shows in the read itself
	if _, err := io.ReadFull(r, head[:8]); err != nil || binary.BigEndian.Uint64(head[:8]) != s.nonce {
		return // of a session that this one replaced
	}
	st.SetReadDeadline(time.Time{})
	err := s.chosen(st)
	for err == nil {
		err = s.readFrame(r, head[:])
	}
	if !errors.Is(err, errProtocol) {
		err = fmt.Errorf("read data of %v: %w", s.Peer, err)
	}
	s.end(err)
}

// readFrame reads a frame into the piece that it belongs to.
func (s *Session) readFrame(r io.Reader, head []byte) error {
	if _, err := io.ReadFull(r, head); err != nil {
		return err
	}
	f, err := parseFrame(head)
	if err != nil {
		return err
	}
	key, in, err := s.take(f)
	if err != nil {
		return err
	}
	s.received.Add(int64(f.length))
	if in == nil {
		if err := s.discard(r, int(f.length)); err != nil {
			return err
		}
		s.ack(f)
		if key.root != nil {
			key.root.deliver(Wasted{From: s, Bytes: int(f.length)})
		}
		return nil
	}
	if err = s.fill(r, f, key, in); err == nil {
		s.ack(f)
	}
	whole, over := s.rest(key, in)
	switch {
	case err != nil:
		return err
	case over:
		key.root.deliver(Wasted{From: s, Bytes: int(f.length)})
	case whole != nil:
		key.root.deliver(Received{From: s, Piece: key.piece, Data: whole.bytes, of: whole})
	}
	return nil
}

// ack tells the peer that a frame has come: it keeps no more on the way than
// the line carries.
func (s *Session) ack(f frame) {
	s.came += uint64(f.length)
	s.post(&pb.Message{Body: &pb.Message_Ack{Ack: &pb.Ack{Bytes: s.came}}})
}

// fill reads the bytes of a frame in steps, so that the owner sees progress on
// slow paths. What is left of a piece that is cancelled meanwhile is discarded, and
// so are blocks that are here: they may be on their way to others.
func (s *Session) fill(r io.Reader, f frame, key pendingKey, in *incoming) error {
	const (
		step = 256 << 10             // four events a MiB keep the owner's inbox cheap on fast paths
		slow = 20 * time.Millisecond // on slower ones each block is one
	)
	from := int(f.first) * Block
	body := in.data.bytes[from : from+int(f.length)]
	block, told := int(f.first), time.Now()
	for at := 0; at < len(body); {
		n := min(len(body)-at, Block)
		lacking := bits.TrailingZeros32(^(in.missing >> block)) // blocks, from this one on
		if lacking == 0 {
			if err := s.discard(r, n); err != nil {
				return err
			}
			key.root.deliver(Wasted{From: s, Bytes: n})
			at, block = at+n, block+1
			continue
		}
		if time.Since(told) < slow {
			n = min(len(body)-at, step, lacking*Block)
		}
		if err := s.x.down.readFull(s.ctx, s.Path(), r, body[at:at+n]); err != nil {
			return unexpectedEOF(err)
		}
		passes, over := s.filled(in, block, blocks(n))
		s.x.server.onReceived(s, n)
		if over {
			return s.discard(r, len(body)-at-n)
		}
		if passes > 0 {
			key.root.more(s, key.piece, passes)
		}
		key.root.deliver(Arrived{From: s, Piece: key.piece, N: blocks(n)})
		at, block, told = at+n, block+blocks(n), time.Now()
	}
	return nil
}

func (s *Session) discard(r io.Reader, n int) error {
	s.x.down.take(s.Path(), n)
	_, err := io.CopyN(io.Discard, r, int64(n))
	return unexpectedEOF(err)
}
