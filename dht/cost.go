package dht

import (
	"context"
	"fmt"
	"sync"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Cost is what announcing took, counted while it was done.
type Cost struct {
	Keys    int   // distinct keys announced
	Records int   // records sent: each key goes to the 20 nodes nearest to it, or to all if they are fewer
	Peers   int   // nodes that a record was sent to; of several batches, the most of one
	Bytes   int64 // DHT messages sent and received meanwhile, lookups included, without the transport's own
}

// Plus is the cost of both.
func (c Cost) Plus(d Cost) Cost {
	return Cost{c.Keys + d.Keys, c.Records + d.Records, max(c.Peers, d.Peers), c.Bytes + d.Bytes}
}

// counter counts the records that pass through it.
type counter struct {
	pb.MessageSender

	mu      sync.Mutex
	records int
	peers   map[peer.ID]bool
	sample  string    // one of the keys
	told    []peer.ID // that took it
}

// start begins anew; sample is a key whose takers are to be remembered.
func (c *counter) start(sample string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records, c.peers, c.sample, c.told = 0, make(map[peer.ID]bool), sample, nil
}

// result returns what was counted since start, and who took the sample.
func (c *counter) result() (records, peers int, told []peer.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.records, len(c.peers), c.told
}

// SendMessage sends a record.
func (c *counter) SendMessage(ctx context.Context, p peer.ID, m *pb.Message) error {
	if err := c.MessageSender.SendMessage(ctx, p, m); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records++
	c.peers[p] = true
	if string(m.GetKey()) == c.sample {
		c.told = append(c.told, p)
	}
	return nil
}

// NewStream opens a stream whose bytes are counted.
func (g *gate) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	if g.Network().Connectedness(p) == network.Limited {
		// It would wait up to a minute for a direct connection, which is being sought.
		return nil, fmt.Errorf("%v is connected over a relay only: %w", p, network.ErrLimitedConn)
	}
	s, err := g.Host.NewStream(ctx, p, ids...)
	if err != nil {
		return nil, err
	}
	return &countedStream{s, g}, nil
}

// countedStream adds what passes to its gate's count.
type countedStream struct {
	network.Stream
	gate *gate
}

func (s *countedStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	s.gate.bytes.Add(int64(n))
	return n, err
}

func (s *countedStream) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	s.gate.bytes.Add(int64(n))
	return n, err
}
