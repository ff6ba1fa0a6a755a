package exchange

import (
	"bytes"
	"cmp"
	"context"
	"errors"
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
				Release(e.Data)
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

// getter is a small honest owner of a root: it asks everyone for everything
// that nobody else was asked for.
type getter struct {
	n       *node
	root    *Root
	events  chan Event
	tree    *merkle.Tree
	table   *merkle.Table
	peers   map[*Session]*HaveMap
	asked   map[int]*Session
	got     HaveMap
	from    map[peer.ID]int // pieces
	bad     map[peer.ID]int
	wasted  int
	window  int // pieces asked of one peer at a time
	rejects int
}

// get starts to fetch c from peers.
func (n *node) get(c cid.Cid, from ...*Session) *getter {
	n.t.Helper()
	g := &getter{n: n, peers: map[*Session]*HaveMap{}, asked: map[int]*Session{}, from: map[peer.ID]int{}, bad: map[peer.ID]int{}, window: 6}
	g.root, g.events = n.open(c)
	var err error
	if g.tree, err = merkle.NewTree(c); err != nil {
		n.t.Fatal(err)
	}
	for _, s := range from {
		g.root.Join(s)
	}
	return g
}

var errAlone = errors.New("all peers are gone")

// run fetches until all is there.
func (g *getter) run(ctx context.Context) error {
	late := time.After(patience)
	for g.table == nil || g.got.Count() < len(g.table.Pieces) {
		select {
		case ev := <-g.events:
			if err := g.apply(ev); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return fmt.Errorf("hangs with %d pieces, %d asked", g.got.Count(), len(g.asked))
		}
		g.request()
	}
	return nil
}

func (g *getter) apply(ev Event) error {
	switch ev := ev.(type) {
	case Opened:
		if ev.Missing {
			g.forget(ev.From)
			return nil
		}
		if g.peers[ev.From] == nil {
			g.peers[ev.From] = &HaveMap{}
		}
		if g.table == nil {
			g.root.AskTree(ev.From, g.root.CID, len(g.tree.Blocks()), 0)
		}
	case TreePart:
		return g.onTree(ev)
	case Haves:
		g.onHaves(ev)
	case Unhaves:
		for _, run := range ev.Runs {
			for i := range run.Count {
				g.peers[ev.From].Remove(run.First + i)
			}
		}
	case Rejected:
		g.rejects++
		delete(g.asked, ev.Piece)
		if !ev.Busy {
			g.peers[ev.From].Remove(ev.Piece)
		}
	case Received:
		g.onPiece(ev)
	case Wasted:
		g.wasted += ev.Bytes
	case Gone:
		g.forget(ev.From)
		delete(g.peers, ev.From)
		if len(g.peers) == 0 {
			return fmt.Errorf("%w: %w", errAlone, ev.Err)
		}
	}
	return nil
}

func (g *getter) onHaves(ev Haves) {
	have := g.peers[ev.From]
	if have == nil {
		return
	}
	if ev.All {
		ev.Runs = append(ev.Runs, Run{0, merkle.MaxPieces})
	}
	for _, run := range ev.Runs {
		for i := range run.Count {
			have.Add(run.First + i)
		}
	}
}

func (g *getter) forget(s *Session) {
	g.peers[s] = &HaveMap{}
	for p, of := range g.asked {
		if of == s {
			delete(g.asked, p)
		}
	}
}

func (g *getter) onTree(ev TreePart) error {
	for _, b := range ev.Blocks {
		if err := g.tree.Add(b); err != nil && g.table == nil {
			return err
		}
	}
	if g.table != nil {
		return nil
	}
	if !g.tree.Complete() {
		if ev.More {
			g.root.AskTree(ev.From, g.root.CID, ev.Skip+len(ev.Blocks), 0)
		}
		return nil
	}
	table, err := g.tree.Table()
	if err != nil {
		return err
	}
	g.table = table
	h := Held{Table: table, Have: make([]bool, len(table.Pieces))}
	for _, b := range g.tree.Blocks() {
		h.Tree = append(h.Tree, b.CID)
		g.n.mu.Lock()
		g.n.blocks[b.CID.KeyString()] = b.Data
		g.n.mu.Unlock()
	}
	g.root.Hold(h)
	return nil
}

func (g *getter) onPiece(ev Received) {
	defer Release(ev.Data)
	delete(g.asked, ev.Piece)
	p := g.table.Pieces[ev.Piece]
	if _, err := p.Verify(ev.Data); err != nil {
		g.bad[ev.From.Peer]++
		g.root.Bad(ev.From, ev.Piece)
		g.peers[ev.From].Remove(ev.Piece)
		return
	}
	if g.got.Add(ev.Piece) {
		g.from[ev.From.Peer]++
		g.n.add(p.Key, ev.Data)
		g.root.Have(ev.Piece)
	}
}

// request asks each peer in turn for a piece until the windows are full.
func (g *getter) request() {
	if g.table == nil {
		return
	}
	order := slices.SortedFunc(func(yield func(*Session) bool) {
		for s := range g.peers {
			if !yield(s) {
				return
			}
		}
	}, func(a, b *Session) int { return cmp.Compare(a.Peer, b.Peer) })
	load := map[*Session]int{}
	for _, s := range g.asked {
		load[s]++
	}
	asks := map[*Session][]Ask{}
	for i := range g.table.Pieces {
		if g.got.Has(i) || g.asked[i] != nil {
			continue
		}
		var best *Session
		for _, s := range order {
			if g.peers[s].Has(i) && load[s] < g.window && (best == nil || load[s] < load[best]) {
				best = s
			}
		}
		if best == nil {
			continue
		}
		load[best]++
		g.asked[i] = best
		size := g.table.Pieces[i].Size
		asks[best] = append(asks[best], Ask{Piece: i, Count: blocks(size), Size: size})
	}
	for _, s := range order {
		if len(asks[s]) > 0 {
			g.root.Request(s, asks[s])
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
