package storetest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
		{"Borrow", borrow},
		{"Resume", resume},
		{"BringOver", bringOver},
		{"Using", using},
		{"UsingPlaces", usingPlaces},
		{"Exists", exists},
		{"Busy", busy},
		{"Unsafe", unsafe},
		{"WrongWrites", wrongWrites},
		{"Unshare", unshare},
		{"UnshareShared", unshareShared},
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

// unshareShared: what two roots have stays until both are gone.
func unshareShared(t *testing.T, s store.Store) {
	dir := WriteTree(t, 145)
	one := add(t, s, dir, store.AddOptions{})
	WriteFile(t, filepath.Join(dir, "more"), []byte("more"), 0o644)
	two := add(t, s, dir, store.AddOptions{})
	c := Make(t, dir, store.AddOptions{})
	if err := s.Unshare(one.CID); err != nil {
		t.Fatal(err)
	}
	wantPieces(t, s, c)
	if _, err := store.LoadTree(s, two.CID); err != nil {
		t.Errorf("the tree of the other root: %v", err)
	}
	if err := s.Unshare(two.CID); err != nil {
		t.Fatal(err)
	}
	for _, b := range c.Tree {
		if _, err := s.Block(b.CID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("block %v is left: %v", b.CID, err)
		}
	}
	if slices.Contains(s.Have(c.Keys()), true) {
		t.Error("pieces are left")
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
