package storetest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// missing is how many pieces a writer has to be given.
func missing(w store.Writer) (n int) {
	for _, have := range w.Have() {
		if !have {
			n++
		}
	}
	return n
}

// using: version 2 of a directory is fetched by a store that knows nothing,
// with version 1 at hand under other names.
func using(t *testing.T, s store.Store) {
	for _, opt := range []store.AddOptions{{}, {Modes: true}, {Profile: merkle.UnixFSv0}, {Profile: merkle.UnixFSv0, Modes: true}} {
		seed := uint64(200)
		old := WriteTree(t, seed)
		WriteFile(t, filepath.Join(old, "grown"), Bytes(seed+5, 3<<20), 0o644)
		src := WriteTree(t, seed) // version 2: renamed, grown, changed in the middle, new
		for _, err := range []error{
			os.Rename(filepath.Join(src, "large"), filepath.Join(src, "a/moved")),
			os.Symlink("/etc/passwd", filepath.Join(old, "elsewhere")),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		grown := append(Bytes(seed+5, 3<<20), Bytes(seed+6, 10)...)
		grown[1<<20+7] ^= 1
		WriteFile(t, filepath.Join(src, "grown"), grown, 0o644)
		WriteFile(t, filepath.Join(src, "new"), Bytes(seed+7, 5000), 0o644)
		c := Make(t, src, opt)
		before := stamps(t, old)
		w := c.Create(t, s, store.CreateOptions{Path: filepath.Join(t.TempDir(), "out"), Using: []string{old}})
		// The changed leaf, the short one at the end and the new file, which in the
		// legacy profile comes with the tree.
		want := 3
		if opt.Profile == merkle.UnixFSv0 {
			want = 2
		}
		if n := missing(w); n != want {
			t.Errorf("%s, modes %v: %d pieces are missing, want %d", opt.Profile.Name(), opt.Modes, n, want)
		}
		c.Fill(t, w)
		out, err := w.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(out, "grown"))
		if err != nil || !bytes.Equal(got, grown) {
			t.Errorf("grown: %v, or wrong bytes", err)
		}
		if after := stamps(t, old); !bytes.Equal(before, after) {
			t.Errorf("a file that was used has changed:\n%s\n%s", before, after)
		}
		if err := s.Unshare(c.Table.Root); err != nil {
			t.Fatal(err)
		}
	}
}

// stamps describes every file below dir: size, mode and time of change.
func stamps(t *testing.T, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		b.WriteString(path + " " + fs.FormatFileInfo(fi) + fi.ModTime().String() + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// usingPlaces: what can be named, and what is an error.
func usingPlaces(t *testing.T, s store.Store) {
	data := Bytes(210, 2<<20+99)
	src := filepath.Join(t.TempDir(), "film")
	WriteFile(t, src, data, 0o644)
	c := Make(t, src, store.AddOptions{})
	dir := t.TempDir()
	WriteFile(t, filepath.Join(dir, "x"), data[:1<<20], 0o644)          // the first leaf
	WriteFile(t, filepath.Join(dir, "y"), append(data, data...), 0o644) // cut elsewhere after two
	WriteFile(t, filepath.Join(dir, "z"), data[2<<20:], 0o000)          // the last, not readable for most
	WriteFile(t, filepath.Join(dir, "empty"), nil, 0o644)               //
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(dir, "x"), link); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		using   []string
		missing int
	}{
		{nil, 3},
		{[]string{filepath.Join(dir, "x")}, 2},
		{[]string{link, filepath.Join(dir, "empty")}, 2},
		{[]string{filepath.Join(dir, "x"), filepath.Join(dir, "y")}, 1},
		{[]string{src}, 0},
	} {
		w := c.Create(t, s, store.CreateOptions{Path: filepath.Join(t.TempDir(), "out"), Using: test.using})
		if n := missing(w); n != test.missing {
			t.Errorf("using %q: %d pieces are missing, want %d", test.using, n, test.missing)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Unshare(c.Table.Root); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Create(t.Context(), c.Table, c.Tree, store.CreateOptions{
		Path: filepath.Join(t.TempDir(), "out"), Using: []string{filepath.Join(dir, "none")},
	})
	wantErr(t, err, fs.ErrNotExist)
	w := c.Create(t, s, store.CreateOptions{Path: filepath.Join(t.TempDir(), "out"), Using: []string{dir}})
	if n := missing(w); n > 1 {
		t.Errorf("using a directory: %d pieces are missing, want the last at most", n)
	}
	c.Fill(t, w)
	if _, err := w.Finish(t.Context()); err != nil {
		t.Error(err)
	}
}
