package node

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
	"github.com/shoal-p2p/shoal/dht"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// What Config.Announce may say. Each names what is announced beside the one before.
const (
	announceRoots  = "roots"
	announceFiles  = "files"  // files inside of directories
	announcePieces = "pieces" // also while they are being fetched
)

// leafPage is how many pieces are read from the index at a time.
const leafPage = 4096

// announcing is what a node announces beside its roots. It keeps no list: what
// there is to announce is what the store holds when it is asked.
type announcing struct {
	n      *Node
	pieces bool // else files alone

	// covered is the content, in bytes, whose keys were told since the last report.
	// The announcer counts and reports in one goroutine; others may ask for the keys.
	covered atomic.Int64

	mu     sync.Mutex
	status AnnounceStatus
}

// newAnnouncing returns nil for a node that announces roots alone.
func newAnnouncing(n *Node) *announcing {
	mode := cmp.Or(n.cfg.Announce, announceRoots)
	if mode == announceRoots {
		return nil
	}
	a := &announcing{n: n, pieces: mode == announcePieces}
	a.status.Mode = mode
	return a
}

// config adds what is announced beside the roots to an announcer's settings.
func (a *announcing) config(cfg dht.AnnouncerConfig) dht.AnnouncerConfig {
	if a != nil {
		cfg.Keys, cfg.Swept = a.all, a.swept
	}
	return cfg
}

// names is what the node as a DHT server names itself for: it need not have told
// others of it yet, nor have found anybody to tell.
func (n *Node) names() func(mh.Multihash) bool {
	if n.announces == nil {
		return n.holdsRoot
	}
	return n.holds
}

// holdsRoot reports whether the store has a root with this hash.
func (n *Node) holdsRoot(key mh.Multihash) bool {
	for _, codec := range []uint64{cid.Raw, cid.DagProtobuf} {
		if _, err := n.store.Root(cid.NewCidV1(codec, key)); err == nil {
			return true
		}
	}
	return false
}

// holds reports whether the store has a piece or a node of a tree with this hash.
func (n *Node) holds(key mh.Multihash) bool {
	raw, ok := merkle.KeyOf(cid.NewCidV1(cid.Raw, key))
	if !ok {
		return false
	}
	c := cid.NewCidV1(cid.DagProtobuf, key)
	framed, _ := merkle.KeyOf(c)
	have := n.store.Have([]merkle.Key{raw, framed})
	if have[0] || have[1] {
		return true
	}
	_, err := n.store.Block(c)
	return err == nil
}

// all tells every key.
func (a *announcing) all(yield func(mh.Multihash) bool) error {
	a.covered.Store(0)
	if a.pieces {
		if more, err := a.leaves(yield); err != nil || !more {
			return err
		}
	}
	roots, err := a.n.store.Roots()
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range roots {
		table, err := a.n.heldTable(r.CID)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !a.files(table, yield) {
			break
		}
	}
	return errors.Join(errs...)
}

// heldTable is the table of a root; nil, without an error, if there are no files in
// it or its tree is not here.
func (n *Node) heldTable(c cid.Cid) (*merkle.Table, error) {
	if c.Type() == cid.Raw {
		return nil, nil
	}
	tree, err := store.LoadTree(n.store, c)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("files of %v: %w", c, err)
	}
	return tree.Table()
}

// leaves tells every piece in the store, a page at a time: a long look at the
// index would make it grow.
func (a *announcing) leaves(yield func(mh.Multihash) bool) (more bool, err error) {
	var last merkle.Key
	for {
		page, err := a.n.store.Leaves(last, leafPage)
		if err != nil {
			return false, err
		}
		for _, p := range page {
			a.covered.Add(int64(p.Payload))
			if !yield(p.Key.CID().Hash()) {
				return false, nil
			}
		}
		if len(page) < leafPage {
			return true, nil
		}
		last = page[len(page)-1].Key
	}
}

// files tells the files in a table, which may be nil, and not the root itself.
func (a *announcing) files(t *merkle.Table, yield func(mh.Multihash) bool) (more bool) {
	if t == nil {
		return true
	}
	for i, e := range t.Entries {
		if e.Type != merkle.File {
			continue
		}
		if !a.pieces {
			a.covered.Add(e.Size)
		}
		key, plain := merkle.KeyOf(e.CID)
		if i == 0 || !plain || e.Size == 0 {
			continue // an identity CID holds its content itself, and an empty file has none
		}
		if a.pieces && len(e.Spans) == 1 && e.Spans[0].Piece >= 0 && t.Pieces[e.Spans[0].Piece].Key == key {
			continue // a file of one leaf, which is told as a piece when it is here
		}
		if !yield(e.CID.Hash()) {
			return false
		}
	}
	return true
}

// root announces the files and pieces of a root that has become complete.
func (a *announcing) root(c cid.Cid) {
	if a == nil {
		return
	}
	a.n.announcer.AddKeys(func(yield func(mh.Multihash) bool) error {
		table, err := a.n.heldTable(c)
		if err != nil || table == nil {
			return err
		}
		return a.some(table, func(int) bool { return true }, yield)
	})
}

// begun announces the files of a root that is being fetched, and the pieces that
// were here before.
func (a *announcing) begun(t *merkle.Table, have []bool) {
	if a != nil {
		a.n.announcer.AddKeys(func(yield func(mh.Multihash) bool) error {
			return a.some(t, func(piece int) bool { return have[piece] }, yield)
		})
	}
}

// some tells the files of a table and those of its pieces that are here.
func (a *announcing) some(t *merkle.Table, have func(piece int) bool, yield func(mh.Multihash) bool) error {
	if !a.files(t, yield) || !a.pieces {
		return nil
	}
	for i, p := range t.Pieces {
		if !have(i) {
			continue
		}
		a.covered.Add(int64(p.Payload))
		if !yield(p.Key.CID().Hash()) {
			return nil
		}
	}
	return nil
}

// piece announces one that has just come.
func (a *announcing) piece(key merkle.Key) {
	if a != nil && a.pieces {
		a.n.announcer.AddKey(key.CID().Hash())
	}
}

// swept notes what an announcement took, and tells who wants to know.
func (a *announcing) swept(c dht.Cost) {
	s := a.report()
	s.Keys, s.Records, s.Peers, s.Bytes, s.Every = c.Keys, c.Records, c.Peers, c.Bytes, dht.Reprovide.Seconds()
	if covered := a.covered.Swap(0); covered > 0 {
		s.PerGiB = int64(float64(c.Bytes) * (1 << 30) / float64(covered))
	}
	a.mu.Lock()
	a.status = s
	a.mu.Unlock()
	if told := a.n.cfg.Announced; told != nil {
		told(s)
	}
}

// report is the last announcement.
func (a *announcing) report() AnnounceStatus {
	if a == nil {
		return AnnounceStatus{Mode: announceRoots}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}
