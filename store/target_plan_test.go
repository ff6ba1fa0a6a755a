package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"
)

// stepLayer ends the process at a change of names: before it, or right after.
type stepLayer struct {
	fileLayer
	crash func()

	mu    sync.Mutex
	left  int // steps until the crash; negative: none comes
	after bool
	down  bool
}

func (l *stepLayer) step(do func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.down:
		return errDown
	case l.left != 0:
		l.left--
		return do()
	}
	l.down = true
	if l.after {
		_ = do() // nobody is left to hear of it
	}
	l.crash()
	return errDown
}

func (l *stepLayer) rename(from, to string) error {
	return l.step(func() error { return l.fileLayer.rename(from, to) })
}

func (l *stepLayer) swap(a, b string) error {
	return l.step(func() error { return l.fileLayer.swap(a, b) })
}

func (l *stepLayer) remove(root *os.Root, rel string) error {
	return l.step(func() error { return l.fileLayer.remove(root, rel) })
}

// TestUpdateCrash ends the process before and after each step of an update's
// end. Afterwards the store opens, one of the two versions stands under its
// name, whole, nothing is claimed that does not verify, and the same update
// brings the new version, with nothing left beside it.
func TestUpdateCrash(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many steps of one goroutine")
	}
	for _, file := range []bool{false, true} {
		one, two := twoVersions(t, file)
		if !file {
			for _, name := range []string{"sub/b", "sub/c", "sub/d"} { // fewer steps do
				must(t, os.Remove(filepath.Join(one, name)))
				must(t, os.Remove(filepath.Join(two, name)))
			}
		}
		c1, c2 := load(t, one), load(t, two)
		for name, under := range map[string]fileLayer{"exchange": osLayer{}, "two renames": noSwap{}} {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, file %v, after %v", name, file, after), func(t *testing.T) {
					t.Parallel()
					done := false
					for stop := 0; !done && stop < 100; stop++ {
						s := &stepLayer{fileLayer: under, left: stop, after: after}
						done = crashUpdate(t, s, [2]content{c1, c2}, [2]string{one, two})
					}
				})
			}
		}
	}
}

// crashUpdate updates from version 1 to 2 with a crash, and ends it. It returns
// true when the update was done before the crash came.
func crashUpdate(t *testing.T, layer *stepLayer, c [2]content, src [2]string) (done bool) {
	t.Helper()
	stop, dir := layer.left, t.TempDir()
	d, err := Open(filepath.Join(dir, "store"), Config{})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out", "it")
	must(t, os.Mkdir(filepath.Dir(out), 0o755))
	place(t, d, src[0], out, c[0], true)
	layer.left, d.layer = -1, layer
	w := mustCreate(t, d, c[1], CreateOptions{Path: out, Update: true})
	layer.left, layer.crash = stop, func() {
		if err := d.db.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err = finish(t, w, c[1])
	if done = !layer.down; done != (err == nil) && !done {
		t.Errorf("step %d: it ended well after a crash", stop)
	}
	if done {
		must(t, d.db.Close())
	}
	d.files.close()

	d = openDisk(t, filepath.Join(dir, "store"))
	if _, ok := layer.fileLayer.(noSwap); ok {
		d.layer = noSwap{}
	}
	got := listing(t, out)
	if !slices.Equal(got, listing(t, src[0])) && !slices.Equal(got, listing(t, src[1])) {
		t.Errorf("step %d, after %v: neither version stands there: %q", stop, layer.after, got)
	}
	for bad, err := range d.Verify(t.Context(), cid.Undef) {
		t.Errorf("step %d, after %v: claimed and bad: %+v, %v", stop, layer.after, bad, err)
	}
	w = mustCreate(t, d, c[1], CreateOptions{Path: out, Update: true})
	if n := missingOf(w); n > 0 {
		t.Errorf("step %d, after %v: %d pieces are missing", stop, layer.after, n)
	}
	if _, err := finish(t, w, c[1]); err != nil {
		t.Fatalf("step %d, after %v: %v", stop, layer.after, err)
	}
	checkUpdated(t, d, out, src[1], c[1])
	if _, err := d.Root(c[0].table.Root); err == nil {
		t.Errorf("step %d, after %v: the old root is known", stop, layer.after)
	}
	return done
}

// TestPlanLeftBehind: the process ended when all was done but the plan dropped.
func TestPlanLeftBehind(t *testing.T) {
	t.Parallel()
	one, two := twoVersions(t, false)
	c1, c2 := load(t, one), load(t, two)
	dir := t.TempDir()
	d := openDisk(t, filepath.Join(dir, "store"))
	out := filepath.Join(t.TempDir(), "out")
	place(t, d, one, out, c1, true)
	old, err := stateAt(out)
	if err != nil {
		t.Fatal(err)
	}
	w := mustCreate(t, d, c2, CreateOptions{Path: out, Update: true})
	if _, err := finish(t, w, c2); err != nil {
		t.Fatal(err)
	}
	p := plan{Partial: partialName(out, 0), Aside: hiddenName(out, asideSuffix, 0), Dev: old.Dev, Ino: old.Ino}
	must(t, d.putPlan(w.(*diskWriter).place, p))
	if err := d.putPlan(1<<40, p); err != nil { // of a place that was forgotten since
		t.Fatal(err)
	}
	must(t, d.Close())
	checkUpdated(t, openDisk(t, filepath.Join(dir, "store")), out, two, c2)
}

// TestPlanOutOfReach: the disk of an interrupted update is not there; it is
// ended when it is back.
func TestPlanOutOfReach(t *testing.T) {
	t.Parallel()
	one, two := twoVersions(t, false)
	c1, c2 := load(t, one), load(t, two)
	dir := t.TempDir()
	d, err := Open(filepath.Join(dir, "store"), Config{})
	if err != nil {
		t.Fatal(err)
	}
	mount := filepath.Join(dir, "mount")
	must(t, os.Mkdir(mount, 0o755))
	out := filepath.Join(mount, "out")
	place(t, d, one, out, c1, true)
	d.layer = renameCrash{&stepLayer{fileLayer: noSwap{}, left: -1, crash: func() { d.db.Close() }}}
	w := mustCreate(t, d, c2, CreateOptions{Path: out, Update: true})
	if _, err := finish(t, w, c2); err == nil {
		t.Fatal("no crash")
	}
	d.files.close()
	if got := listing(t, out); got != nil {
		t.Fatalf("a version stands there: %q", got)
	}
	must(t, os.Rename(mount, mount+"-away"))
	d = openDisk(t, filepath.Join(dir, "store"))
	must(t, d.Close())
	must(t, os.Rename(mount+"-away", mount))
	checkUpdated(t, openDisk(t, filepath.Join(dir, "store")), out, two, c2)
}

// renameCrash ends the process after the first rename.
type renameCrash struct{ *stepLayer }

func (l renameCrash) rename(from, to string) error {
	l.left, l.after = 0, true
	return l.stepLayer.rename(from, to)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
