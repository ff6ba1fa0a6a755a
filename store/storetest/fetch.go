package storetest

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

func fetch(t *testing.T, s store.Store) {
	for _, p := range []merkle.Profile{merkle.UnixFSv1, merkle.UnixFSv0} {
		src := WriteTree(t, 60)
		c := Make(t, src, store.AddOptions{Modes: true, Profile: p})
		out := filepath.Join(t.TempDir(), "out")
		w := c.Create(t, s, store.CreateOptions{Path: out})
		if r, err := s.Root(c.Table.Root); err != nil || r.State != store.Fetching || r.Path != out || r.Name != "out" {
			t.Errorf("while fetching: %+v, %v", r, err)
		}
		c.Fill(t, w)
		wantPieces(t, s, c)
		if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the final name is there before Finish: %v", err)
		}
		got, err := w.Finish(t.Context())
		if err != nil || got != out {
			t.Fatalf("Finish: %q, %v", got, err)
		}
		if err := w.Close(); err != nil {
			t.Errorf("Close after Finish: %v", err)
		}
		sameTree(t, out, src)
		wantPieces(t, s, c)
		r, err := s.Root(c.Table.Root)
		if err != nil || r.State != store.Complete || r.Path != out || r.Have != len(c.Table.Pieces) || r.Size != c.Table.Size {
			t.Errorf("after Finish: %+v, %v", r, err)
		}
		if again := add(t, s, out, store.AddOptions{Modes: true, Profile: p, OnlyHash: true}); !again.CID.Equals(c.Table.Root) {
			t.Errorf("what was fetched is %v, want %v", again.CID, c.Table.Root)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(out), ".*")); err != nil || len(left) > 0 {
			t.Errorf("left over: %q, %v", left, err)
		}
	}
}

// sameTree compares names, kinds, bytes, links and executable bits.
func sameTree(t *testing.T, got, want string) {
	t.Helper()
	if g, w := listTree(t, got), listTree(t, want); !slices.Equal(g, w) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(g, "\n"), strings.Join(w, "\n"))
	}
}

func listTree(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		line := rel + " " + e.Type().String()
		switch {
		case e.Type() == fs.ModeSymlink:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + to
		case e.Type().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fi, err := e.Info()
			if err != nil {
				return err
			}
			line += " " + merkle.UnixFSv1.Leaf(data).Key.String() + " " + (fi.Mode() & 0o100).String()
		}
		list = append(list, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func fetchKept(t *testing.T, s store.Store) {
	c := Make(t, WriteTree(t, 70), store.AddOptions{Profile: merkle.UnixFSv0})
	w := c.Create(t, s, store.CreateOptions{Name: "film"})
	c.Fill(t, w)
	if path, err := w.Finish(t.Context()); err != nil || path != "" {
		t.Fatalf("Finish: %q, %v", path, err)
	}
	wantPieces(t, s, c)
	r, err := s.Root(c.Table.Root)
	if err != nil || r.Path != "" || r.Name != "film" || r.State != store.Complete {
		t.Errorf("got %+v, %v", r, err)
	}
}

// fetchShapes fetches roots that are no directory.
func fetchShapes(t *testing.T, s store.Store) {
	for name, data := range map[string][]byte{
		"nothing": nil, "one": Bytes(80, 1), "leaf": Bytes(81, 1<<20), "more": Bytes(82, 1<<20+1), "zeros": make([]byte, 3<<20),
	} {
		for _, p := range []merkle.Profile{merkle.UnixFSv1, merkle.UnixFSv0} {
			src := filepath.Join(t.TempDir(), name)
			WriteFile(t, src, data, 0o755)
			c := Make(t, src, store.AddOptions{Profile: p, Modes: name == "one"})
			out := filepath.Join(t.TempDir(), name)
			w := c.Create(t, s, store.CreateOptions{Path: out})
			c.Fill(t, w)
			if _, err := w.Finish(t.Context()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got, err := os.ReadFile(out)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %v or wrong bytes", name, err)
			}
			fi, err := os.Lstat(out)
			if err != nil || fi.Mode()&0o100 != 0 != (name == "one") {
				t.Errorf("%s: mode %v, %v", name, fi.Mode(), err)
			}
			wantPieces(t, s, c)
		}
	}
	link, block := merkle.UnixFSv1.Symlink("no/where")
	tree, err := merkle.NewTree(link.CID)
	if err == nil {
		err = tree.Add(block.Data)
	}
	if err != nil {
		t.Fatal(err)
	}
	table, err := tree.Table()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "link")
	w := Content{Table: table, Tree: tree.Blocks()}.Create(t, s, store.CreateOptions{Path: out})
	if _, err := w.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(out); err != nil || to != "no/where" {
		t.Errorf("link to %q, %v", to, err)
	}
}

func resume(t *testing.T, s store.Store) {
	c := Make(t, WriteTree(t, 90), store.AddOptions{})
	for _, opt := range []store.CreateOptions{{Path: filepath.Join(t.TempDir(), "out")}, {}} {
		w := c.Create(t, s, opt)
		for i := range 2 {
			if err := w.Write(i, c.Pieces[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := w.Write(2, c.Pieces[2]); err == nil {
			t.Error("a closed writer takes a piece")
		}
		w = c.Create(t, s, opt)
		if have := w.Have(); !have[0] || !have[1] {
			t.Errorf("resumed with %v", have)
		}
		c.Fill(t, w)
		if path, err := w.Finish(t.Context()); err != nil || path != opt.Path {
			t.Fatalf("Finish: %q, %v", path, err)
		}
		wantPieces(t, s, c)
		if err := s.Unshare(c.Table.Root); err != nil {
			t.Fatal(err)
		}
	}
}

func bringOver(t *testing.T, s store.Store) {
	dir := WriteTree(t, 100)
	add(t, s, dir, store.AddOptions{Modes: true})
	WriteFile(t, filepath.Join(dir, "new"), Bytes(103, 5000), 0o644)
	src := filepath.Join(t.TempDir(), "v2")
	if err := os.CopyFS(src, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	c := Make(t, src, store.AddOptions{Modes: true})
	w := c.Create(t, s, store.CreateOptions{Path: filepath.Join(t.TempDir(), "out")})
	missing := 0
	for i, have := range w.Have() {
		if !have {
			missing++
			if err := w.Write(i, c.Pieces[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if missing != 1 {
		t.Errorf("%d pieces are missing, want the new one alone", missing)
	}
	out, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sameTree(t, out, src)
}

func exists(t *testing.T, s store.Store) {
	c := Make(t, WriteTree(t, 110), store.AddOptions{})
	out := filepath.Join(t.TempDir(), "out")
	WriteFile(t, out, []byte("mine"), 0o644)
	_, err := s.Create(t.Context(), c.Table, c.Tree, store.CreateOptions{Path: out})
	wantErr(t, err, store.ErrExists)
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	w := c.Create(t, s, store.CreateOptions{Path: out})
	c.Fill(t, w)
	WriteFile(t, out, []byte("mine"), 0o644)
	_, err = w.Finish(t.Context())
	wantErr(t, err, store.ErrExists)
	if data, err := os.ReadFile(out); err != nil || string(data) != "mine" {
		t.Errorf("the file in the way is now %q, %v", data, err)
	}
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(t.Context()); err != nil {
		t.Errorf("Finish when the way is free: %v", err)
	}
}

func busy(t *testing.T, s store.Store) {
	c := Make(t, WriteTree(t, 120), store.AddOptions{})
	w := c.Create(t, s, store.CreateOptions{})
	_, err := s.Create(t.Context(), c.Table, c.Tree, store.CreateOptions{Path: filepath.Join(t.TempDir(), "out")})
	wantErr(t, err, store.ErrBusy)
	wantErr(t, s.Unshare(c.Table.Root), store.ErrBusy)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t, s, store.CreateOptions{}).Close(); err != nil {
		t.Fatal(err)
	}
}

// unsafe tries entries that would leave the target or that no disk can hold.
// Tables are made by hand, since merkle makes none with most of these names.
func unsafe(t *testing.T, s store.Store) {
	dir := t.TempDir()
	root := merkle.UnixFSv1.Leaf([]byte("root")).CID
	for _, entries := range [][]merkle.Entry{
		{{Type: merkle.Directory}, {Path: ".."}},
		{{Type: merkle.Directory}, {Path: "../x"}},
		{{Type: merkle.Directory}, {Path: "/x"}},
		{{Type: merkle.Directory}, {Path: "a\x00b"}},
		{{Type: merkle.Directory}, {Path: strings.Repeat("x", 256)}},
		{{Type: merkle.Directory}, {Path: "x"}, {Path: "x"}},
		{{Type: merkle.Directory}, {Path: "x", Type: merkle.Symlink, Target: "/etc"}, {Path: "x/passwd"}},
		{{Type: merkle.Directory}, {Path: "x/y"}},
		{{Type: merkle.File}, {Path: "x"}},
	} {
		table := &merkle.Table{Root: root, Entries: entries}
		_, err := s.Create(t.Context(), table, nil, store.CreateOptions{Path: filepath.Join(dir, "out")})
		wantErr(t, err, store.ErrUnsafe)
		if err == nil || !strings.Contains(err.Error(), "entry") {
			t.Errorf("%v does not name the entry", err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("disk was touched: %v, %v", left, err)
	}
}

func wrongWrites(t *testing.T, s store.Store) {
	c := Make(t, WriteTree(t, 130), store.AddOptions{})
	w := c.Create(t, s, store.CreateOptions{Path: filepath.Join(t.TempDir(), "out")})
	_, err := w.Finish(t.Context())
	wantErr(t, err, store.ErrNotFound)
	wantErr(t, w.Write(len(c.Pieces), c.Pieces[0]), store.ErrNotFound)
	wantErr(t, w.Write(-1, c.Pieces[0]), store.ErrNotFound)
	wantErr(t, w.Write(0, c.Pieces[0][1:]), merkle.ErrMismatch)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = s.Create(t.Context(), c.Table, c.Tree, store.CreateOptions{Path: "relative"})
	if err == nil {
		t.Error("a relative path is taken")
	}
}

// borrow reads what is held without changing it, and keeps what is read of the rest.
func borrow(t *testing.T, s store.Store) {
	src := WriteTree(t, 65)
	mine := add(t, s, src, store.AddOptions{})
	c := Make(t, src, store.AddOptions{})
	w := c.Create(t, s, store.CreateOptions{Borrow: true})
	if slices.Contains(w.Have(), false) {
		t.Errorf("of what was added there is %v", w.Have())
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if r, err := s.Root(mine.CID); err != nil || r.State != store.Complete || r.Path != mine.Path || r.Have != mine.Have {
		t.Errorf("got %+v, %v, want %+v", r, err, mine)
	}
	c = Make(t, WriteTree(t, 66), store.AddOptions{})
	w = c.Create(t, s, store.CreateOptions{Borrow: true})
	had := slices.Clone(w.Have())
	for i := range 2 {
		had[i] = true
		if err := w.Write(i, c.Pieces[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	w = c.Create(t, s, store.CreateOptions{Borrow: true})
	defer w.Close()
	if !slices.Equal(w.Have(), had) {
		t.Errorf("got %v, want %v", w.Have(), had)
	}
	for i := range 2 {
		if b, err := s.ReadPiece(t.Context(), c.Table.Pieces[i].Key, nil); err != nil || !bytes.Equal(b, c.Pieces[i]) {
			t.Errorf("piece %d: %v", i, err)
		}
	}
}
