package store

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
)

// LoadTree reads the whole tree of a held root, verified as it is read. It
// returns ErrNotFound when some of it is not here.
func LoadTree(s Store, c cid.Cid) (*merkle.Tree, error) {
	t, err := merkle.NewTree(c)
	if err != nil {
		return nil, fmt.Errorf("tree of %v: %w", c, err)
	}
	for !t.Complete() {
		missing := t.Missing(1024)
		if len(missing) == 0 {
			return nil, fmt.Errorf("tree of %v: %w", c, ErrDamaged)
		}
		for _, m := range missing {
			if err := grow(s, t, m); err != nil {
				return nil, fmt.Errorf("tree of %v: %w", c, err)
			}
		}
	}
	return t, nil
}

// grow gives a tree a block that it wants. A root that is a raw leaf is a piece:
// reading it proves it, so the tree need not keep it.
func grow(s Store, t *merkle.Tree, c cid.Cid) error {
	k, ok := merkle.KeyOf(c)
	if !ok {
		return fmt.Errorf("block %v: %w", c, ErrNotFound)
	}
	if c.Type() == cid.Raw {
		block, err := s.ReadPiece(context.Background(), k, nil)
		if err != nil {
			return err
		}
		return t.AddLeaf(merkle.Leaf{Key: k, CID: c, Payload: len(block), Size: len(block)})
	}
	block, err := s.Block(c)
	if err != nil {
		return err
	}
	if err := t.Add(block); err != nil {
		return fmt.Errorf("block %v: %w", c, err)
	}
	return nil
}

// table is the piece table of a held root.
func (d *Disk) table(c cid.Cid) (*merkle.Table, error) {
	t, err := LoadTree(d, c)
	if err != nil {
		return nil, err
	}
	return t.Table()
}

// blockMap indexes blocks by Key, less those that skip names: they are pieces
// and read from the files.
func blockMap(blocks []merkle.Block, skip map[merkle.Key]bool) map[merkle.Key][]byte {
	m := make(map[merkle.Key][]byte, len(blocks))
	for _, b := range blocks {
		if k, ok := merkle.KeyOf(b.CID); ok && !skip[k] {
			m[k] = b.Data
		}
	}
	return m
}

func cidsOf(blocks []merkle.Block) []cid.Cid {
	cs := make([]cid.Cid, len(blocks))
	for i, b := range blocks {
		cs[i] = b.CID
	}
	return cs
}
