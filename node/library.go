package node

import (
	"context"
	"errors"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// library is the node as exchange sees it: what can be served.
type library Node

// Held is the table of any interior or leaf CID whose tree is here whole, and
// what is here of it.
func (l *library) Held(_ context.Context, c cid.Cid) (exchange.Held, bool) {
	n := (*Node)(l)
	h, ok := n.shelf.get(c)
	if ok {
		_, err := n.store.Block(h.Tree[0])
		ok = err == nil // else it was unshared
	}
	if !ok {
		tree, err := store.LoadTree(n.store, c)
		if err != nil {
			return exchange.Held{}, false
		}
		if h.Table, err = tree.Table(); err != nil {
			return exchange.Held{}, false
		}
		if h.Tree = cids(tree.Blocks()); len(h.Tree) > 0 {
			n.shelf.put(h)
		} else {
			h.Tree = []cid.Cid{c} // a leaf that is a root: its block is all the tree there is
		}
	}
	keys := make([]merkle.Key, len(h.Table.Pieces))
	for i, p := range h.Table.Pieces {
		keys[i] = p.Key
	}
	h.Have = n.store.Have(keys)
	return h, true
}

// Block returns an interior block, or a leaf that is a root by itself.
func (l *library) Block(_ context.Context, c cid.Cid) ([]byte, error) { return (*Node)(l).block(c) }

// ReadPiece returns a leaf block, verified.
func (l *library) ReadPiece(ctx context.Context, key merkle.Key, buf []byte) ([]byte, error) {
	n := (*Node)(l)
	b, err := n.store.ReadPiece(ctx, key, buf)
	if errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrNotFound) {
		n.exchange.Withdraw(key)
	}
	if errors.Is(err, store.ErrChanged) {
		n.log.Warn("a shared file has changed; the piece is no longer served", "piece", key, "err", err)
	}
	return b, err
}

// Suspect hashes a piece again that a receiver found bad.
func (l *library) Suspect(key merkle.Key) {
	n := (*Node)(l)
	n.spawn(func() {
		if _, err := l.ReadPiece(n.ctx, key, nil); err != nil {
			n.log.Debug("suspected piece", "piece", key, "err", err)
		}
	})
}

// block returns a block of a tree from the store: an interior one, or a leaf.
func (n *Node) block(c cid.Cid) ([]byte, error) {
	b, err := n.store.Block(c)
	if !errors.Is(err, store.ErrNotFound) {
		return b, err
	}
	key, ok := merkle.KeyOf(c)
	if !ok {
		return nil, err
	}
	return n.store.ReadPiece(n.ctx, key, nil)
}
