package reach

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	relayv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/shoal-p2p/shoal/reach/plan"
	protobuf "google.golang.org/protobuf/proto"
)

// ACL says who may use a relay.
type ACL = relayv2.ACLFilter

// Bounds of a relay. 200 nodes of one office reserve from one address; a circuit
// may be as long as a budget lasts, and its end is the budget's, not libp2p's.
const (
	reservations    = 1024
	circuitsOfPeer  = 64
	circuitLength   = time.Hour
	circuitBuffer   = 32 << 10
	noticeTimeout   = 5 * time.Second
	maxNotice       = 128
	hopMessageLimit = 4 << 10
)

// relay serves circuits within a budget. libp2p's relay does the work; what it
// reads and writes on the stream of who asked for a circuit is counted.
type relay struct {
	host.Host // as libp2p's relay sees it
	r         *Reach
	service   *relayv2.Relay

	mu     sync.Mutex
	budget plan.Budget
	told   map[plan.Pair]time.Time // that a pair's budget is spent
}

func newRelay(r *Reach) (*relay, error) {
	l := &relay{Host: r.host, r: r, budget: plan.Budget{PerPair: r.cfg.PerPair, PerDay: r.cfg.PerDay}, told: map[plan.Pair]time.Time{}}
	limits := relayv2.DefaultResources()
	limits.Limit = &relayv2.RelayLimit{Duration: circuitLength, Data: max(r.cfg.PerPair, 0) + plan.Signalling}
	limits.MaxReservations, limits.MaxReservationsPerIP, limits.MaxReservationsPerASN = reservations, reservations, reservations
	limits.MaxCircuits, limits.BufferSize = circuitsOfPeer, circuitBuffer
	opts := []relayv2.Option{relayv2.WithResources(limits)}
	if r.cfg.ACL != nil {
		opts = append(opts, relayv2.WithACL(r.cfg.ACL))
	}
	var err error
	if l.service, err = relayv2.New(l, opts...); err != nil {
		return nil, fmt.Errorf("start the relay: %w", err)
	}
	return l, nil
}

func (l *relay) close() error { return l.service.Close() }

// Relayed are the bytes that this node has relayed for others, both directions of
// each circuit together.
func (r *Reach) Relayed() int64 {
	if r.relay == nil {
		return 0
	}
	r.relay.mu.Lock()
	defer r.relay.mu.Unlock()
	return r.relay.budget.Total()
}

// SetStreamHandler implements host.Host for libp2p's relay: what it is asked is
// read along.
func (l *relay) SetStreamHandler(id protocol.ID, h network.StreamHandler) {
	if id != proto.ProtoIDv2Hop {
		l.Host.SetStreamHandler(id, h)
		return
	}
	l.Host.SetStreamHandler(id, func(st network.Stream) {
		_ = st.SetReadDeadline(time.Now().Add(relayv2.StreamTimeout))
		raw, m, err := readHop(st)
		if err != nil {
			_ = st.Reset()
			return
		}
		c := &counted{Stream: st, before: bytes.NewReader(raw), l: l}
		if m.GetType() == pb.HopMessage_CONNECT {
			if to, err := peer.IDFromBytes(m.GetPeer().GetId()); err == nil {
				c.to = to
				l.greet(st.Conn().RemotePeer(), to)
			}
		}
		h(c)
	})
}

// readHop reads the message that a circuit or a reservation begins with.
func readHop(r io.Reader) ([]byte, *pb.HopMessage, error) {
	in := bufio.NewReaderSize(oneByOne{r}, 1)
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, nil, err
	}
	if n > hopMessageLimit {
		return nil, nil, errMessage
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, nil, err
	}
	m := new(pb.HopMessage)
	if err := protobuf.Unmarshal(b, m); err != nil {
		return nil, nil, err
	}
	return append(binary.AppendUvarint(nil, n), b...), m, nil
}

// counted is the stream of who asked for a circuit: all its bytes pass here.
type counted struct {
	network.Stream
	l      *relay
	before *bytes.Reader // what was read along
	to     peer.ID       // "" for a reservation
}

// Read implements network.Stream.
func (c *counted) Read(b []byte) (int, error) {
	if c.before.Len() > 0 {
		return c.before.Read(b)
	}
	n, err := c.Stream.Read(b)
	if n > 0 && !c.l.take(c, n) {
		return 0, c.spent()
	}
	return n, err
}

// Write implements network.Stream.
func (c *counted) Write(b []byte) (int, error) {
	if !c.l.take(c, len(b)) {
		return 0, c.spent()
	}
	return c.Stream.Write(b)
}

// spent ends a circuit whose budget is used up.
func (c *counted) spent() error {
	_ = c.Stream.ResetWithError(network.StreamRateLimited)
	return fmt.Errorf("the relay budget of %v and %v is spent", c.Conn().RemotePeer(), c.to)
}

// take counts bytes of a circuit; false when there are no more.
func (l *relay) take(c *counted, n int) bool {
	if c.to == "" {
		return true
	}
	from, now := c.Conn().RemotePeer(), time.Now()
	l.mu.Lock()
	ok := l.budget.Take(now, plan.PairOf(string(from), string(c.to)), int64(n))
	l.mu.Unlock()
	if !ok {
		l.greet(from, c.to)
	}
	return ok
}

// greet tells two peers, once, if their circuit carries no data but signalling.
func (l *relay) greet(a, b peer.ID) {
	pair, now := plan.PairOf(string(a), string(b)), time.Now()
	l.mu.Lock()
	spent, until := l.budget.Spent(now, pair)
	if again := l.told[pair]; !spent || now.Before(again) {
		l.mu.Unlock()
		return
	}
	for p, at := range l.told {
		if !now.Before(at) {
			delete(l.told, p)
		}
	}
	l.told[pair] = now.Add(time.Second)
	l.mu.Unlock()
	for _, to := range [][2]peer.ID{{a, b}, {b, a}} {
		l.r.spawn(func() {
			if err := l.r.tellSpent(to[0], to[1], until.Sub(now)); err != nil {
				l.r.log.Debug("a peer was not told that the budget is spent", "peer", to[0], "err", err)
			}
		})
	}
}

// tellSpent tells p that its circuits to other carry no data for so long: the
// seconds in 4 bytes, then the other's ID.
func (r *Reach) tellSpent(p, other peer.ID, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(r.ctx, noticeTimeout)
	defer cancel()
	st, err := r.host.NewStream(network.WithNoDial(ctx, "relay"), p, r.id("relay"))
	if err != nil {
		return err
	}
	defer st.Close()
	_ = st.SetDeadline(time.Now().Add(noticeTimeout))
	_, err = st.Write(append(binary.BigEndian.AppendUint32(nil, uint32(wait.Seconds())), other...))
	return err
}

// hearRelay takes what a relay tells of its budget. It is believed of the circuits
// that go over it.
func (r *Reach) hearRelay(st network.Stream) {
	defer st.Close()
	_ = st.SetDeadline(time.Now().Add(noticeTimeout))
	b, err := io.ReadAll(io.LimitReader(st, maxNotice))
	if err != nil || len(b) < 5 {
		_ = st.Reset()
		return
	}
	other, err := peer.IDFromBytes(b[4:])
	if err != nil {
		_ = st.Reset()
		return
	}
	wait := min(time.Duration(binary.BigEndian.Uint32(b))*time.Second, 24*time.Hour)
	r.mu.Lock()
	m := r.of(other)
	if len(m.notices) < 8 {
		m.notices[st.Conn().RemotePeer()] = time.Now().Add(wait)
	}
	r.mu.Unlock()
	r.log.Info("a relay carries no more data", "relay", st.Conn().RemotePeer(), "peer", other, "for", wait)
	if r.cfg.OnSpent != nil {
		r.cfg.OnSpent(other, time.Now().Add(wait))
	}
}

// oneByOne keeps a buffered reader from reading further than it must.
type oneByOne struct{ io.Reader }

func (o oneByOne) Read(b []byte) (int, error) { return o.Reader.Read(b[:min(len(b), 1)]) }
