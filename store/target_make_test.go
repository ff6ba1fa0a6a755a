package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
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

// TestTwoNames: a crash that leaves both names, the temporary one and the final
// one, which a link or a file on a disk without a rename that replaces nothing
// has for a moment, is in nobody's way.
func TestTwoNames(t *testing.T) {
	t.Parallel()
	file := load(t, filepath.Join(sample(t, 0), "large"))
	link, block := merkle.UnixFSv1.Symlink("no/where")
	tree, err := merkle.NewTree(link.CID)
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Add(block.Data); err != nil {
		t.Fatal(err)
	}
	table, err := tree.Table()
	if err != nil {
		t.Fatal(err)
	}
	for _, reopen := range []bool{false, true} {
		for _, c := range []content{{table: table, tree: tree.Blocks()}, file} {
			store, dir := t.TempDir(), t.TempDir()
			d, err := Open(store, Config{})
			if err != nil {
				t.Fatal(err)
			}
			opt := CreateOptions{Path: filepath.Join(dir, "out")}
			w := mustCreate(t, d, c, opt)
			fillAll(t, w, c)
			if err := errors.Join(w.Sync(), w.Close()); err != nil {
				t.Fatal(err)
			}
			partial := partialName(opt.Path, 0)
			if len(c.pieces) > 0 {
				err = os.Link(partial, opt.Path)
			} else {
				err = os.Symlink(filepath.FromSlash("no/where"), opt.Path)
			}
			if err != nil {
				t.Fatal(err)
			}
			if reopen {
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				if d, err = Open(store, Config{}); err != nil {
					t.Fatal(err)
				}
			}
			if r, err := d.Root(c.table.Root); err == nil && r.State != Complete {
				w = mustCreate(t, d, c, opt)
				if _, err := w.Finish(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "out" {
				t.Errorf("left: %v, %v", left, err)
			}
			if r, err := d.Root(c.table.Root); err != nil || r.State != Complete || r.Path != opt.Path {
				t.Errorf("got %+v, %v", r, err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
