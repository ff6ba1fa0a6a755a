package exchange

import (
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/exchange/pb"
	"google.golang.org/protobuf/proto"
)

const (
	patientFor = time.Second // for which what is not urgent waits for a message that is
	outWrite   = 16 << 10    // bytes that are written at once, passed by one message
)

// outgoing is a message that waits to be written. One that is patient goes with the
// next that is not: what costs is not its bytes, but to send, receive and wake up.
type outgoing struct {
	m       *pb.Message
	patient bool
}

// write sends queued messages until the session ends, in their order.
func (s *Session) write() {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	wait := time.NewTimer(patientFor)
	wait.Stop()
	defer wait.Stop()
	s.ping()
	w := controlWriter{s: s}
	for {
		var err error
		select {
		case o := <-s.out:
			first := len(w.buf) == 0
			if err = w.take(o); err == nil && len(w.buf) > 0 && first {
				wait.Reset(patientFor)
			}
		case m := <-s.replies:
			if err = w.add(m); err == nil {
				err = w.flush()
			}
		case <-wait.C:
			err = w.flush()
		case <-ping.C:
			s.ping()
		case <-s.ctx.Done():
			return
		}
		if err != nil {
			s.end(fmt.Errorf("write to %v: %w", s.Peer, err))
			return
		}
	}
}

// controlWriter gathers messages into writes.
type controlWriter struct {
	s   *Session
	buf []byte // what waits
}

// take adds a message and what is queued behind it, and writes unless all of it is patient.
func (w *controlWriter) take(o outgoing) error {
	urgent := false
	for {
		n := proto.Size(o.m)
		w.s.queued.Add(-int64(n))
		w.s.x.server.limit.take(w.s.Path(), n)
		if err := w.add(o.m); err != nil {
			return err
		}
		urgent = urgent || !o.patient
		if len(w.buf) >= outWrite {
			return w.flush()
		}
		select {
		case o = <-w.s.out:
			continue
		default:
		}
		if urgent {
			return w.flush()
		}
		return nil
	}
}

func (w *controlWriter) add(m *pb.Message) (err error) {
	w.buf, err = appendMessage(w.buf, m)
	return err
}

func (w *controlWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	w.s.stream.SetWriteDeadline(time.Now().Add(writeTimeout)) // an error shows in the write itself
	_, err := w.s.stream.Write(w.buf)
	if w.buf = w.buf[:0]; cap(w.buf) > maxMessage {
		w.buf = nil // one large tree must not stay for the life of the session
	}
	return err
}

// send queues m. It waits while the queue is full and gives up when the session
// ends. What answers a peer is sent: who asks faster than he reads is not read
// from meanwhile.
func (s *Session) send(m *pb.Message) {
	s.queued.Add(int64(proto.Size(m)))
	select {
	case s.out <- outgoing{m: m}:
	case <-s.ctx.Done():
	}
}

// post queues m without waiting. A peer whose queue is full does not read: its
// session ends, so that no event loop ever waits for a peer.
func (s *Session) post(m *pb.Message) { s.queue(outgoing{m: m}) }

// queue is post, also of what may wait for the next message, up to patientFor.
func (s *Session) queue(o outgoing) {
	if s.queued.Add(int64(proto.Size(o.m))) <= outBytes {
		select {
		case s.out <- o:
			return
		default:
		}
	}
	s.end(fmt.Errorf("%v does not read what it is sent", s.Peer))
}
