package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
)

// listing describes what stands at and below path, type, mode and content, so
// that two trees can be compared; nil if nothing stands there.
func listing(t *testing.T, path string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(path, func(at string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		line := below(path, at) + " " + fi.Mode().Type().String()
		switch fi.Mode().Type() {
		case 0:
			data, err := os.ReadFile(at)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %v %x", fi.Mode()&0o100 != 0, sha256.Sum256(data))
		case fs.ModeSymlink:
			to, err := os.Readlink(at)
			if err != nil {
				return err
			}
			line += " -> " + to
		}
		out = append(out, line)
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return out
}

// twoVersions writes two versions of a directory, or of a file.
func twoVersions(t *testing.T, file bool) (one, two string) {
	t.Helper()
	one, two = sample(t, 6), sample(t, 4) // two files less
	write(t, filepath.Join(two, "large"), append(noise(0, 2<<20+5), noise(77, 1<<20)...))
	write(t, filepath.Join(two, "new"), noise(78, 4000))
	if file {
		return filepath.Join(one, "large"), filepath.Join(two, "large")
	}
	for _, err := range []error{
		os.Mkdir(filepath.Join(two, "more"), 0o755),
		os.Remove(filepath.Join(two, "link")), os.Symlink("new", filepath.Join(two, "link")),
		os.Chmod(filepath.Join(two, "sub/a"), 0o755),
		os.MkdirAll(filepath.Join(one, "old/er"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return one, two
}

// finish writes what is missing and finishes.
func finish(t *testing.T, w Writer, c content) (Changes, error) {
	t.Helper()
	for i, have := range w.Have() {
		if have {
			continue
		}
		if err := w.Write(i, c.pieces[i]); err != nil {
			return Changes{}, err
		}
	}
	if _, err := w.Finish(t.Context()); err != nil {
		return Changes{}, err
	}
	changes, _ := w.(Updater).Changes()
	return changes, nil
}

// place puts a version at path, by fetching it or by adding a copy of it.
func place(t *testing.T, d *Disk, src, path string, c content, fetched bool) cid.Cid {
	t.Helper()
	if fetched {
		w := mustCreate(t, d, c, CreateOptions{Path: path})
		if _, err := finish(t, w, c); err != nil {
			t.Fatal(err)
		}
		return c.table.Root
	}
	copyTree(t, src, path)
	r, err := d.Add(t.Context(), path, AddOptions{Modes: true})
	if err != nil {
		t.Fatal(err)
	}
	return r.CID
}

// copyTree copies a file or directory, links too.
func copyTree(t *testing.T, src, dst string) {
	t.Helper()
	fi, err := os.Stat(src)
	if err != nil {
		t.Fatal(err)
	}
	if fi.IsDir() {
		err = os.CopyFS(dst, os.DirFS(src))
	} else {
		var data []byte
		if data, err = os.ReadFile(src); err == nil {
			err = os.WriteFile(dst, data, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// noSwap is a file system that cannot exchange names.
type noSwap struct{ osLayer }

func (noSwap) swap(string, string) error { return errors.ErrUnsupported }

// TestUpdate brings version 1 of a directory, or a file, to version 2.
func TestUpdate(t *testing.T) {
	t.Parallel()
	for _, file := range []bool{false, true} {
		one, two := twoVersions(t, file)
		c1, c2 := load(t, one), load(t, two)
		for _, fetched := range []bool{false, true} {
			for _, layer := range []fileLayer{osLayer{}, noSwap{}} {
				for _, settled := range []bool{false, true} {
					dir := t.TempDir()
					d := openDisk(t, filepath.Join(dir, "store"))
					d.layer = layer
					out := filepath.Join(dir, "out", "it")
					if err := os.Mkdir(filepath.Dir(out), 0o755); err != nil {
						t.Fatal(err)
					}
					old := place(t, d, one, out, c1, fetched)
					if settled {
						settle(t, d)
					}
					w := mustCreate(t, d, c2, CreateOptions{Path: out, Update: true})
					if n := missingOf(w); n > 3 {
						t.Errorf("%d pieces are missing, want three or less", n)
					}
					if got := listing(t, out); !slices.Equal(got, listing(t, one)) {
						t.Errorf("the old version is touched before: %q", got)
					}
					changes, err := finish(t, w, c2)
					if err != nil {
						t.Fatal(err)
					}
					checkUpdated(t, d, out, two, c2)
					want := Changes{Added: 2, Changed: 3, Removed: 4, Same: 4}
					if file {
						want = Changes{Changed: 1}
					}
					if len(changes.Gone) != 1 || !changes.Gone[0].Equals(old) {
						t.Errorf("gone: %v, want %v", changes.Gone, old)
					}
					if changes.Gone = nil; fmt.Sprint(changes) != fmt.Sprint(want) {
						t.Errorf("file %v: changes %+v, want %+v", file, changes, want)
					}
					if _, err := d.Root(old); !errors.Is(err, ErrNotFound) {
						t.Errorf("the old root: %v", err)
					}
				}
			}
		}
	}
}

func missingOf(w Writer) (n int) {
	for _, have := range w.Have() {
		if !have {
			n++
		}
	}
	return n
}

// checkUpdated checks that version two stands at out, alone, and is served.
func checkUpdated(t *testing.T, d *Disk, out, two string, c content) {
	t.Helper()
	if got, want := listing(t, out), listing(t, two); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	left, err := os.ReadDir(filepath.Dir(out))
	if err != nil || len(left) != 1 {
		t.Errorf("beside it: %v, %v", left, err)
	}
	r, err := d.Root(c.table.Root)
	if err != nil || r.State != Complete || r.Have != r.Pieces || r.Path != out {
		t.Errorf("the new root: %+v, %v", r, err)
	}
	for bad, err := range d.Verify(t.Context(), cid.Undef) {
		t.Errorf("bad: %+v, %v", bad, err)
	}
	for i, p := range c.table.Pieces {
		if b, err := d.ReadPiece(t.Context(), p.Key, nil); err != nil || string(b) != string(c.pieces[i]) {
			t.Fatalf("piece %d: %v", i, err)
		}
	}
	plans, err := d.plans()
	if err != nil || len(plans) != 0 {
		t.Errorf("plans left: %v, %v", plans, err)
	}
}

// TestUpdateTwice: what is up to date stays as it is, and a target that is not
// there is made.
func TestUpdateTwice(t *testing.T) {
	t.Parallel()
	_, two := twoVersions(t, false)
	c := load(t, two)
	d := openDisk(t, t.TempDir())
	out := filepath.Join(t.TempDir(), "out")
	var was os.FileInfo
	for i := range 3 {
		w := mustCreate(t, d, c, CreateOptions{Path: out, Update: true})
		if i > 0 && missingOf(w) > 0 {
			t.Error("pieces of what is there are missing")
		}
		changes, err := finish(t, w, c)
		if err != nil || changes.Added+changes.Changed+changes.Removed > 0 || changes.Same > 0 != (i > 0) {
			t.Errorf("%d: %+v, %v", i, changes, err)
		}
		fi, err := os.Stat(out)
		if err != nil || was != nil && !os.SameFile(was, fi) {
			t.Errorf("%d: %v, or it was replaced", i, err)
		}
		was = fi
	}
	checkUpdated(t, d, out, two, c)
}

// TestUpdateOwn: what is the user's own is neither lost nor touched, whether it
// is there before or comes while the new version is fetched.
func TestUpdateOwn(t *testing.T) {
	t.Parallel()
	one, two := twoVersions(t, false)
	c1, c2 := load(t, one), load(t, two)
	for name, change := range map[string]func(out string) error{
		"sub/mine": func(out string) error { return os.WriteFile(filepath.Join(out, "sub/mine"), nil, 0o644) },
		"large":    func(out string) error { return os.WriteFile(filepath.Join(out, "large"), []byte("mine"), 0o644) },
		"mine":     func(out string) error { return os.Mkdir(filepath.Join(out, "mine"), 0o755) },
		".hidden":  func(out string) error { return os.WriteFile(filepath.Join(out, ".hidden"), nil, 0o644) },
		"link": func(out string) error {
			return errors.Join(os.Remove(filepath.Join(out, "link")), os.Symlink("sub", filepath.Join(out, "link")))
		},
		"old/er": func(out string) error {
			return errors.Join(os.Remove(filepath.Join(out, "old/er")), os.WriteFile(filepath.Join(out, "old/er"), nil, 0o600))
		},
		"same size": func(out string) error { return changeByte(filepath.Join(out, "large")) },
	} {
		for _, late := range []bool{false, true} {
			d := openDisk(t, t.TempDir())
			out := filepath.Join(t.TempDir(), "out")
			place(t, d, one, out, c1, true)
			var w Writer
			if late {
				w = mustCreate(t, d, c2, CreateOptions{Path: out, Update: true})
			}
			if err := change(out); err != nil {
				t.Fatal(err)
			}
			before := listing(t, out)
			var err error
			if late {
				_, err = finish(t, w, c2)
			} else {
				_, err = d.Create(t.Context(), c2.table, c2.tree, CreateOptions{Path: out, Update: true})
			}
			if !errors.Is(err, ErrOwn) || name != "same size" && !strings.Contains(err.Error(), filepath.Join(out, name)) {
				t.Errorf("%s, late %v: %v", name, late, err)
			}
			if !slices.Equal(listing(t, out), before) {
				t.Errorf("%s, late %v: the target was touched", name, late)
			}
			if !late {
				continue
			}
			// When the way is free it ends without fetching anything again.
			if err := os.RemoveAll(out); err != nil {
				t.Fatal(err)
			}
			copyTree(t, one, out)
			if _, err := w.Finish(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkUpdated(t, d, out, two, c2)
		}
	}
}

func changeByte(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[1<<20+3] ^= 1
	return os.WriteFile(path, data, 0o644)
}

// TestUpdateRefuses: what is of no version at all, and what cannot be replaced.
func TestUpdateRefuses(t *testing.T) {
	t.Parallel()
	one, two := twoVersions(t, false)
	c1, c2 := load(t, one), load(t, two)
	d := openDisk(t, t.TempDir())
	try := func(path string, want error) {
		t.Helper()
		before := listing(t, path)
		_, err := d.Create(t.Context(), c2.table, c2.tree, CreateOptions{Path: path, Update: true})
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		if !slices.Equal(listing(t, path), before) {
			t.Error("the target was touched")
		}
	}
	unknown := filepath.Join(t.TempDir(), "unknown")
	copyTree(t, one, unknown)
	try(unknown, ErrOwn)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(unknown, link); err != nil {
		t.Fatal(err)
	}
	try(link, ErrExists)
	pinned := filepath.Join(t.TempDir(), "pinned")
	place(t, d, one, pinned, c1, true)
	if err := d.Pin(c1.table.Root); err != nil {
		t.Fatal(err)
	}
	try(pinned, ErrPinned)
	// Adding it makes it known.
	if err := d.Unpin(c1.table.Root); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Add(t.Context(), unknown, AddOptions{}); err != nil {
		t.Fatal(err)
	}
	w := mustCreate(t, d, c2, CreateOptions{Path: unknown, Update: true})
	if _, err := finish(t, w, c2); err != nil {
		t.Fatal(err)
	}
	checkUpdated(t, d, unknown, two, c2)
}

// lateLayer changes the old version right after names were exchanged.
type lateLayer struct {
	osLayer
	then func(old string)
}

func (l lateLayer) swap(a, b string) error {
	err := swapNames(a, b)
	if err == nil {
		l.then(a)
	}
	return err
}

// TestUpdateTooLate: what somebody writes to the old version in the last moment
// is not deleted with it.
func TestUpdateTooLate(t *testing.T) {
	t.Parallel()
	if err := swapNames(t.TempDir(), t.TempDir()); err != nil {
		t.Skip("no file system that exchanges names: ", err)
	}
	for _, file := range []bool{false, true} {
		one, two := twoVersions(t, file)
		c1, c2 := load(t, one), load(t, two)
		d := openDisk(t, t.TempDir())
		out := filepath.Join(t.TempDir(), "out")
		place(t, d, one, out, c1, true)
		d.layer = lateLayer{then: func(old string) {
			if !file {
				old = filepath.Join(old, "sub/a")
			}
			write(t, old, []byte("mine"))
		}}
		changes, err := finish(t, mustCreate(t, d, c2, CreateOptions{Path: out, Update: true}), c2)
		if err != nil {
			t.Fatal(err)
		}
		mine := changes.Left
		if !file {
			mine = filepath.Join(mine, "sub/a")
		}
		if data, err := os.ReadFile(mine); err != nil || string(data) != "mine" {
			t.Errorf("%s: %q, %v", mine, data, err)
		}
		if got := listing(t, out); !slices.Equal(got, listing(t, two)) {
			t.Errorf("got %q", got)
		}
	}
}

// TestUpdateKeepsPermission: what was private is private after.
func TestUpdateKeepsPermission(t *testing.T) {
	t.Parallel()
	for _, file := range []bool{false, true} {
		one, two := twoVersions(t, file)
		c1, c2 := load(t, one), load(t, two)
		d := openDisk(t, t.TempDir())
		out := filepath.Join(t.TempDir(), "out")
		place(t, d, one, out, c1, true)
		want := os.FileMode(0o700)
		if file {
			want = 0o600
		}
		if err := os.Chmod(out, want); err != nil {
			t.Fatal(err)
		}
		if _, err := finish(t, mustCreate(t, d, c2, CreateOptions{Path: out, Update: true}), c2); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(out)
		if err != nil || fi.Mode().Perm() != want {
			t.Errorf("mode %v, %v, want %v", fi.Mode(), err, want)
		}
	}
}
