package exchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/shoal-p2p/shoal/exchange/pb"
)

const (
	helloTimeout = 10 * time.Second
	writeTimeout = 30 * time.Second // of one control message; a peer that does not read is gone
	pingEvery    = 15 * time.Second
	outQueue     = 1024 // control messages that wait to be written; a peer that lets them pile up is gone
	treeQueue    = 4    // tree requests of a peer that wait
)

// Session is the conversation with one peer: a control stream, and what was
// asked over it. It ends when the stream does; roots then get a Gone event.
type Session struct {
	Peer  peer.ID
	Agent string // as the peer calls itself

	x        *Exchange
	stream   network.Stream
	outbound bool
	nonce    uint64 // ours: data streams to us begin with it
	remote   uint64 // the peer's
	out      chan *pb.Message
	trees    chan *pb.TreeRequest
	done     chan struct{}
	path     atomic.Uint32
	rtt      atomic.Int64 // of the last ping
	received atomic.Int64 // payload bytes
	sent     atomic.Int64
	started  time.Time

	dataMu sync.Mutex // held while a frame is written
	data   network.Stream

	mu      sync.Mutex
	ended   error
	next    uint32 // handle
	members map[*Root]*member
	ours    map[uint32]*Root // by our handle
	theirs  map[uint32]*Root // by the peer's handle
	pending map[pendingKey]*incoming
	credit  int64 // bytes asked for and not yet come: frames beyond it are a violation
	pinged  time.Time
	treeID  uint32
	asked   map[uint32]treeAsk
}

// member is a session's part in a root.
type member struct {
	ours    uint32 // handle, 0 until we opened
	theirs  uint32 // handle, 0 until the peer opened
	missing bool   // the peer said that it has none of it
}

type treeAsk struct {
	root *Root
	part TreePart
}

func newSession(x *Exchange, st network.Stream, outbound bool) *Session {
	return &Session{
		Peer: st.Conn().RemotePeer(), x: x, stream: st, outbound: outbound,
		nonce:   x.random(),
		out:     make(chan *pb.Message, outQueue), // so that posting never waits
		trees:   make(chan *pb.TreeRequest, treeQueue),
		done:    make(chan struct{}),
		started: time.Now(),
		members: map[*Root]*member{},
		ours:    map[uint32]*Root{},
		theirs:  map[uint32]*Root{},
		pending: map[pendingKey]*incoming{},
		asked:   map[uint32]treeAsk{},
	}
}

// Path is how the peer is reached.
func (s *Session) Path() Path { return Path(s.path.Load()) }

// RTT is the last measured round trip, 0 before the first.
func (s *Session) RTT() time.Duration { return time.Duration(s.rtt.Load()) }

// Conn is the connection of the control stream.
func (s *Session) Conn() network.Conn { return s.stream.Conn() }

// Amounts are the payload bytes received and sent in this session.
func (s *Session) Amounts() (received, sent int64) { return s.received.Load(), s.sent.Load() }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

func (s *Session) classify() {
	s.path.Store(uint32(pathOf(s.stream.Conn(), s.x.lan, s.x.isNear(s.Peer))))
}

// hello exchanges the first messages.
func (s *Session) hello(r *bufio.Reader) error {
	if err := s.stream.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return err
	}
	agent := s.x.cfg.Agent
	mine := &pb.Message{Body: &pb.Message_Hello{Hello: &pb.Hello{Agent: agent[:min(len(agent), maxAgent)], Session: s.nonce}}}
	if err := writeMessage(s.stream, mine); err != nil {
		return fmt.Errorf("greet %v: %w", s.Peer, err)
	}
	var buf []byte
	m, err := readMessage(r, &buf)
	if err != nil {
		return fmt.Errorf("greeting of %v: %w", s.Peer, err)
	}
	h := m.GetHello()
	if h == nil || len(h.Agent) > maxAgent {
		return fmt.Errorf("%w: %v did not greet", errProtocol, s.Peer)
	}
	s.Agent, s.remote = h.Agent, h.Session
	return s.stream.SetDeadline(time.Time{})
}

// run reads control messages until the session ends.
func (s *Session) run(r *bufio.Reader) {
	var buf []byte
	for {
		m, err := readMessage(r, &buf)
		if err == nil {
			err = s.handle(m)
		}
		if err != nil {
			s.end(err)
			return
		}
		if cap(buf) > 1<<20 {
			buf = nil // one large tree must not stay for the life of the session
		}
	}
}

// write sends queued messages until the session ends.
func (s *Session) write() {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	s.ping()
	for {
		var m *pb.Message
		select {
		case m = <-s.out:
		case <-ping.C:
			s.ping()
			continue
		case <-s.done:
			return
		}
		s.stream.SetWriteDeadline(time.Now().Add(writeTimeout)) // an error shows in the write itself
		if err := writeMessage(s.stream, m); err != nil {
			s.end(fmt.Errorf("write to %v: %w", s.Peer, err))
			return
		}
	}
}

// ping measures the round trip, one ping at a time.
func (s *Session) ping() {
	s.mu.Lock()
	waiting := !s.pinged.IsZero()
	if !waiting {
		s.pinged = time.Now()
	}
	s.mu.Unlock()
	if !waiting {
		s.post(&pb.Message{Body: &pb.Message_Ping{Ping: &pb.Ping{Nonce: s.nonce}}})
	}
}

// send queues m. It waits while the queue is full and gives up when the session ends.
func (s *Session) send(m *pb.Message) {
	select {
	case s.out <- m:
	case <-s.done:
	}
}

// post queues m without waiting. A peer whose queue is full does not read: its
// session ends, so that no reader and no event loop ever waits for a peer.
func (s *Session) post(m *pb.Message) {
	select {
	case s.out <- m:
	default:
		s.end(fmt.Errorf("%v does not read what it is sent", s.Peer))
	}
}

// end closes the session once; later calls do nothing.
func (s *Session) end(err error) {
	s.mu.Lock()
	if s.ended != nil {
		s.mu.Unlock()
		return
	}
	s.ended = err
	close(s.done)
	roots := make([]*Root, 0, len(s.members))
	for r := range s.members {
		roots = append(roots, r)
	}
	for k, in := range s.pending {
		in.cancel()
		delete(s.pending, k)
	}
	s.mu.Unlock()
	s.x.remove(s)
	if errors.Is(err, errProtocol) {
		s.x.log.Info("peer broke the protocol", "peer", s.Peer, "err", err)
	} else {
		s.x.log.Debug("session ended", "peer", s.Peer, "err", err)
	}
	s.stream.Reset()
	s.x.server.gone(s)
	s.x.spawn(func() {
		for _, r := range roots {
			r.gone(s, err)
		}
	})
}

// serveTrees answers tree requests in turn, apart from the reader so that two
// peers that ask each other never wait for one another.
func (s *Session) serveTrees() {
	for {
		select {
		case q := <-s.trees:
			s.send(&pb.Message{Body: &pb.Message_TreeReply{TreeReply: s.x.treeReply(s.x.ctx, q)}})
		case <-s.done:
			return
		}
	}
}

// Session returns the session with a peer, connecting first if there is none.
// Callers that want the same peer at once share one attempt.
func (x *Exchange) Session(ctx context.Context, to peer.AddrInfo) (*Session, error) {
	if to.ID == x.host.ID() {
		return nil, errors.New("that is this node itself")
	}
	x.host.Peerstore().AddAddrs(to.ID, to.Addrs, peerstore.TempAddrTTL)
	for {
		x.mu.Lock()
		s, busy := x.sessions[to.ID], x.dials[to.ID]
		if s == nil && busy == nil {
			busy = make(chan struct{})
			x.dials[to.ID] = busy
			x.mu.Unlock()
			s, err := x.dial(ctx, to)
			x.mu.Lock()
			delete(x.dials, to.ID)
			x.mu.Unlock()
			close(busy)
			return s, err
		}
		x.mu.Unlock()
		if s != nil {
			return s, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// dial connects and opens the control stream.
func (x *Exchange) dial(ctx context.Context, to peer.AddrInfo) (*Session, error) {
	if err := x.host.Connect(ctx, to); err != nil {
		return nil, fmt.Errorf("connect to %v: %w", to.ID, err)
	}
	if s := x.session(to.ID); s != nil {
		return s, nil
	}
	st, err := x.host.NewStream(network.WithAllowLimitedConn(ctx, "shoal control"), to.ID, x.control)
	if err != nil {
		return nil, fmt.Errorf("open stream to %v: %w", to.ID, err)
	}
	s := newSession(x, st, true)
	r := bufio.NewReaderSize(st, 4<<10)
	stop := context.AfterFunc(ctx, func() { st.Reset() })
	err = s.hello(r)
	stop()
	if err != nil {
		st.Reset()
		return x.crossed(ctx, to.ID, err)
	}
	if !x.adopt(s, r) {
		return x.crossed(ctx, to.ID, ErrClosed)
	}
	return s, nil
}

// crossed waits a moment for the peer's own session when ours lost to it:
// both sides dialled at once.
func (x *Exchange) crossed(ctx context.Context, p peer.ID, err error) (*Session, error) {
	for range 20 {
		if s := x.session(p); s != nil {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-x.ctx.Done():
			return nil, ErrClosed
		case <-time.After(25 * time.Millisecond):
		}
	}
	return nil, err
}

func (x *Exchange) session(p peer.ID) *Session {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sessions[p]
}

// accept takes an inbound control stream.
func (x *Exchange) accept(st network.Stream) {
	s := newSession(x, st, false)
	r := bufio.NewReaderSize(st, 4<<10)
	if err := s.hello(r); err != nil {
		x.log.Debug("no session", "peer", s.Peer, "err", err)
		st.Reset()
		return
	}
	x.adopt(s, r)
}

// adopt makes s the session with its peer, unless one that stays is there: of
// two that were opened at once, the one that the lower peer ID opened.
func (x *Exchange) adopt(s *Session, r *bufio.Reader) bool {
	s.classify()
	x.mu.Lock()
	old := x.sessions[s.Peer]
	lower := x.host.ID() < s.Peer
	if x.closed || (old != nil && old.outbound != s.outbound && old.outbound == lower) {
		x.mu.Unlock()
		s.stream.Reset()
		return false
	}
	x.sessions[s.Peer] = s
	x.wg.Go(func() { s.run(r) })
	x.wg.Go(s.write)
	x.wg.Go(s.serveTrees)
	x.mu.Unlock()
	if old != nil {
		old.end(fmt.Errorf("replaced by a newer session: %w", ErrClosed))
	}
	x.log.Debug("session", "peer", s.Peer, "path", s.Path(), "agent", s.Agent)
	if x.cfg.OnSession != nil {
		x.cfg.OnSession(s)
	}
	return true
}

func (x *Exchange) remove(s *Session) {
	x.mu.Lock()
	if x.sessions[s.Peer] == s {
		delete(x.sessions, s.Peer)
	}
	x.mu.Unlock()
}
