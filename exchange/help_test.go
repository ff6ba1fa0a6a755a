package exchange

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/shoal-p2p/shoal/merkle"
)

// content is a file in its pieces and blocks.
type content struct {
	root   cid.Cid
	table  *merkle.Table
	tree   []cid.Cid
	blocks map[string][]byte // interior, by cid.KeyString
	pieces [][]byte
}

// makeContent makes a file of size bytes out of seed.
func makeContent(t testing.TB, seed uint64, size int, p merkle.Profile) content {
	t.Helper()
	data := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	rng.Read(data)
	b := p.NewFile()
	c := content{blocks: map[string][]byte{}}
	for chunk := range slices.Chunk(data, p.LeafSize()) {
		l := p.Leaf(chunk)
		b.Add(l)
		c.pieces = append(c.pieces, l.Block(chunk))
	}
	link, blocks := b.Finish(0)
	tree, err := merkle.NewTree(link.CID)
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) == 0 { // a leaf that is a root: its block is all the tree there is
		blocks = []merkle.Block{{CID: link.CID, Data: c.pieces[0]}}
	}
	for _, bl := range blocks {
		if err := tree.Add(bl.Data); err != nil {
			t.Fatal(err)
		}
		c.blocks[bl.CID.KeyString()] = bl.Data
		c.tree = append(c.tree, bl.CID)
	}
	if c.table, err = tree.Table(); err != nil {
		t.Fatal(err)
	}
	c.root = link.CID
	return c
}

// held is all of c, or only those pieces that are named.
func (c content) held(pieces ...int) Held {
	have := make([]bool, len(c.pieces))
	for i := range have {
		have[i] = len(pieces) == 0 || slices.Contains(pieces, i)
	}
	return Held{Table: c.table, Have: have, Tree: c.tree}
}

// shelf is a library in memory.
type shelf struct {
	mu       sync.Mutex
	roots    map[string]Held
	blocks   map[string][]byte
	pieces   map[merkle.Key][]byte
	suspects []merkle.Key
	asked    int           // calls of Held
	reads    int           // calls of ReadPiece
	gate     chan struct{} // if not nil, ReadPiece waits for it
}

func newShelf() *shelf {
	return &shelf{roots: map[string]Held{}, blocks: map[string][]byte{}, pieces: map[merkle.Key][]byte{}}
}

// put adds c, or only those pieces that are named.
func (l *shelf) put(c content, pieces ...int) {
	h := c.held(pieces...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.roots[c.root.KeyString()] = h
	for k, b := range c.blocks {
		l.blocks[k] = b
	}
	for i, ok := range h.Have {
		if ok {
			l.pieces[c.table.Pieces[i].Key] = c.pieces[i]
		}
	}
}

// add takes a piece of a root that is being fetched.
func (l *shelf) add(key merkle.Key, b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pieces[key] = bytes.Clone(b)
}

// lose takes a piece away.
func (l *shelf) lose(key merkle.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pieces, key)
}

func (l *shelf) Held(_ context.Context, c cid.Cid) (Held, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	h, ok := l.roots[c.KeyString()]
	return h, ok
}

func (l *shelf) Block(_ context.Context, c cid.Cid) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.blocks[c.KeyString()]
	if !ok {
		return nil, fmt.Errorf("no block %v", c)
	}
	return b, nil
}

func (l *shelf) ReadPiece(ctx context.Context, key merkle.Key, buf []byte) ([]byte, error) {
	if l.gate != nil {
		select {
		case <-l.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	b, ok := l.pieces[key]
	if !ok {
		return nil, fmt.Errorf("no piece %v", key)
	}
	return append(buf[:0], b...), nil
}

func (l *shelf) Suspect(key merkle.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.suspects = append(l.suspects, key)
}

// node is a host with an exchange and its library.
type node struct {
	t testing.TB
	h host.Host
	x *Exchange
	*shelf
}

// transports are the options of hosts on loopback.
var transports = map[string][]libp2p.Option{
	"tcp":  {libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Security(libp2ptls.ID, libp2ptls.New)},
	"quic": {libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1")},
}

// newHost starts a host on loopback.
func newHost(t testing.TB, transport string) host.Host {
	t.Helper()
	h, err := libp2p.New(append(slices.Clone(transports[transport]), libp2p.DisableMetrics(), libp2p.DisableRelay())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// newNode starts an exchange on h, which ends with the test.
func newNode(t testing.TB, h host.Host, cfg Config) *node {
	t.Helper()
	n := &node{t: t, h: h, shelf: newShelf()}
	cfg.Library = n.shelf
	n.x = New(h, cfg)
	t.Cleanup(func() { n.x.Close() })
	return n
}

// newNodes starts n nodes on loopback.
func newNodes(t testing.TB, transport string, n int, cfg Config) []*node {
	t.Helper()
	out := make([]*node, n)
	for i := range out {
		out[i] = newNode(t, newHost(t, transport), cfg)
	}
	return out
}

func info(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

// dial opens a session from n to another node.
func (n *node) dial(to *node) *Session {
	n.t.Helper()
	s, err := n.x.Session(n.t.Context(), info(to.h))
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// open opens a root as its owner.
func (n *node) open(c cid.Cid) (*Root, chan Event) {
	n.t.Helper()
	events := make(chan Event, 64)
	r, err := n.x.Open(c, events)
	if err != nil {
		n.t.Fatal(err)
	}
	return r, events
}

// patience bounds what a test on real sockets waits for. It is no measure of
// anything: a test that gets there has hung.
const patience = 30 * time.Second

// await returns the next event of type E, others are passed over.
func await[E Event](t testing.TB, events <-chan Event) E {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case ev := <-events:
			if e, ok := ev.(E); ok {
				return e
			}
			if e, ok := ev.(Received); ok {
				e.Release()
			}
		case <-late:
			var none E
			t.Fatalf("no %T came", none)
		}
	}
}

// until waits for a state that nothing announces.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// exchangeGoroutines lists the goroutines of this package in the test's
// synctest bubble, the tests' own left out.
func exchangeGoroutines(t testing.TB) []string {
	t.Helper()
	buf := make([]byte, 8<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	_, bubble, ok := strings.Cut(strings.SplitN(all[0], "\n", 2)[0], "synctest bubble")
	if !ok {
		t.Fatal("not in a bubble")
	}
	var out []string
	for _, g := range all[1:] {
		head, stack, _ := strings.Cut(g, "\n")
		if strings.HasSuffix(head, "synctest bubble"+bubble) && strings.Contains(stack, "shoal/exchange.(*") &&
			!strings.Contains(stack, "_test.go") {
			out = append(out, g)
		}
	}
	return out
}

// handshake is a peer by hand: it opens a control stream and greets.
func handshake(t testing.TB, h host.Host, to *node, session uint64) *rawPeer {
	t.Helper()
	if err := h.Connect(t.Context(), info(to.h)); err != nil {
		t.Fatal(err)
	}
	st, err := h.NewStream(t.Context(), to.h.ID(), to.x.control)
	if err != nil {
		t.Fatal(err)
	}
	p := newRawPeer(t, h, to, st)
	p.greet(session)
	return p
}
