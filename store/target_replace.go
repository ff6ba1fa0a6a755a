package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
	"golang.org/x/sync/errgroup"
)

// settle gives the output its final name.
func (w *diskWriter) settle(ctx context.Context) error {
	t, ok := w.out.(*target)
	if w.update == nil || !ok || t.renamed {
		return w.out.finish()
	}
	if _, err := os.Lstat(t.final); errors.Is(err, fs.ErrNotExist) {
		w.update = nil // it was taken away meanwhile
		return w.out.finish()
	}
	return w.replace(ctx, t)
}

// replace puts the target, which is complete, in the place of what stands there.
func (w *diskWriter) replace(ctx context.Context, t *target) error {
	if err := t.seal(); err != nil {
		return err
	}
	if err := t.keepPerm(w.update.stood); err != nil {
		return err
	}
	if err := t.durable(); err != nil {
		return err
	}
	if err := w.flush(); err != nil { // Open goes by what the index claims
		return err
	}
	if err := w.surveyAt(ctx, w.update, t.final); err != nil {
		return fmt.Errorf("%w; what was fetched is kept as %s", err, t.partial)
	}
	w.update.changes = w.update.survey.changes()
	p, err := newPlan(t)
	if err != nil {
		return err
	}
	if err := w.d.putPlan(w.place, p); err != nil {
		return err
	}
	if err := w.noPins(t.final, w.update.survey.versions[1:]); err != nil { // one came since the survey
		return errors.Join(err, w.d.dropPlan(w.place))
	}
	var old string
	err = t.move(func() (err error) {
		old, err = t.exchange(p)
		return err
	})
	if err != nil && stands(t.final, p.Dev, p.Ino) {
		return errors.Join(err, w.d.dropPlan(w.place))
	}
	if err != nil {
		return err // Open ends it
	}
	w.update.did, w.update.changes.Left = true, old // until it is deleted
	return t.syncParent()
}

// keepPerm gives a target without a mode of its own that of what it replaces:
// what was private stays so.
func (t *target) keepPerm(perm os.FileMode) error {
	e := &t.table.Entries[0]
	if e.Mode != 0 {
		return nil
	}
	if e.Type == merkle.File {
		perm &^= 0o111
	}
	if err := os.Chmod(t.partial, perm|0o600); err != nil {
		return diskErr("finish", t.partial, err)
	}
	return nil
}

// exchange gives the target its final name and returns where what stood there
// stands now.
func (t *target) exchange(p plan) (old string, err error) {
	err = t.layer.swap(t.partial, t.final)
	if err == nil {
		return t.partial, nil
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return "", diskErr("replace", t.final, err)
	}
	if err := t.layer.rename(t.final, p.Aside); err != nil {
		return "", diskErr("replace", t.final, err)
	}
	if err := t.rename(); err != nil {
		back := t.layer.rename(p.Aside, t.final)
		return "", errors.Join(diskErr("replace", t.final, err), back)
	}
	return p.Aside, nil
}

// retire deletes the version that was replaced and forgets the roots that stood
// there. What cannot be deleted is told in Changes.Left: the new version stands
// all the same.
func (w *diskWriter) retire() error {
	u := w.update
	if u == nil || !u.did || u.changes.Left == "" {
		return nil
	}
	if u.survey.erase(u.changes.Left) {
		u.changes.Left = ""
	}
	gone, err := w.d.forgetOthers(w.rec, w.place)
	u.changes.Gone = gone
	return errors.Join(err, w.d.dropPlan(w.place))
}

// erase deletes what was surveyed from old, where it stands now, and tells
// whether that was all. What has changed since stays.
func (s *survey) erase(old string) bool {
	if len(s.entries) > 0 && s.entries[0].kind != merkle.Directory {
		return s.eraseFile(old)
	}
	root, err := os.OpenRoot(old)
	if err != nil {
		return false
	}
	var g errgroup.Group // a disk takes many at a time
	g.SetLimit(16)
	for _, e := range s.entries {
		if e.known && e.kind != merkle.Directory {
			g.Go(func() error {
				rel := filepath.FromSlash(e.rel)
				if now, err := stateAt(filepath.Join(old, rel)); err == nil && now.same(e.state) {
					_ = s.layer.remove(root, rel) // what stays shows below
				}
				return nil
			})
		}
	}
	_ = g.Wait()
	for _, e := range slices.Backward(s.entries) {
		if e.known && e.kind == merkle.Directory && e.rel != "" {
			_ = s.layer.remove(root, filepath.FromSlash(e.rel)) // one that is not empty stays, and shows below
		}
	}
	_ = root.Close() // before it is deleted: on Windows an open directory stays
	parent, err := os.OpenRoot(filepath.Dir(old))
	if err != nil {
		return false
	}
	defer parent.Close()
	return s.layer.remove(parent, filepath.Base(old)) == nil
}

// eraseFile is erase of a file. Renaming it changed its ctime.
func (s *survey) eraseFile(old string) bool {
	now, err := stateAt(old)
	if err != nil || len(s.entries) == 0 {
		return false
	}
	was := s.entries[0].state
	now.Ctime = was.Ctime
	if !now.same(was) {
		return false
	}
	parent, err := os.OpenRoot(filepath.Dir(old))
	if err != nil {
		return false
	}
	defer parent.Close()
	return s.layer.remove(parent, filepath.Base(old)) == nil
}

// forgetOthers forgets what stood where next, a place that the caller has
// entered, stands now. It returns the roots that had no other place. One that is
// being fetched, or was pinned after the exchange, is left: what it has there no
// longer verifies, and is withdrawn when it is read.
func (d *Disk) forgetOthers(next placeRec, n uint64) (gone []cid.Cid, err error) {
	vs, err := d.versionsOf(next.Target)
	if err != nil {
		return nil, err
	}
	for _, v := range vs {
		if v.place == n {
			continue
		}
		own := string(v.rec.Root) == string(next.Root)
		if !own && d.enter(v.rec.Root) != nil {
			continue
		}
		may := unpinned
		if own {
			may = func(tx, placeRec) error { return nil } // it has another place now
		}
		last, err := d.forgetPlaceIf(v.table.Root, v.place, false, may)
		if !own {
			d.leave(v.rec.Root)
		}
		if errors.Is(err, ErrPinned) {
			continue
		}
		if err != nil {
			return gone, err
		}
		if last {
			gone = append(gone, v.table.Root)
		}
	}
	return gone, nil
}
