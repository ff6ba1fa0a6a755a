package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/shoal-p2p/shoal/internal/route"
	"golang.org/x/time/rate"
)

// Limits of a server.
const (
	maxStreams   = 32               // at a time
	maxTokens    = 256              // that count, the oldest given up
	maxAnswers   = 8                // to one token
	tokenLife    = 30 * time.Second // from its look on
	streamLife   = 20 * time.Second
	packets      = 3                      // that a request is answered with
	packetGap    = 200 * time.Millisecond // between them: one may be lost
	sendsEvery   = 2 * time.Second        // of one peer, and of one address
	sendsBurst   = 8
	sendsEveryMS = 50 // milliseconds, of all
	sendsAll     = 64
	maxKnown     = 1024 // peers and addresses whose rate is known
)

// Network is where packets are sent and received, beside the sockets of QUIC.
type Network interface {
	// Listen opens an IPv4 socket on a free port.
	Listen() (net.PacketConn, error)
	// Source is the address of this machine from which a packet leaves for to.
	Source(to netip.AddrPort) (netip.Addr, error)
}

// Config says how a Server answers.
type Config struct {
	Prefix  string           // of the protocol's name; "/shoal" if empty
	Sockets []net.PacketConn // what is not QUIC on the node's own UDP ports; closed by Close
	Network Network          // for packets from another port; the system's if nil
	// Open says whether packets from anyone reach the Sockets; nil: they do not. It
	// is called from several goroutines.
	Open func() bool
	Log  *slog.Logger // discards if nil
}

// Server answers what peers ask.
type Server struct {
	host   host.Host
	cfg    Config
	log    *slog.Logger
	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	rates *lru.Cache[string, *rate.Limiter] // by peer and by address
	all   *rate.Limiter

	mu      sync.Mutex
	streams int
	tokens  *lru.Cache[token, *given]
}

// given is a token that counts.
type given struct {
	until   time.Time
	answers int
}

// Protocol is the name of the protocol.
func Protocol(prefix string) protocol.ID {
	if prefix == "" {
		prefix = "/shoal"
	}
	return protocol.ID(prefix + "/probe/1.0.0")
}

// Serve answers on h and cfg.Sockets until Close.
func Serve(h host.Host, cfg Config) (*Server, error) {
	s := &Server{host: h, cfg: cfg, log: cfg.Log, all: rate.NewLimiter(rate.Every(sendsEveryMS*time.Millisecond), sendsAll)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.cfg.Network == nil {
		s.cfg.Network = UDP{}
	}
	var err error
	if s.rates, err = lru.New[string, *rate.Limiter](maxKnown); err != nil {
		return nil, err
	}
	if s.tokens, err = lru.New[token, *given](maxTokens); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, c := range cfg.Sockets {
		s.wg.Go(func() { s.listen(c) })
	}
	h.SetStreamHandler(Protocol(cfg.Prefix), s.accept)
	return s, nil
}

// Close stops answering and waits.
func (s *Server) Close() error {
	s.host.RemoveStreamHandler(Protocol(s.cfg.Prefix))
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	var errs []error
	for _, c := range s.cfg.Sockets {
		errs = append(errs, c.Close())
	}
	s.wg.Wait()
	return errors.Join(errs...)
}

// accept serves one stream, in a goroutine that Close waits for.
func (s *Server) accept(st network.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil || s.streams >= maxStreams {
		_ = st.Reset()
		return
	}
	s.streams++
	s.wg.Go(func() {
		err := s.serve(st)
		if err != nil {
			s.log.Debug("probe ended", "peer", st.Conn().RemotePeer(), "err", err)
			_ = st.Reset()
		} else {
			_ = st.Close()
		}
		s.mu.Lock()
		s.streams--
		s.mu.Unlock()
	})
}

// serve answers the requests of one stream.
func (s *Server) serve(st network.Stream) error {
	ctx, cancel := context.WithTimeout(s.ctx, streamLife)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = st.Reset() })
	defer stop()
	for range maxRequests {
		kind, body, err := readMessage(st)
		if err != nil {
			if errors.Is(err, errMessage) {
				return err
			}
			return nil // the asker has ended it
		}
		var reply []byte
		var after func()
		switch kind {
		case kindLook:
			reply = appendLook(nil, s.look(st))
		case kindSend:
			ask, err := parseSend(body)
			if err != nil {
				return err
			}
			status, packets := s.permit(st, ask)
			reply, after = []byte{byte(status)}, packets
		default:
			return errMessage
		}
		if _, err := st.Write(appendMessage(nil, kind, reply)); err != nil {
			return err
		}
		if after != nil {
			after()
		}
	}
	return nil
}

// look says what is seen of the other end, and gives it a token.
func (s *Server) look(st network.Stream) look {
	l := look{clock: time.Now(), seen: st.Conn().RemoteMultiaddr(), open: len(s.cfg.Sockets) > 0 && s.cfg.Open != nil && s.cfg.Open()}
	_, _ = rand.Read(l.token[:]) // never fails
	if len(l.seen.Bytes()) > maxMessage-1-lookHead {
		l.seen = l.seen[:1] // such an address is of no use to anybody
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens.Add(l.token, &given{until: time.Now().Add(tokenLife)})
	return l
}

// permit decides on a request for packets; send, nil without permission, sends them.
func (s *Server) permit(st network.Stream, ask send) (_ Status, send func()) {
	conn := st.Conn()
	ip, err := manet.ToIP(conn.RemoteMultiaddr())
	if err != nil || conn.Stat().Limited || route.WebSocket(conn.RemoteMultiaddr()) {
		return NotYours, nil
	}
	from, _ := netip.AddrFromSlice(ip)
	if from = from.Unmap(); !from.Is4() || ask.to.Addr() != from || ask.to.Port() < minPort {
		return NotYours, nil
	}
	if !s.mayAsk(string(conn.RemotePeer())) || !s.mayAsk(from.String()) || !s.all.Allow() {
		return TooOften, nil
	}
	if ask.other {
		c, err := s.cfg.Network.Listen()
		if err != nil {
			return Unavailable, nil
		}
		return Sending, func() { defer c.Close(); s.send(c, ask) }
	}
	for _, c := range s.cfg.Sockets {
		if a, ok := c.LocalAddr().(*net.UDPAddr); ok && a.IP.To4() != nil {
			return Sending, func() { s.send(c, ask) }
		}
	}
	return Unavailable, nil
}

// mayAsk takes a packet's turn from a peer or an address.
func (s *Server) mayAsk(who string) bool {
	s.mu.Lock()
	l, ok := s.rates.Get(who)
	if !ok {
		l = rate.NewLimiter(rate.Every(sendsEvery), sendsBurst)
		s.rates.Add(who, l)
	}
	s.mu.Unlock()
	return l.Allow()
}

func (s *Server) send(c net.PacketConn, ask send) {
	p := appendPacket(nil, packet{kind: packetSent, token: ask.token})
	for i := range packets {
		if i > 0 {
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(packetGap):
			}
		}
		if _, err := c.WriteTo(p, net.UDPAddrFromAddrPort(ask.to)); err != nil {
			s.log.Debug("probe not sent", "err", err)
			return
		}
	}
}

// listen answers packets until the socket is closed.
func (s *Server) listen(c net.PacketConn) {
	buf := make([]byte, packetSize+1)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		a, ok := from.(*net.UDPAddr)
		p, ok2 := parsePacket(buf[:n])
		if !ok || !ok2 || p.kind != packetAsk || !s.redeem(p.token) {
			continue
		}
		ap := a.AddrPort()
		seen := netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
		// What is lost is asked for again.
		_, _ = c.WriteTo(appendPacket(nil, packet{kind: packetAnswer, token: p.token, seen: seen}), a)
	}
}

// redeem takes one answer from a token.
func (s *Server) redeem(t token) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.tokens.Peek(t)
	if !ok || g.answers >= maxAnswers || time.Now().After(g.until) {
		return false
	}
	g.answers++
	return true
}
