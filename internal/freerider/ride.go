package main

import (
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/merkle"
)

const (
	window = 3               // pieces asked of one peer at a time
	copies = 3               // peers that one piece is asked of, when none is left that was asked of fewer
	stuck  = 5 * time.Second // without a block: it is asked of another
	tick   = 100 * time.Millisecond
)

// ride is one fetch by several identities. Its loop owns all of it.
type ride struct {
	ways
	cid    cid.Cid
	out    *os.File
	events chan exchange.Event
	known  map[peer.ID]peer.AddrInfo
	ids    []*identity
	tree   *merkle.Tree
	table  *merkle.Table // nil until the tree is whole
	got    exchange.HaveMap
	peers  map[*exchange.Session]*server
}

// server is a peer of the root as one identity sees it.
type server struct {
	id    *identity
	have  exchange.HaveMap
	asked map[int]time.Time // when a block last came, or it was asked
}

func newRide(w ways, root cid.Cid, out *os.File, known []peer.AddrInfo) (*ride, error) {
	tree, err := merkle.NewTree(root)
	if err != nil {
		return nil, err
	}
	r := &ride{
		ways: w, cid: root, out: out, events: make(chan exchange.Event, 1024), known: map[peer.ID]peer.AddrInfo{},
		tree: tree, peers: map[*exchange.Session]*server{},
	}
	for _, info := range known {
		r.known[info.ID] = info
	}
	for range w.ids {
		id, err := newIdentity(w.listen, root, r.events)
		if err != nil {
			return nil, err
		}
		r.ids = append(r.ids, id)
	}
	return r, nil
}

// run fetches until all is there.
func (r *ride) run(ctx context.Context) error {
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for r.table == nil || r.got.Count() < len(r.table.Pieces) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case ev := <-r.events:
			if err := r.apply(ev); err != nil {
				return err
			}
		case now := <-ticks.C:
			if err := r.turn(ctx, now); err != nil {
				return err
			}
		}
		r.request()
	}
	return nil
}

// turn changes identities that are old, dials whom they do not know, and takes
// back what does not come.
func (r *ride) turn(ctx context.Context, now time.Time) error {
	for i, id := range r.ids {
		if r.rotate > 0 && now.Sub(id.born) >= r.rotate {
			maps.DeleteFunc(r.peers, func(_ *exchange.Session, s *server) bool { return s.id == id })
			go id.close() // its events end with it
			fresh, err := newIdentity(r.listen, r.cid, r.events)
			if err != nil {
				return err
			}
			r.ids[i] = fresh
			r.hold(fresh)
		}
		for _, info := range r.known {
			r.ids[i].dial(ctx, info)
		}
	}
	for s, of := range r.peers {
		for p, at := range of.asked {
			if now.Sub(at) > stuck {
				of.id.root.Cancel(s, p)
				delete(of.asked, p)
			}
		}
	}
	return nil
}

func (r *ride) apply(ev exchange.Event) error {
	switch ev := ev.(type) {
	case exchange.Opened:
		r.onOpened(ev)
	case exchange.TreePart:
		return r.onTree(ev)
	case exchange.Met:
		r.onMet(ev)
	case exchange.Gone:
		delete(r.peers, ev.From)
	case exchange.Received:
		return r.onPiece(ev)
	default:
		r.update(ev)
	}
	return nil
}

// update notes what a peer says of single pieces.
func (r *ride) update(ev exchange.Event) {
	switch ev := ev.(type) {
	case exchange.Haves:
		if ev.All {
			ev.Runs = append(ev.Runs, exchange.Run{Count: merkle.MaxPieces})
		}
		if of := r.peers[ev.From]; of != nil {
			for _, run := range ev.Runs {
				for i := range run.Count {
					of.have.Add(run.First + i)
				}
			}
		}
	case exchange.Unhaves:
		if of := r.peers[ev.From]; of != nil {
			for _, run := range ev.Runs {
				for i := range run.Count {
					of.have.Remove(run.First + i)
				}
			}
		}
	case exchange.Rejected:
		if of := r.peers[ev.From]; of != nil {
			delete(of.asked, ev.Piece)
		}
	case exchange.Offered: // taken, although others are asked too
		if of := r.peers[ev.From]; of != nil && !of.asked[ev.Piece].IsZero() {
			size := r.table.Pieces[ev.Piece].Size
			of.id.root.Request(ev.From, []exchange.Ask{{Piece: ev.Piece, Count: (size + exchange.Block - 1) / exchange.Block, Size: size, Again: true}})
		}
	case exchange.Arrived:
		if of := r.peers[ev.From]; of != nil && !of.asked[ev.Piece].IsZero() {
			of.asked[ev.Piece] = time.Now()
		}
	}
}

func (r *ride) onOpened(ev exchange.Opened) {
	if ev.Missing {
		delete(r.peers, ev.From)
		return
	}
	if r.peers[ev.From] != nil {
		return
	}
	for _, id := range r.ids {
		if ev.Of == id.root {
			r.peers[ev.From] = &server{id: id, asked: map[int]time.Time{}}
			if r.table == nil {
				id.root.AskTree(ev.From, r.cid, len(r.tree.Blocks()), 0)
			}
		}
	}
}

func (r *ride) onTree(ev exchange.TreePart) error {
	if r.table != nil {
		return nil
	}
	for _, b := range ev.Blocks {
		if err := r.tree.Add(b); err != nil {
			return err
		}
	}
	if !r.tree.Complete() {
		if of := r.peers[ev.From]; of != nil && ev.More {
			of.id.root.AskTree(ev.From, r.cid, ev.Skip+len(ev.Blocks), 0)
		}
		return nil
	}
	var err error
	if r.table, err = r.tree.Table(); err != nil {
		return err
	}
	for _, id := range r.ids {
		r.hold(id)
	}
	return nil
}

// hold tells what an identity says that it has.
func (r *ride) hold(id *identity) {
	if r.table == nil {
		return
	}
	h := exchange.Held{Table: r.table, Have: make([]bool, len(r.table.Pieces))}
	for i := range h.Have {
		h.Have[i] = r.claim == "truth" && r.got.Has(i) || r.claim == "half" && rand.IntN(2) == 0
	}
	id.root.Hold(h)
}

// onMet notes peers of the root. A lab's peers have no reason to lie here.
func (r *ride) onMet(ev exchange.Met) {
	for _, info := range ev.Peers {
		r.known[info.ID] = info
	}
}

func (r *ride) onPiece(ev exchange.Received) error {
	defer ev.Release()
	if of := r.peers[ev.From]; of != nil {
		delete(of.asked, ev.Piece)
	}
	if r.table == nil || r.got.Has(ev.Piece) {
		return nil
	}
	payload, err := r.table.Pieces[ev.Piece].Verify(ev.Data)
	if err != nil {
		return err
	}
	for _, place := range r.table.Places(ev.Piece) {
		if _, err := r.out.WriteAt(payload, place.Offset); err != nil {
			return err
		}
	}
	r.got.Add(ev.Piece)
	for s, of := range r.peers { // the copies that were asked of others
		if !of.asked[ev.Piece].IsZero() {
			of.id.root.Cancel(s, ev.Piece)
			delete(of.asked, ev.Piece)
		}
	}
	if r.claim == "truth" {
		for _, id := range r.ids {
			id.root.Have(ev.Piece)
		}
	}
	return nil
}

// request fills every peer's window with pieces at random: those that nobody was
// asked for first.
func (r *ride) request() {
	if r.table == nil {
		return
	}
	asked := make([]int, len(r.table.Pieces))
	for _, of := range r.peers {
		for p := range of.asked {
			asked[p]++
		}
	}
	for s, of := range r.peers {
		if len(of.asked) >= window {
			continue
		}
		order := rand.Perm(len(asked))
		slices.SortStableFunc(order, func(a, b int) int { return asked[a] - asked[b] })
		for _, p := range order {
			if len(of.asked) >= window || asked[p] >= copies {
				break
			}
			if r.got.Has(p) || !of.have.Has(p) || !of.asked[p].IsZero() {
				continue
			}
			size := r.table.Pieces[p].Size
			of.id.root.Request(s, []exchange.Ask{{Piece: p, Count: (size + exchange.Block - 1) / exchange.Block, Size: size}})
			of.asked[p] = time.Now()
			asked[p]++
		}
	}
}
