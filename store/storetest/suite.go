package storetest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// Test runs the suite. open makes an empty store and sees to its Close.
func Test(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s store.Store)
	}{
		{"AddAndRead", addAndRead},
		{"AddSkips", addSkips},
		{"AddTwice", addTwice},
		{"AddOnlyHash", addOnlyHash},
		{"AddStops", addStops},
		{"Absent", absent},
		{"Fetch", fetch},
		{"FetchKept", fetchKept},
		{"FetchShapes", fetchShapes},
		{"Resume", resume},
		{"BringOver", bringOver},
		{"Exists", exists},
		{"Busy", busy},
		{"Unsafe", unsafe},
		{"WrongWrites", wrongWrites},
		{"Unshare", unshare},
		{"VerifyGood", verifyGood},
		{"Order", order},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

func add(t *testing.T, s store.Store, path string, opt store.AddOptions) store.Root {
	t.Helper()
	r, err := s.Add(t.Context(), path, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// wantPieces reads every piece of c.
func wantPieces(t *testing.T, s store.Store, c Content) {
	t.Helper()
	buf := make([]byte, 0, merkle.MaxLeaf)
	for i, p := range c.Table.Pieces {
		got, err := s.ReadPiece(t.Context(), p.Key, buf)
		if err != nil {
			t.Fatalf("piece %d: %v", i, err)
		}
		if !bytes.Equal(got, c.Pieces[i]) {
			t.Fatalf("piece %d: wrong bytes", i)
		}
	}
	if i := slices.Index(s.Have(c.Keys()), false); i >= 0 {
		t.Errorf("piece %d can be read and Have says no", i)
	}
}

func addAndRead(t *testing.T, s store.Store) {
	for _, p := range []merkle.Profile{merkle.UnixFSv1, merkle.UnixFSv0} {
		for _, opt := range []store.AddOptions{{}, {Modes: true}, {Copy: true}, {Copy: true, Modes: true}} {
			opt.Profile = p
			dir := WriteTree(t, 10)
			want := Make(t, dir, opt)
			r := add(t, s, dir, opt)
			if !r.CID.Equals(want.Table.Root) || r.Size != want.Table.Size || r.Pieces != len(want.Table.Pieces) {
				t.Fatalf("got %v, %d bytes, %d pieces, want %v, %d, %d", r.CID, r.Size, r.Pieces,
					want.Table.Root, want.Table.Size, len(want.Table.Pieces))
			}
			if r.State != store.Complete || r.Have != r.Pieces || r.Name != "tree" || (r.Path == "") != opt.Copy {
				t.Errorf("got %+v", r)
			}
			wantPieces(t, s, want)
			got, err := s.Root(r.CID)
			if err != nil || got.Have != r.Pieces || !got.CID.Equals(r.CID) {
				t.Errorf("Root: %+v, %v", got, err)
			}
			for _, b := range want.Tree {
				if data, err := s.Block(b.CID); err != nil || !bytes.Equal(data, b.Data) {
					t.Errorf("block %v: %v", b.CID, err)
				}
			}
		}
	}
}

func addSkips(t *testing.T, s store.Store) {
	dir := WriteTree(t, 20)
	plain := add(t, s, dir, store.AddOptions{OnlyHash: true})
	WriteFile(t, filepath.Join(dir, ".hidden"), []byte("x"), 0o644)
	WriteFile(t, filepath.Join(dir, "a/.git"), []byte("x"), 0o644)
	var skipped []string
	r := add(t, s, dir, store.AddOptions{Skipped: func(path, why string) {
		skipped = append(skipped, filepath.Base(path)+" "+why)
	}})
	if !r.CID.Equals(plain.CID) {
		t.Error("hidden entries change the root")
	}
	slices.Sort(skipped)
	if want := []string{".git hidden", ".hidden hidden"}; !slices.Equal(skipped, want) {
		t.Errorf("skipped %q, want %q", skipped, want)
	}
	if all := add(t, s, dir, store.AddOptions{Hidden: true}); all.CID.Equals(plain.CID) || all.Size != plain.Size+2 {
		t.Errorf("with hidden entries: %d bytes, want %d", all.Size, plain.Size+2)
	}
}

func addTwice(t *testing.T, s store.Store) {
	dir := WriteTree(t, 30)
	first := add(t, s, dir, store.AddOptions{})
	again := add(t, s, dir+"/.", store.AddOptions{})
	if !first.CID.Equals(again.CID) || first.Have != again.Have {
		t.Errorf("got %+v, want %+v", again, first)
	}
	link := filepath.Join(t.TempDir(), "latest")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if r := add(t, s, link, store.AddOptions{}); !r.CID.Equals(first.CID) || r.Name != "latest" {
		t.Errorf("through a link: %+v", r)
	}
	roots, err := s.Roots()
	if err != nil || len(roots) != 1 {
		t.Errorf("%d roots, %v, want 1", len(roots), err)
	}
}

func addOnlyHash(t *testing.T, s store.Store) {
	dir := WriteTree(t, 40)
	c := Make(t, dir, store.AddOptions{})
	if r := add(t, s, dir, store.AddOptions{OnlyHash: true}); !r.CID.Equals(c.Table.Root) {
		t.Errorf("got %v, want %v", r.CID, c.Table.Root)
	}
	_, err := s.Root(c.Table.Root)
	wantErr(t, err, store.ErrNotFound)
	if slices.Contains(s.Have(c.Keys()), true) {
		t.Error("pieces are held")
	}
}

func addStops(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Add(ctx, WriteTree(t, 45), store.AddOptions{})
	wantErr(t, err, context.Canceled)
	_, err = s.Add(t.Context(), filepath.Join(t.TempDir(), "none"), store.AddOptions{})
	wantErr(t, err, fs.ErrNotExist)
}

func absent(t *testing.T, s store.Store) {
	c := Make(t, WriteTree(t, 50), store.AddOptions{})
	_, err := s.Root(c.Table.Root)
	wantErr(t, err, store.ErrNotFound)
	_, err = s.Block(c.Table.Root)
	wantErr(t, err, store.ErrNotFound)
	_, err = s.ReadPiece(t.Context(), c.Table.Pieces[0].Key, nil)
	wantErr(t, err, store.ErrNotFound)
	wantErr(t, s.Unshare(c.Table.Root), store.ErrNotFound)
	for _, err := range s.Verify(t.Context(), c.Table.Root) {
		wantErr(t, err, store.ErrNotFound)
	}
	if roots, err := s.Roots(); err != nil || len(roots) != 0 {
		t.Errorf("roots: %v, %v", roots, err)
	}
}

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

func unshare(t *testing.T, s store.Store) {
	dir := WriteTree(t, 140)
	one := add(t, s, dir, store.AddOptions{})
	large := add(t, s, filepath.Join(dir, "large"), store.AddOptions{Copy: true})
	c := Make(t, dir, store.AddOptions{})
	if err := s.Unshare(one.CID); err != nil {
		t.Fatal(err)
	}
	_, err := s.Root(one.CID)
	wantErr(t, err, store.ErrNotFound)
	_, err = s.Block(one.CID)
	wantErr(t, err, store.ErrNotFound)
	held := 0
	for _, have := range s.Have(c.Keys()) {
		if have {
			held++
		}
	}
	if held != large.Pieces {
		t.Errorf("%d pieces are held, want the %d of the other root", held, large.Pieces)
	}
	wantPieces(t, s, Make(t, filepath.Join(dir, "large"), store.AddOptions{}))
	if _, err := os.Stat(filepath.Join(dir, "a/small")); err != nil {
		t.Errorf("a file of the user is gone: %v", err)
	}
}

func verifyGood(t *testing.T, s store.Store) {
	r := add(t, s, WriteTree(t, 150), store.AddOptions{Profile: merkle.UnixFSv0, Modes: true})
	add(t, s, WriteTree(t, 151), store.AddOptions{Copy: true})
	for _, c := range []cid.Cid{r.CID, cid.Undef} {
		for bad, err := range s.Verify(t.Context(), c) {
			t.Errorf("bad: %+v, %v", bad, err)
		}
	}
}

func order(t *testing.T, s store.Store) {
	var want []string
	for i := range 5 {
		path := filepath.Join(t.TempDir(), "f")
		WriteFile(t, path, Bytes(uint64(160+i), 100), 0o644)
		want = append(want, add(t, s, path, store.AddOptions{}).CID.String())
	}
	roots, err := s.Roots()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range roots {
		got = append(got, r.CID.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
