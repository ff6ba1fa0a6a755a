package exchange

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-buffer-pool"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/shoal-p2p/shoal/exchange/pb"
)

// frameTimeout is how long one frame may take: 2 MiB at 35 KiB/s.
const frameTimeout = 60 * time.Second

// onWay is a frame that the peer has not acknowledged.
type onWay struct {
	lane  *lane
	bytes int
}

// maxOnWay bounds the frames of a session that are not acknowledged: the window
// of a lane in frames of one block.
const maxOnWay = 1 << 10

// writeFrame sends a header and its bytes on the data stream, opened first if
// there is none.
func (s *Session) writeFrame(l *lane, f frame, body []byte) error {
	return s.locked(s.writing, func() error {
		if s.data == nil {
			if err := s.openData(); err != nil {
				return err
			}
		}
		if !s.depart(onWay{l, len(body)}) {
			return fmt.Errorf("%v acknowledges nothing", s.Peer)
		}
		head := appendFrame(s.head[:0], f)
		write := func(from, to int) error {
			s.data.SetWriteDeadline(time.Now().Add(frameTimeout)) // an error shows in the write itself
			if from == 0 {
				n, err := s.begin(head, body[:to])
				if err != nil {
					return fmt.Errorf("write to %v: %w", s.Peer, err)
				}
				from = n
			}
			if from == to {
				return nil
			}
			if _, err := s.data.Write(body[from:to]); err != nil {
				return fmt.Errorf("write to %v: %w", s.Peer, err)
			}
			return nil
		}
		return s.x.server.limit.steps(s.ctx, s.Path(), len(body), func(from, to int) error {
			return l.pacer.steps(s.ctx, from, to, write)
		})
	})
}

// begin writes a header with the beginning of its body, of which it returns how much:
// both go out as one, as much as a muxer sends at once (yamux: 64 KiB with 12 bytes
// of its own), and wake the receiver once.
func (s *Session) begin(head, body []byte) (int, error) {
	const most = 64<<10 - 12
	n := min(len(body), most-len(head))
	buf := pool.Get(len(head) + n)
	defer pool.Put(buf)
	copy(buf, head)
	copy(buf[len(head):], body[:n])
	_, err := s.data.Write(buf)
	return n, err
}

// offer asks the peer whether it still wants a piece.
func (s *Session) offer(r *Root, piece int) {
	if h := s.handleOf(r); h != 0 {
		s.post(&pb.Message{Body: &pb.Message_Offer{Offer: &pb.Offer{Handle: h, Piece: uint32(piece)}}})
	}
}

// depart notes a frame that goes out; false if too many are on their way.
func (s *Session) depart(f onWay) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onWay = append(s.onWay, f)
	s.departed += uint64(f.bytes)
	return len(s.onWay) <= maxOnWay
}

// onAck takes what has come off what is on the way.
func (s *Session) onAck(total uint64) error {
	var came []onWay
	s.mu.Lock()
	if total > s.departed {
		s.mu.Unlock()
		return fmt.Errorf("%w: %d bytes acknowledged of %d", errProtocol, total, s.departed)
	}
	for len(s.onWay) > 0 && s.landed+uint64(s.onWay[0].bytes) <= total {
		s.landed += uint64(s.onWay[0].bytes)
		came = append(came, s.onWay[0])
		s.onWay = s.onWay[1:]
	}
	s.mu.Unlock()
	now := time.Now()
	for _, f := range came {
		f.lane.acked(now, s, f.bytes)
	}
	return nil
}

// openData opens our data stream, which is reset when the session ends.
func (s *Session) openData() error {
	ctx, cancel := context.WithTimeout(s.ctx, helloTimeout)
	defer cancel()
	st, err := s.x.host.NewStream(network.WithAllowLimitedConn(ctx, "shoal pieces"), s.Peer, s.x.data)
	if err != nil {
		return fmt.Errorf("open data stream to %v: %w", s.Peer, err)
	}
	context.AfterFunc(s.ctx, func() { st.Reset() }) // a blocked write ends with the session
	st.SetWriteDeadline(time.Now().Add(helloTimeout))
	if _, err := st.Write(binary.BigEndian.AppendUint64(nil, s.remote)); err != nil {
		return fmt.Errorf("write to %v: %w", s.Peer, err)
	}
	s.data = st
	return nil
}

// random is a number for nonces and seeds that need not be secret.
func (x *Exchange) random() uint64 { return rand.Uint64() }
