package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// treePatience is how long a peer may take for a part of the tree before
// another is asked: 1 MiB a part, so slow but honest peers are asked again.
const treePatience = 5 * time.Second

// treeSearch is the hunt for the tree: peers, URL.shoal, a gateway and, last, a
// whole file without any tree, all at the same time. Owned by run.
type treeSearch struct {
	asked *exchange.Session // whose answer is waited for
	node  cid.Cid
	skip  int
	holes bool // the order of the root's blocks has ended, and some are missing
	until time.Time
	slow  map[*exchange.Session]int // parts that did not come, or were useless
	from  any                       // *exchange.Session or *source that gave the last useful block

	streamed   int64              // bytes being read without a tree
	stopStream context.CancelFunc // of that, nil if none is read
	quarantine string             // the file that holds them, once they matched
	streamedBy *source            // and who gave them
}

func (t *treeSearch) forget(s *exchange.Session) {
	if t.asked == s {
		t.asked, t.until = nil, time.Time{}
	}
	delete(t.slow, s)
}

// begin starts at the target's root, or where its path is known to lead, with
// whatever the store holds already. It runs before the loop and may use the disk.
func (d *download) begin(path *merkle.Step) error {
	d.root, d.phase = d.target.Root, resolving
	step, err := merkle.Resolve(d.target.Root, d.target.Path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if path != nil {
		step = *path
	}
	d.step = step
	if d.step.Done {
		if err := d.load(); err != nil {
			return err
		}
	}
	if err := d.fromManifest(); err != nil {
		return err
	}
	return d.fromDisk()
}

// fromManifest takes the tree that came with a manifest.
func (d *download) fromManifest() error {
	if d.vouched == nil {
		return nil
	}
	for _, b := range d.vouched.tree {
		if err := d.feed(b.Data); err != nil && !errors.Is(err, merkle.ErrMismatch) {
			return fmt.Errorf("tree of %v: %w", d.root, err)
		}
	}
	return nil
}

// load begins the collection of the tree at the resolved root.
func (d *download) load() error {
	d.phase = loading
	d.root = d.step.CID
	tree, err := merkle.NewTree(d.root)
	d.tree = tree
	return err
}

// fromDisk takes what the store has of the path and the tree.
func (d *download) fromDisk() error {
	for {
		c := d.nextNode()
		if !c.Defined() {
			return nil
		}
		b, err := d.n.block(c)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrChanged) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := d.feed(b); err != nil && !errors.Is(err, merkle.ErrMismatch) {
			return err
		}
	}
}

// nextNode is the block that is needed next; undefined when the tree is complete.
func (d *download) nextNode() cid.Cid {
	if d.phase == resolving {
		return d.step.CID
	}
	if m := d.tree.Missing(1); len(m) > 0 {
		return m[0]
	}
	return cid.Undef
}

// feed takes one block of the path or the tree. merkle.ErrMismatch says that it
// is not one that is needed; any other error is a fault of the content itself.
func (d *download) feed(b []byte) error {
	if d.phase != resolving {
		return d.tree.Add(b)
	}
	step, err := d.step.Take(b)
	if err != nil {
		return err
	}
	if d.step = step; !step.Done {
		return nil
	}
	return d.load()
}

// advanceTree asks the best peer for what is missing, or goes on when nothing is.
func (d *download) advanceTree(ctx context.Context, now time.Time) time.Time {
	if d.phase == loading && d.tree.Complete() {
		d.haveTree(ctx, now)
		return now
	}
	d.advanceOriginTrees(ctx, now)
	t := &d.trees
	if t.asked != nil {
		if now.Before(t.until) {
			return t.until
		}
		t.slow[t.asked]++
		t.asked = nil
	}
	r := d.treePeer()
	if r == nil {
		return time.Time{}
	}
	if t.node != d.nextRoot() {
		t.node, t.skip = d.nextRoot(), 0
	}
	limit := 0
	if d.phase == resolving {
		limit = 1
	}
	t.asked, t.until = r.s, now.Add(treePatience)
	d.exchange.AskTree(r.s, t.node, t.skip, limit)
	return t.until
}

// nextRoot is the node below which peers are asked: the root, whose blocks come
// in order, or the first missing one when that order ended with a hole.
func (d *download) nextRoot() cid.Cid {
	if d.phase == loading && !d.trees.holes {
		return d.root
	}
	return d.nextNode()
}

// treePeer is the peer to ask: the nearest of those that failed least often.
func (d *download) treePeer() *remote {
	var best *remote
	rank := func(r *remote) int { return d.trees.slow[r.s]*4 + int(r.s.Path()) }
	for _, r := range d.sortedPeers() {
		if !r.opened || r.missing || d.trees.slow[r.s] > 3 {
			continue
		}
		if best == nil || rank(r) < rank(best) {
			best = r
		}
	}
	return best
}

func (d *download) onTreePart(ctx context.Context, now time.Time, ev exchange.TreePart) {
	t := &d.trees
	if t.asked != ev.From || (d.phase != resolving && d.phase != loading) {
		return
	}
	t.asked = nil
	useful := 0
	for i, b := range ev.Blocks {
		err := d.feed(b)
		if err == nil {
			useful++
			continue
		}
		if !errors.Is(err, merkle.ErrMismatch) {
			d.fail(fmt.Errorf("tree of %v: %w", d.root, err))
			return
		}
		if i == 0 && ev.Skip == 0 && ev.Node == d.nextNode() {
			if r := d.of(ev.From); r != nil {
				d.lied(now, r, fmt.Errorf("block of %v: %w", ev.Node, err))
			}
			break
		}
	}
	if useful == 0 {
		t.slow[ev.From]++ // and the same is asked again, of another if there is one
	} else {
		t.skip = ev.Skip + len(ev.Blocks)
		d.useful, t.from = now, ev.From
		d.worked(ev.From)
	}
	if !ev.More && d.phase == loading && !d.tree.Complete() && t.skip > 0 {
		t.holes = true // from here on by the first missing node
	}
}

// treeBlocks came from an origin: a .shoal file or a gateway.
type treeBlocks struct {
	from   *source
	blocks [][]byte
	err    error
}

func (d *download) onTreeBlocks(ctx context.Context, now time.Time, ev treeBlocks) {
	ev.from.treeBusy = false
	if d.phase != resolving && d.phase != loading {
		return
	}
	if ev.err != nil {
		d.originTreeFailed(now, ev.from, ev.err)
		return
	}
	// A .shoal file holds the whole tree, so each pass brings the next level.
	for more := true; more; {
		more = false
		for _, b := range ev.blocks {
			err := d.feed(b)
			if err == nil {
				more, d.useful, d.trees.from = true, now, ev.from
			} else if !errors.Is(err, merkle.ErrMismatch) {
				d.fail(fmt.Errorf("tree of %v: %w", d.root, err))
				return
			}
			if d.phase == loading && d.tree.Complete() {
				return
			}
		}
	}
	ev.from.treeless = true // what it has is not enough
}

// haveTree turns the tree into the table and opens the target.
func (d *download) haveTree(ctx context.Context, now time.Time) {
	table, err := d.tree.Table()
	if err != nil {
		d.fail(fmt.Errorf("tree of %v: %w", d.root, err))
		return
	}
	d.table = table
	if d.opt.cached && table.Size > d.n.storeMax {
		d.fail(fmt.Errorf("%v has %d bytes, more than is kept here (--store-max)", d.root, table.Size))
		return
	}
	if v := d.vouched; v != nil && v.signed != nil && v.root.Equals(d.root) {
		d.subs, err = v.signed.SubHashesOf(table)
		if err != nil {
			d.fail(err)
			return
		}
	}
	if d.trees.stopStream != nil { // peers were faster
		d.trees.stopStream()
	}
	if !d.exchange.CID.Equals(d.root) { // else the path was on disk, and resolved before the first peer was asked
		d.moveTo(now, d.root)
	}
	if d.phase != ended {
		d.create(ctx)
	}
}

// moveTo asks the same peers for a node below the root, by its own numbers. The
// root stays open, and is closed with the download, if the node cannot be.
func (d *download) moveTo(now time.Time, c cid.Cid) {
	if !d.n.move(d) {
		d.fail(errElsewhere)
		return
	}
	x, err := d.n.exchange.Open(c, d.inbox)
	if err != nil {
		d.fail(err)
		return
	}
	d.exchange.Close()
	d.exchange = x
	old := d.sortedPeers()
	clear(d.peers)
	for _, r := range old {
		d.join(now, r.s)
	}
}

func cids(blocks []merkle.Block) []cid.Cid {
	out := make([]cid.Cid, len(blocks))
	for i, b := range blocks {
		out[i] = b.CID
	}
	return out
}
