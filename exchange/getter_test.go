package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/merkle"
)

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
	case Offered:
		size := g.table.Pieces[ev.Piece].Size
		g.root.Request(ev.From, []Ask{{Piece: ev.Piece, Count: blocks(size), Size: size, Again: true}})
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
	defer ev.Release()
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
	order := slices.SortedFunc(maps.Keys(g.peers), func(a, b *Session) int { return cmp.Compare(a.Peer, b.Peer) })
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
