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
)

// Changes is what an update did to the entries of its target.
type Changes struct {
	Added, Changed, Removed, Same int
	Gone                          []cid.Cid // versions that stood there and that the store no longer has anywhere
	Left                          string    // what stands there that could not be deleted, "" if all of it could
}

// Updater is a Writer that may have replaced what stood at its path.
type Updater interface {
	Writer
	// Changes tells, after Finish, what was replaced; false if nothing stood there.
	Changes() (Changes, bool)
}

// update is the part of a writer that replaces a target.
//
// The new version is written beside the old one, which is left alone and served
// until the new one is whole and durable. Then the names are exchanged in one
// step and the old version is deleted, entry by entry, each only as it was
// surveyed just before. Where a file system cannot exchange names the old
// version is renamed aside first. What is to be done is in the index before it
// is begun (see plan), so Open ends what a crash interrupted: at no time is
// there neither version, and a target under its name is whole.
type update struct {
	survey  survey
	stood   os.FileMode // permission of what stood there
	changes Changes
	did     bool
}

// findUpdate looks at what stands at the target: nil when nothing does. done is
// true when it is the new version already.
func (w *diskWriter) findUpdate(ctx context.Context, path string) (u *update, done bool, err error) {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, diskErr("update", path, err)
	case w.table.Entries[0].Type == merkle.Symlink:
		return nil, false, fmt.Errorf("update %s: the new version is a symlink: delete what stands there first: %w", path, ErrExists)
	case fi.Mode()&fs.ModeSymlink != 0:
		return nil, false, fmt.Errorf("update %s: it is a symlink: name what it leads to: %w", path, ErrExists)
	}
	u = &update{stood: fi.Mode().Perm(), survey: survey{layer: w.d.layer, passed: map[string]passed{}}}
	if err := w.surveyAt(ctx, u, path); err != nil {
		return nil, false, err
	}
	c := u.survey.changes()
	if c.Added+c.Changed+c.Removed > 0 {
		return u, false, nil
	}
	for _, v := range u.survey.versions[1:] {
		if string(v.rec.Root) == string(w.key) {
			u.changes, u.did = c, true
			return u, true, nil
		}
	}
	return u, false, nil
}

// beginUpdate prepares a writer that replaces what stands at its path. done is
// not nil when there is nothing to replace it with.
func (w *diskWriter) beginUpdate(ctx context.Context, opt *CreateOptions) (done Writer, err error) {
	path := opt.Path
	var same bool
	w.update, same, err = w.findUpdate(ctx, path)
	switch {
	case err != nil:
		w.d.leave(w.key)
		return nil, err
	case same:
		return &upToDate{d: w.d, key: w.key, path: path, pieces: len(w.table.Pieces), changes: w.update.changes}, nil
	case w.update != nil:
		opt.Using = append(slices.Clip(opt.Using), path)
	}
	return nil, nil
}

// surveyAt holds what stands at path to the versions that are known there.
func (w *diskWriter) surveyAt(ctx context.Context, u *update, path string) error {
	known, err := w.d.versionsOf(path)
	if err != nil {
		return err
	}
	if err := w.noPins(path, known); err != nil {
		return err
	}
	u.survey.versions = append([]version{{table: w.table, d: w.d}}, known...)
	if err := u.survey.look(ctx, path, w.d.cfg.Hashers); err != nil {
		return err
	}
	return u.survey.refusal(path)
}

// noPins returns ErrPinned if one of the versions at path is of another root
// that is to be kept.
func (w *diskWriter) noPins(path string, known []version) error {
	for _, v := range known {
		if string(v.rec.Root) != string(w.key) && w.d.isPinned(v.rec.Root) {
			return fmt.Errorf("update %s: %w: unpin %v, or fetch to another path", path, ErrPinned, v.table.Root)
		}
	}
	return nil
}

// versionsOf is versionsAt of a path and of what it resolves to, which is how
// Add names a place.
func (d *Disk) versionsOf(path string) ([]version, error) {
	vs, err := d.versionsAt(path)
	if err != nil {
		return nil, err
	}
	base, err := filepath.EvalSymlinks(path)
	if err != nil || base == path {
		return vs, nil // what is not there has no other name
	}
	more, err := d.versionsAt(base)
	return append(vs, more...), err
}

func (d *Disk) isPinned(root []byte) (pinned bool) {
	_ = d.view(func(t tx) error { // the only error is that of a closed store
		pinned = t.pinned(root)
		return nil
	})
	return pinned
}

// Changes tells, after Finish, what was replaced.
func (w *diskWriter) Changes() (Changes, bool) {
	if w.update == nil {
		return Changes{}, false
	}
	return w.update.changes, w.update.did
}

// upToDate is the Writer of a root that stands at its path already.
type upToDate struct {
	d       *Disk
	key     []byte
	path    string
	pieces  int
	changes Changes
	closed  bool
}

var (
	_ Updater = (*diskWriter)(nil)
	_ Updater = (*upToDate)(nil)
)

// Have tells that all pieces are here: the survey hashed them, or saw that they
// did not change since they were hashed.
func (w *upToDate) Have() []bool {
	have := make([]bool, w.pieces)
	for i := range have {
		have[i] = true
	}
	return have
}

// Write has nothing to do.
func (w *upToDate) Write(int, []byte) error { return nil }

// Sync has nothing to do.
func (w *upToDate) Sync() error { return nil }

// Changes tells that all is the same.
func (w *upToDate) Changes() (Changes, bool) { return w.changes, true }

// Finish returns the path.
func (w *upToDate) Finish(context.Context) (string, error) { return w.path, w.Close() }

// Close lets go of the root.
func (w *upToDate) Close() error {
	if !w.closed {
		w.closed = true
		w.d.leave(w.key)
	}
	return nil
}
