package exchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/exchange/pb"
	"google.golang.org/protobuf/proto"
)

const (
	helloTimeout = 10 * time.Second
	writeTimeout = 30 * time.Second // of one control message; a peer that does not read is gone
	pingEvery    = 15 * time.Second
	pongTimeout  = 60 * time.Second // a peer that has not answered a ping for so long is gone
	outQueue     = 1024             // control messages that wait to be written; a peer that lets them pile up is gone
	outBytes     = 32 << 20         // of these: some 16 have-maps with a million holes
	treeQueue    = 4                // tree requests of a peer that wait
	maxStreams   = 4                // data streams of a peer that have not shown their session number
)

// Session is the conversation with one peer: a control stream, and what was
// asked over it. It ends when the stream does; roots then get a Gone event,
// the last one of the session.
type Session struct {
	Peer  peer.ID
	Agent string // as the peer calls itself

	x        *Exchange
	prefix   string       // of its address: those who share it share a newcomer's free set
	place    string       // its address: those who share it take turns as one
	seenAs   []netip.Addr // public addresses of the peer, as it says
	stream   network.Stream
	outbound bool
	nonce    uint64 // ours: data streams to us begin with it
	remote   uint64 // the peer's
	out      chan outgoing
	queued   atomic.Int64     // bytes in out
	replies  chan *pb.Message // to tree requests, taken when they can be written
	trees    chan *pb.TreeRequest
	ctx      context.Context // ends with the session
	cancel   context.CancelFunc
	finished chan struct{} // closed when owners have heard of the end
	wg       sync.WaitGroup
	path     atomic.Uint32
	rtt      atomic.Int64 // of the last ping
	received atomic.Int64 // payload bytes
	sent     atomic.Int64

	// Locks that may be held for long, and that the end of the session breaks:
	// full while a message of the peer is applied, and while a frame is written.
	applying, writing chan struct{}

	moved int64     // bytes when upkeep looked; of upkeep alone
	rated int64     // bytes received when upkeep rated the peers; of upkeep alone
	kept  time.Time // since when they are the same, zero if the connection is not protected

	data network.Stream
	head [frameHeader]byte
	came uint64 // bytes of frames that the peer sent; of the data reader alone

	// Locked last of all, but for those of lanes and cache.
	mu               sync.Mutex
	ended            error
	next             uint32 // handle
	members          map[*Root]*member
	ours             map[uint32]*Root // by our handle
	theirs           map[uint32]*Root // by the peer's handle
	sought           map[string]*pb.Open
	pending          map[pendingKey]*incoming
	credit           int64 // bytes asked for and not yet come: frames beyond it are a violation
	pinged           time.Time
	treeID           uint32
	asked            map[uint32]treeAsk // sent
	later            []treeAsk          // not sent yet
	bads             int
	onWay            []onWay                 // frames in the order sent
	departed, landed uint64                  // bytes of frames sent, and acknowledged
	streams          map[network.Stream]bool // data streams from the peer; true once it is the one
}

// member is a session's part in a root.
type member struct {
	ours    uint32 // handle, 0 until we opened
	theirs  uint32 // handle, 0 until the peer opened
	missing bool   // the peer said that it has none of it

	has      HaveMap   // pieces that it told of, as far as what it is told of depends on that
	all      bool      // it told of all
	free     []int     // its free set, ascending; nil: not known yet
	tellFrom time.Time // a second for each record of a peer that may be told of; see mayTell
}

func newSession(x *Exchange, st network.Stream, outbound bool) *Session {
	ctx, cancel := context.WithCancel(x.ctx)
	return &Session{
		Peer: st.Conn().RemotePeer(), x: x, stream: st, outbound: outbound, prefix: prefixOf(st.Conn().RemoteMultiaddr()), place: placeOf(st.Conn().RemoteMultiaddr()),
		nonce: x.random(), ctx: ctx, cancel: cancel,
		out:      make(chan outgoing, outQueue), // so that posting never waits
		replies:  make(chan *pb.Message),
		trees:    make(chan *pb.TreeRequest, treeQueue),
		finished: make(chan struct{}),
		applying: make(chan struct{}, 1),
		writing:  make(chan struct{}, 1),
		members:  map[*Root]*member{},
		ours:     map[uint32]*Root{},
		theirs:   map[uint32]*Root{},
		sought:   map[string]*pb.Open{},
		pending:  map[pendingKey]*incoming{},
		asked:    map[uint32]treeAsk{},
		streams:  map[network.Stream]bool{},
	}
}

// ServedFor is why the peer was served last: owed, free, member or idle; "" if
// it never was.
func (s *Session) ServedFor() string { return string(s.x.server.served(s)) }

// Path is how the peer is reached.
func (s *Session) Path() Path { return Path(s.path.Load()) }

// RTT is the last measured round trip, 0 before the first.
func (s *Session) RTT() time.Duration { return time.Duration(s.rtt.Load()) }

// Conn is the connection of the control stream.
func (s *Session) Conn() network.Conn { return s.stream.Conn() }

// Amounts are the payload bytes received and sent in this session.
func (s *Session) Amounts() (received, sent int64) { return s.received.Load(), s.sent.Load() }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.ctx.Done() }

func (s *Session) classify() {
	s.path.Store(uint32(s.x.pathTo(s)))
}

// hello exchanges the first messages, until ctx ends.
func (s *Session) hello(ctx context.Context, r *bufio.Reader) error {
	defer context.AfterFunc(ctx, func() { s.stream.Reset() })()
	if err := s.stream.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return err
	}
	agent := s.x.cfg.Agent
	agent = strings.ToValidUTF8(agent[:min(len(agent), maxAgent)], "") // protobuf refuses a cut rune
	mine := &pb.Message{Body: &pb.Message_Hello{Hello: &pb.Hello{Agent: agent, Session: s.nonce, SeenAs: s.x.seenAs(s.Conn())}}}
	if err := writeMessage(s.stream, mine); err != nil {
		return fmt.Errorf("greet %v: %w", s.Peer, err)
	}
	var buf []byte
	m, err := readMessage(r, &buf, func() int { return maxHello })
	if err != nil {
		return fmt.Errorf("greeting of %v: %w", s.Peer, err)
	}
	h := m.GetHello()
	if h == nil || len(h.Agent) > maxAgent {
		return fmt.Errorf("%w: %v did not greet", errProtocol, s.Peer)
	}
	s.Agent, s.remote, s.seenAs = h.Agent, h.Session, readSeenAs(h.SeenAs)
	return s.stream.SetDeadline(time.Time{})
}

// live is the life of a session: it takes the place of old, tells of itself,
// talks until it ends, and lets go of everything. The Gone of old comes before
// anything of s, and nothing of s after its own.
func (s *Session) live(old *Session, r *bufio.Reader) {
	defer close(s.finished)
	x := s.x
	if old != nil {
		old.end(fmt.Errorf("replaced by a newer session: %w", ErrClosed))
		<-old.finished
	}
	x.server.meet(s)
	x.log.Debug("session", "peer", s.Peer, "path", s.Path(), "agent", s.Agent)
	if x.cfg.OnSession != nil && s.ctx.Err() == nil {
		x.cfg.OnSession(s)
	}
	s.wg.Go(s.write)
	s.wg.Go(s.serveTrees)
	s.wg.Go(func() { s.read(r) })
	<-s.ctx.Done()
	s.end(ErrClosed) // the reason only if there is none yet: the exchange closes
	s.stream.Reset()
	s.resetData()
	x.remove(s)
	x.server.gone(s)
	s.wg.Wait()
	err := s.why()
	if errors.Is(err, errProtocol) {
		x.log.Info("peer broke the protocol", "peer", s.Peer, "err", err)
	} else {
		x.log.Debug("session ended", "peer", s.Peer, "err", err)
	}
	for r := range s.members { // none is added to a session that has ended
		r.deliver(Gone{From: s, Err: err})
		r.forget(s)
	}
}

// read applies control messages until the session ends.
func (s *Session) read(r *bufio.Reader) {
	var buf []byte
	for {
		m, err := readMessage(r, &buf, s.longest)
		if err == nil {
			s.x.down.take(s.Path(), len(buf))
			err = s.locked(s.applying, func() error { return s.handle(m) })
		}
		if err != nil {
			s.end(err)
			return
		}
		if cap(buf) > maxMessage {
			buf = nil // one large tree must not stay for the life of the session
		}
	}
}

// locked runs f while it holds a lock, unless the session ends before it gets it.
func (s *Session) locked(lock chan struct{}, f func() error) error {
	select {
	case lock <- struct{}{}:
		defer func() { <-lock }()
		return f()
	case <-s.ctx.Done():
		return ErrClosed
	}
}

// longest is how long the next message may be: only the answer to a tree
// request is large.
func (s *Session) longest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) > 0 {
		return maxReply
	}
	return maxMessage
}

// ping measures the round trip, one ping at a time.
func (s *Session) ping() {
	s.mu.Lock()
	now := time.Now()
	since := now
	if s.pinged.IsZero() {
		s.pinged = now
	} else {
		since = s.pinged
	}
	s.mu.Unlock()
	switch {
	case since == now:
		s.post(&pb.Message{Body: &pb.Message_Ping{Ping: &pb.Ping{Nonce: s.nonce}}})
	case now.Sub(since) >= pongTimeout:
		s.end(fmt.Errorf("%v has not answered for %v", s.Peer, pongTimeout))
	}
}

// end ends the session, once; later calls do nothing. It waits for nothing:
// live does the rest.
func (s *Session) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return
	}
	s.ended = err
	s.cancel()
	for k, in := range s.pending {
		in.cancel()
		delete(s.pending, k)
	}
}

// spawn runs f in a goroutine that the end of the session waits for, unless it
// has ended.
func (s *Session) spawn(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.wg.Go(f)
	}
}

// why is the reason of the end.
func (s *Session) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		return fmt.Errorf("more than %d roots open with %v", maxHandles, s.Peer)
	}
	return s.ended
}

// serveTrees answers tree requests in turn, apart from the reader so that two
// peers that ask each other never wait for one another.
func (s *Session) serveTrees() {
	for {
		select {
		case q := <-s.trees:
			m := &pb.Message{Body: &pb.Message_TreeReply{TreeReply: s.x.treeReply(s.ctx, q)}}
			if s.x.server.limit.wait(s.ctx, s.Path(), proto.Size(m)) != nil {
				return
			}
			select {
			case s.replies <- m:
			case <-s.ctx.Done():
				return
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// Ban ends the session with a peer that lied, and its connection.
func (s *Session) Ban(why error) {
	s.end(fmt.Errorf("banned: %w", why))
	s.x.host.Network().ClosePeer(s.Peer)
}
