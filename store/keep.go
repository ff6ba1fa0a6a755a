package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/ipfs/go-cid"
)

// Freed is what Evict deleted of one root.
type Freed struct {
	Root  cid.Cid
	Name  string
	Bytes int64
	Gone  bool // nothing else of the root is here, so the store no longer knows it
}

// Usage is how many bytes of pieces the store keeps for itself.
type Usage struct {
	Cached int64 // may be evicted
	Pinned int64 // may not, because their roots are pinned
}

// Usage tells how many bytes of pieces the store keeps for itself. What was
// added with Copy is the user's and not counted.
func (d *Disk) Usage() (Usage, error) {
	vs, err := d.victims()
	if err != nil {
		return Usage{}, fmt.Errorf("count what is kept: %w", err)
	}
	var u Usage
	for _, v := range vs {
		if v.pinned {
			u.Pinned += v.bytes
		} else {
			u.Cached += v.bytes
		}
	}
	return u, nil
}

// Evict deletes pieces that Create kept without a path, least recently used
// first, root by root, until at most limit bytes of them are left. Roots that
// are pinned, or being written or read through a Writer, or lend pieces to one
// that is, stay, and so does all that was added, or fetched to a path. It says
// what went, also with an error.
func (d *Disk) Evict(limit int64) ([]Freed, error) {
	d.evicting.Lock()
	defer d.evicting.Unlock()
	// Mostly there is room, and to see that should cost little.
	if most, err := d.cachedBytes(); err != nil || limit > 0 && most <= limit {
		return nil, err
	}
	vs, err := d.victims()
	if err != nil {
		return nil, fmt.Errorf("evict: %w", err)
	}
	var total int64
	for _, v := range vs {
		if !v.pinned {
			total += v.bytes
		}
	}
	var freed []Freed
	for _, v := range vs {
		if v.pinned || total <= limit && (limit > 0 || v.bytes > 0) {
			continue
		}
		gone, err := d.evict(v)
		if errors.Is(err, ErrBusy) || errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return freed, fmt.Errorf("evict %v: %w", v.root, err)
		}
		total -= v.bytes
		freed = append(freed, Freed{Root: v.root, Name: v.name, Bytes: v.bytes, Gone: gone})
	}
	return freed, d.saveUsed()
}

// evict deletes one file of pieces: ErrBusy when its root is in use, or was
// pinned or made the user's since v was looked up.
func (d *Disk) evict(v victim) (gone bool, err error) {
	if err := d.enter(v.key); err != nil {
		return false, err
	}
	defer d.leave(v.key)
	return d.forgetPlaceIf(v.root, v.place, false, func(t tx, p placeRec) error {
		if t.pinned(v.key) || d.lends(p.First) || t.in(cachedBucket).Get(num(p.First)) == nil {
			return ErrBusy
		}
		return nil
	})
}

// Pin keeps a root from Evict and Unshare. It returns ErrNotFound for a root
// that the store does not know; pinning twice is no error.
func (d *Disk) Pin(c cid.Cid) error {
	return d.update(func(t tx) error {
		key := rootKey(c)
		if _, err := t.root(key); err != nil {
			return fmt.Errorf("pin %v: %w", c, err)
		}
		return t.in(pinsBucket).Put(key, nil)
	})
}

// Unpin takes Pin back. It returns ErrNotPinned when the root is not pinned.
func (d *Disk) Unpin(c cid.Cid) error {
	return d.update(func(t tx) error {
		key := rootKey(c)
		if !t.pinned(key) {
			return fmt.Errorf("unpin %v: %w", c, ErrNotPinned)
		}
		return t.in(pinsBucket).Delete(key)
	})
}

// pinned tells whether a root is pinned.
func (t tx) pinned(key []byte) bool {
	k, _ := t.in(pinsBucket).Cursor().Seek(key)
	return string(k) == string(key)
}

// Leftover deletes files in DIR/pieces that the index does not know, as when a
// damaged index was moved away. It returns their bytes.
func (d *Disk) Leftover() (int64, error) {
	dir := filepath.Join(d.dir, "pieces")
	// Listed before the index is read: a file is in the index before it is made.
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, diskErr("list", dir, err)
	}
	known := map[string]bool{}
	err = d.view(func(t tx) error {
		for _, e := range entries {
			known[e.Name()] = t.in(doomedBucket).Get([]byte(e.Name())) != nil
		}
		return t.in(placesBucket).ForEach(func(_, v []byte) error {
			p, err := decodePlace(v)
			if p.Kind == kept {
				known[p.Base] = true
			}
			return err
		})
	})
	if err != nil {
		return 0, fmt.Errorf("find what is left over: %w", err)
	}
	var bytes int64
	for _, e := range entries {
		fi, err := e.Info()
		if known[e.Name()] || err != nil || !fi.Mode().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if err := d.layer.erase(path); err != nil {
			return bytes, diskErr("delete", path, err)
		}
		bytes += fi.Size()
	}
	return bytes, nil
}

// adopt makes the files of pieces of a root the user's.
func (d *Disk) adopt(c cid.Cid) error {
	var gone []placeRec
	var ns []uint64
	err := d.update(func(t tx) error {
		r, err := t.root(rootKey(c))
		if err != nil {
			return err
		}
		gone, ns = nil, r.Places
		for _, n := range r.Places {
			p, err := t.place(n)
			if err != nil {
				return err
			}
			gone = append(gone, p)
			if err := t.in(cachedBucket).Delete(num(p.First)); err != nil {
				return err
			}
		}
		return nil
	})
	for i, p := range gone {
		if err == nil && p.Kind == kept {
			d.cached.remove(p.First, ns[i])
		}
	}
	return err
}

// forgetPlace forgets one place of a root that the caller has entered, and the
// root with its last place unless keepRoot.
func (d *Disk) forgetPlace(c cid.Cid, n uint64, keepRoot bool) (gone bool, err error) {
	return d.forgetPlaceIf(c, n, keepRoot, func(tx, placeRec) error { return nil })
}

// forgetPlaceIf is forgetPlace if may says so, in the same transaction.
func (d *Disk) forgetPlaceIf(c cid.Cid, n uint64, keepRoot bool, may func(tx, placeRec) error) (gone bool, err error) {
	key, keys := rootKey(c), d.keysOf(c)
	var p placeRec
	err = d.update(func(t tx) error {
		r, err := t.root(key)
		if err != nil {
			return err
		}
		if p, err = t.place(n); err != nil {
			return err
		}
		if err := may(t, p); err != nil {
			return err
		}
		lost, err := t.dropPlace(n, p, keys)
		if err != nil {
			return err
		}
		r.Places = slices.DeleteFunc(r.Places, func(o uint64) bool { return o == n })
		if gone = len(r.Places) == 0 && !keepRoot; gone {
			return t.dropRoot(key)
		}
		for _, k := range lost {
			held, err := t.holds(r, k)
			if err != nil {
				return err
			}
			if !held {
				r.Have = max(0, r.Have-1)
			}
		}
		if r.State == Complete && r.Have < r.Pieces {
			r.State = Fetching
		}
		return t.putRoot(key, r)
	})
	if err != nil {
		return false, err
	}
	return gone, d.clear([]uint64{n}, []placeRec{p})
}

// unpinned returns ErrPinned for a place of a pinned root.
func unpinned(t tx, p placeRec) error {
	if t.pinned(p.Root) {
		return ErrPinned
	}
	return nil
}

// dropRoot removes the records of a root without places.
func (t tx) dropRoot(key []byte) error {
	if err := t.dropTree(key); err != nil {
		return err
	}
	return errors.Join(t.in(pinsBucket).Delete(key), t.in(rootsBucket).Delete(key))
}
