package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// fullLayer is a disk without room for the length of a file, or for the index.
type fullLayer struct {
	osLayer
	length, index bool
}

func (l *fullLayer) change(path string, do func() error) error {
	if l.length {
		return &os.PathError{Op: "truncate", Path: path, Err: syscall.ENOSPC}
	}
	return l.osLayer.change(path, do)
}

func (l *fullLayer) commit(do func() error) error {
	if l.index {
		return syscall.ENOSPC
	}
	return l.osLayer.commit(do)
}

// TestFullAtStart: a fetch that finds no room at its start leaves nothing that
// the index does not know, and goes on when there is some.
func TestFullAtStart(t *testing.T) {
	t.Parallel()
	tree := sample(t, 2)
	for _, c := range []content{load(t, tree), load(t, filepath.Join(tree, "large"))} {
		d := openDisk(t, t.TempDir())
		dir := t.TempDir()
		opt := CreateOptions{Path: filepath.Join(dir, "out")}
		create := func(what string, layer fileLayer) {
			t.Helper()
			d.layer = layer
			w, err := d.Create(t.Context(), c.table, c.tree, opt)
			if err == nil { // the length of a file in a directory comes when it is written
				err = errors.Join(w.Write(0, c.pieces[0]), w.Close())
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s: %v", what, err)
			}
		}
		create("no room in the index", &fullLayer{index: true})
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("no room in the index: %v, %v", left, err)
		}
		for range 2 {
			create("no room for the length", &fullLayer{length: true})
			if _, err := d.Root(c.table.Root); err != nil {
				t.Errorf("no room for the length: %v", err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
				t.Errorf("no room for the length: %v, %v", left, err)
			}
		}
		d.layer = osLayer{}
		w := mustCreate(t, d, c, opt)
		fillAll(t, w, c)
		if _, err := w.Finish(t.Context()); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("done: %v, %v", left, err)
		}
	}
}
