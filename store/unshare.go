package store

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
)

// Unshare forgets a root: its places, its leaves there and the interior blocks
// that no other root has. Only what stands in the store's own directory is
// deleted; an unfinished download stays under its temporary name. It returns
// ErrNotFound, and ErrBusy while the root is being written.
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
	err := d.update(func(t tx) error {
		r, err := t.root(key)
		if err != nil {
			return err
		}
		for _, n := range r.Places {
			p, err := t.place(n)
			if err != nil {
				return err
			}
			if err := t.dropPlace(n, p, keys); err != nil {
				return err
			}
			gone = append(gone, p)
		}
		if err := t.dropTree(key); err != nil {
			return err
		}
		return t.in(rootsBucket).Delete(key)
	})
	if err != nil {
		return err
	}
	return d.clear(gone)
}

// dropPlace forgets one place of a root that is being written.
func (d *Disk) dropPlace(n uint64) error {
	var p placeRec
	err := d.update(func(t tx) error {
		var err error
		if p, err = t.place(n); err != nil {
			return err
		}
		r, err := t.root(p.Root)
		if err != nil {
			return err
		}
		places := r.Places[:0]
		for _, o := range r.Places {
			if o != n {
				places = append(places, o)
			}
		}
		r.Places = places
		if len(places) == 0 {
			r.Have = 0
		}
		if err := t.dropPlace(n, p, nil); err != nil {
			return err
		}
		return t.putRoot(p.Root, r)
	})
	if err != nil {
		return err
	}
	return d.clear([]placeRec{p})
}

// clear closes and deletes what dropped places leave behind.
func (d *Disk) clear(gone []placeRec) error {
	d.locs.purge()
	var names []string
	for _, p := range gone {
		d.files.dropRange(p.First, p.Count)
		if p.Kind == kept {
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

// dropPlace removes the records of a place and of its files. keys are the
// leaves that can stand there; nil searches the whole index.
func (t tx) dropPlace(n uint64, p placeRec, keys []merkle.Key) error {
	if err := t.dropLeaves(p, keys); err != nil {
		return err
	}
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
		if err := t.in(doomedBucket).Put([]byte(p.Base), nil); err != nil {
			return err
		}
	} else if err := t.in(basesBucket).Delete(baseKey(p, n)); err != nil {
		return err
	}
	return t.in(placesBucket).Delete(num(n))
}

func (t tx) dropLeaves(p placeRec, keys []merkle.Key) error {
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
			return err
		}
	}
	return nil
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
