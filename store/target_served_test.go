package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// TestUpdateWhileServed: who reads while names are exchanged waits, and nothing
// of the new version is withdrawn.
func TestUpdateWhileServed(t *testing.T) {
	t.Parallel()
	if err := swapNames(t.TempDir(), t.TempDir()); err != nil {
		t.Skip("no file system that exchanges names: ", err)
	}
	one, two := twoVersions(t, false)
	c1, c2 := load(t, one), load(t, two)
	d := openDisk(t, t.TempDir())
	out := filepath.Join(t.TempDir(), "out")
	place(t, d, one, out, c1, true)
	var wg sync.WaitGroup
	defer wg.Wait()
	var w Writer
	d.layer = lateLayer{then: func(string) {
		if mu := &w.(*diskWriter).out.(*target).mu; mu.TryRLock() {
			mu.RUnlock()
			t.Error("readers are let in while names are exchanged")
		}
		d.files.dropRange(0, 1<<40) // else open files are read, which are the right ones
		d.locs.purge()
		for i, p := range c2.table.Pieces {
			wg.Go(func() {
				if b, err := d.ReadPiece(t.Context(), p.Key, nil); err != nil || !slices.Equal(b, c2.pieces[i]) {
					t.Errorf("piece %d: %v", i, err)
				}
			})
		}
	}}
	w = mustCreate(t, d, c2, CreateOptions{Path: out, Update: true})
	if _, err := finish(t, w, c2); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	checkUpdated(t, d, out, two, c2)
}

// slowOpen lets something happen after the path of a file was found and before
// it is opened.
type slowOpen struct {
	fileLayer
	then func()
}

func (l *slowOpen) open(path string) (*os.File, error) {
	then := l.then
	if l.then = nil; then != nil {
		then()
	}
	return l.fileLayer.open(path)
}

// noRemove is a disk from which the old version cannot be deleted.
type noRemove struct{ fileLayer }

func (noRemove) remove(*os.Root, string) error { return syscall.EACCES }

// TestOpenAfterRename: a file that got its final name after it was looked up is
// read there, although something else stands where it was.
func TestOpenAfterRename(t *testing.T) {
	t.Parallel()
	one, two := twoVersions(t, false)
	c1, c2 := load(t, one), load(t, two)
	for name, under := range map[string]fileLayer{
		"get": nil, "exchange": osLayer{}, "old stays": noRemove{osLayer{}}, "two renames": noRemove{noSwap{}},
	} {
		d := openDisk(t, t.TempDir())
		out := filepath.Join(t.TempDir(), "out")
		opt := CreateOptions{Path: out, Update: under != nil}
		if under == nil {
			under = osLayer{}
		} else {
			place(t, d, one, out, c1, true)
		}
		d.layer = under
		w := mustCreate(t, d, c2, opt)
		for i, block := range c2.pieces {
			if err := w.Write(i, block); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Sync(); err != nil { // what is claimed can be withdrawn
			t.Fatal(err)
		}
		large, _ := c2.table.Lookup("large")
		last := c2.table.Entries[large].Spans[len(c2.table.Entries[large].Spans)-1].Piece // which version one has not
		d.files.dropRange(0, 1<<40)
		d.layer = &slowOpen{under, func() {
			if _, err := w.Finish(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}}
		b, err := d.ReadPiece(t.Context(), c2.table.Pieces[last].Key, nil)
		if err != nil || !slices.Equal(b, c2.pieces[last]) {
			t.Errorf("%s: %v", name, err)
		}
		if r, err := d.Root(c2.table.Root); err != nil || r.State != Complete || r.Have != r.Pieces {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// stuck is a disk on which what stood under the final name can be renamed away,
// and nothing be given that name.
type stuck struct {
	noSwap
	final string
}

func (l stuck) rename(from, to string) error {
	if to == l.final {
		return syscall.EIO
	}
	return l.noSwap.rename(from, to)
}

// TestUpdateStuck: an update that can go neither on nor back is carried out by
// the next Open.
func TestUpdateStuck(t *testing.T) {
	t.Parallel()
	one, two := twoVersions(t, false)
	c1, c2 := load(t, one), load(t, two)
	dir := t.TempDir()
	d, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	place(t, d, one, out, c1, true)
	d.layer = stuck{final: out}
	w := mustCreate(t, d, c2, CreateOptions{Path: out, Update: true})
	if _, err := finish(t, w, c2); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	checkUpdated(t, openDisk(t, dir), out, two, c2)
}

// onPlan runs then once, after the plan of an update is in the index.
type onPlan struct {
	osLayer
	d    *Disk
	then func()
}

func (l *onPlan) commit(do func() error) error {
	err := l.osLayer.commit(do)
	if plans, perr := l.d.plans(); perr == nil && len(plans) > 0 && l.then != nil {
		then := l.then
		l.then = nil
		then()
	}
	return err
}

// TestPinDuringUpdate: a version that is pinned in the last moment stays, and
// one that is pinned too late stays known.
func TestPinDuringUpdate(t *testing.T) {
	t.Parallel()
	one, two := twoVersions(t, false)
	c1, c2 := load(t, one), load(t, two)
	for _, late := range []bool{false, true} {
		d := openDisk(t, t.TempDir())
		out := filepath.Join(t.TempDir(), "out")
		place(t, d, one, out, c1, true)
		pin := func() {
			if err := d.Pin(c1.table.Root); err != nil {
				t.Error(err)
			}
		}
		if late {
			if err := swapNames(t.TempDir(), t.TempDir()); err != nil {
				t.Skip("no file system that exchanges names: ", err)
			}
			d.layer = lateLayer{then: func(string) { pin() }}
		} else {
			d.layer = &onPlan{d: d, then: pin}
		}
		w := mustCreate(t, d, c2, CreateOptions{Path: out, Update: true})
		_, err := finish(t, w, c2)
		if late && err != nil || !late && !errors.Is(err, ErrPinned) {
			t.Errorf("late %v: %v", late, err)
		}
		want := one
		if late {
			want = two
		}
		if got := listing(t, out); !slices.Equal(got, listing(t, want)) {
			t.Errorf("late %v: got %q", late, got)
		}
		if r, err := d.Root(c1.table.Root); err != nil || !r.Pinned {
			t.Errorf("late %v: %+v, %v", late, r, err)
		}
		if plans, err := d.plans(); err != nil || len(plans) > 0 {
			t.Errorf("late %v: plans left: %v, %v", late, plans, err)
		}
	}
}
