package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
)

// Unshare forgets a root: its places, its leaves there and the interior blocks
// that no other root has. Only what stands in the store's own directory is
// deleted; an unfinished download stays under its temporary name. It returns
// ErrNotFound, ErrBusy while the root is being written, and ErrPinned.
func (d *Disk) Unshare(c cid.Cid) error {
	key := rootKey(c)
	if err := d.enter(key); err != nil {
		return fmt.Errorf("unshare %v: %w", c, err)
	}
	defer d.leave(key)
	if _, err := d.Root(c); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	keys := d.keysOf(c)
	var gone []placeRec
	var ns []uint64
	err := d.update(func(t tx) error {
		r, err := t.root(key)
		if err != nil {
			return err
		}
		if t.pinned(key) {
			return fmt.Errorf("unshare %v: %w", c, ErrPinned)
		}
		for _, n := range r.Places {
			p, err := t.place(n)
			if err != nil {
				return err
			}
			if _, err := t.dropPlace(n, p, keys); err != nil {
				return err
			}
			gone = append(gone, p)
		}
		ns = r.Places
		return t.dropRoot(key)
	})
	if err != nil {
		return err
	}
	return d.clear(ns, gone)
}

// clear closes and deletes what dropped places leave behind.
func (d *Disk) clear(ns []uint64, gone []placeRec) error {
	d.locs.purge()
	var names []string
	for i, p := range gone {
		d.files.dropRange(p.First, p.Count)
		if p.Kind == kept {
			d.cached.remove(p.First, ns[i])
			names = append(names, p.Base)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return d.erase(names)
}

// keysOf lists the leaves of a root, nil when its tree cannot be read.
func (d *Disk) keysOf(c cid.Cid) []merkle.Key {
	if k, ok := merkle.KeyOf(c); ok && c.Type() == cid.Raw {
		return []merkle.Key{k}
	}
	table, err := d.table(c)
	if err != nil {
		return nil
	}
	keys := make([]merkle.Key, len(table.Pieces))
	for i, p := range table.Pieces {
		keys[i] = p.Key
	}
	return keys
}

// dropPlace removes the records of a place and of its files, and returns the
// leaves that stood there. keys are those that can; nil searches the whole index.
func (t tx) dropPlace(n uint64, p placeRec, keys []merkle.Key) ([]merkle.Key, error) {
	lost, err := t.dropLeaves(p, keys)
	if err != nil {
		return nil, err
	}
	return lost, t.dropFiles(n, p)
}

// dropFiles removes the records of a place and of its files.
func (t tx) dropFiles(n uint64, p placeRec) error {
	var files []uint64
	if err := t.eachFile(p, func(n uint64, _ fileRec) error {
		files = append(files, n)
		return nil
	}); err != nil {
		return err
	}
	for _, file := range files {
		if err := t.in(filesBucket).Delete(num(file)); err != nil {
			return err
		}
	}
	if p.Kind == kept {
		err := errors.Join(t.in(doomedBucket).Put([]byte(p.Base), nil), t.in(cachedBucket).Delete(num(p.First)))
		if err != nil {
			return err
		}
	} else if err := t.in(basesBucket).Delete(baseKey(p, n)); err != nil {
		return err
	}
	return t.in(placesBucket).Delete(num(n))
}

func (t tx) dropLeaves(p placeRec, keys []merkle.Key) (lost []merkle.Key, err error) {
	leaves := t.in(leavesBucket)
	c := leaves.Cursor()
	var drop [][]byte
	ours := func(k []byte) {
		file := binary.BigEndian.Uint64(k[len(k)-8:])
		if file >= p.First && file-p.First < p.Count {
			drop = append(drop, bytes.Clone(k))
		}
	}
	for _, key := range keys {
		for k, _ := c.Seek(leafKey(key, p.First)); len(k) == len(key)+8 && bytes.HasPrefix(k, key[:]); k, _ = c.Next() {
			if binary.BigEndian.Uint64(k[len(key):])-p.First >= p.Count {
				break
			}
			ours(k)
		}
	}
	if keys == nil {
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			if len(k) == len(merkle.Key{})+8 {
				ours(k)
			}
		}
	}
	for _, k := range drop {
		if err := leaves.Delete(k); err != nil {
			return nil, err
		}
		lost = append(lost, merkle.Key(k))
	}
	return slices.CompactFunc(lost, func(a, b merkle.Key) bool { return a == b }), nil
}

// dropTree gives up a root's interior blocks.
func (t tx) dropTree(root []byte) error {
	cids, err := t.tree(root)
	if err != nil {
		return err
	}
	for _, c := range cids {
		if k, ok := merkle.KeyOf(c); ok {
			if err := t.count(k, nil, -1); err != nil {
				return err
			}
		}
	}
	return t.in(treesBucket).Delete(root)
}
