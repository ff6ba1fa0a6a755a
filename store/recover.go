package store

import (
	"errors"

	"github.com/shoal-p2p/shoal/merkle"
)

// recover completes the downloads that a crash ended between the rename to the
// final name and the index that says so. The rename comes after the last byte is
// durable, so nothing is hashed here. What cannot be completed now stays as it
// is; a Create of the same root and path hashes it.
func (d *Disk) recover() error {
	var moved []uint64
	err := d.view(func(t tx) error {
		// By the roots and not by the places, which nobody else reads at the start.
		return t.in(rootsBucket).ForEach(func(_, v []byte) error {
			r, err := decodeRoot(v)
			if err != nil || r.State == Complete && len(r.Places) == 1 {
				return nil // a damaged one is for those who need it
			}
			for _, n := range r.Places {
				if p, err := t.place(n); err == nil && p.Kind == partial && isMoved(p) {
					moved = append(moved, n)
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, n := range moved {
		_ = d.recoverPlace(n) // see above
	}
	return nil
}

// isMoved tells whether what was made under a temporary name has the final one.
func isMoved(p placeRec) bool {
	return stands(p.Target, p.Dev, p.Ino)
}

// recoverPlace indexes a place under its final name.
func (d *Disk) recoverPlace(n uint64) error {
	rec, err := d.placeRec(n)
	if err != nil {
		return err
	}
	w := &diskWriter{d: d, place: n, rec: rec, key: rec.Root, resumed: true}
	var root rootRec
	err = d.view(func(t tx) (err error) {
		root, err = t.root(w.key)
		return err
	})
	if err != nil {
		return err
	}
	if w.table, err = d.table(root.CID); err != nil {
		return err
	}
	t, found, err := resumeTarget(w.table, w.rec, d.layer)
	if err != nil || !found {
		return errors.Join(err, ErrNotFound)
	}
	t.files, w.out = d.files, t
	defer t.close()
	if !t.renamed {
		return ErrNotFound
	}
	if err := t.syncParent(); err != nil {
		return err
	}
	ls, err := w.everything(t)
	if err != nil {
		return err
	}
	states := w.states()
	return d.update(func(t tx) error { return w.complete(t, ls, states) })
}

// everything is where all pieces of a finished target stand.
func (w *diskWriter) everything(t *target) ([]located, error) {
	claims, err := w.claims()
	if err != nil {
		return nil, err
	}
	var ls []located
	for i, p := range w.table.Pieces {
		at, ok := claims[i]
		if !ok {
			at.loc.Prefix, at.loc.Suffix = frame(p.Key, p.Payload, p.Size)
			if len(at.loc.Prefix)+p.Payload+len(at.loc.Suffix) != p.Size {
				return nil, merkle.ErrUnsupported // the frame of a foreign leaf is not known without it
			}
		}
		ls = append(ls, t.places(i, at.loc.Prefix, at.loc.Suffix)...)
	}
	return ls, nil
}
