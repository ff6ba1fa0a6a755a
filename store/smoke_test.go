package store

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
)

func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	os.MkdirAll(filepath.Join(src, "sub/empty"), 0o755)
	big := make([]byte, 5<<20+123)
	rand.Read(big)
	os.WriteFile(filepath.Join(src, "big"), big, 0o644)
	os.WriteFile(filepath.Join(src, "sub/x"), []byte("hello"), 0o755)
	os.WriteFile(filepath.Join(src, "sub/nil"), nil, 0o644)
	os.Symlink("x", filepath.Join(src, "sub/link"))
	for _, prof := range []merkle.Profile{merkle.UnixFSv1, merkle.UnixFSv0} {
		for _, copyIt := range []bool{false, true} {
			t.Run(fmt.Sprint(prof.Name(), copyIt), func(t *testing.T) {
				a, err := Open(filepath.Join(t.TempDir(), "a"), Config{})
				if err != nil {
					t.Fatal(err)
				}
				defer a.Close()
				b, err := Open(filepath.Join(t.TempDir(), "b"), Config{})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				r, err := a.Add(t.Context(), src, AddOptions{Profile: prof, Modes: true, Copy: copyIt})
				if err != nil {
					t.Fatal(err)
				}
				tree, err := LoadTree(a, r.CID)
				if err != nil {
					t.Fatal(err)
				}
				tab, err := tree.Table()
				if err != nil {
					t.Fatal(err)
				}
				if len(tab.Pieces) != r.Pieces {
					t.Fatal(len(tab.Pieces), r.Pieces)
				}
				for bad, err := range a.Verify(t.Context(), r.CID) {
					t.Fatal(bad, err)
				}
				out := filepath.Join(t.TempDir(), "out")
				w, err := b.Create(t.Context(), tab, tree.Blocks(), CreateOptions{Path: out})
				if err != nil {
					t.Fatal(err)
				}
				for i, have := range w.Have() {
					if have {
						continue
					}
					p, err := a.ReadPiece(t.Context(), tab.Pieces[i].Key, nil)
					if err != nil {
						t.Fatal(err)
					}
					if err := w.Write(i, p); err != nil {
						t.Fatal(err)
					}
					if i == 2 {
						if err := w.Sync(); err != nil {
							t.Fatal(err)
						}
						if err := w.Close(); err != nil {
							t.Fatal(err)
						}
						w, err = b.Create(t.Context(), tab, tree.Blocks(), CreateOptions{Path: out})
						if err != nil {
							t.Fatal(err)
						}
						if h := w.Have(); !h[0] || !h[1] || !h[2] {
							t.Fatal(h)
						}
					}
				}
				if p, err := w.Finish(t.Context()); err != nil || p != out {
					t.Fatal(p, err)
				}
				got, _ := os.ReadFile(filepath.Join(out, "big"))
				if !bytes.Equal(got, big) {
					t.Fatal("differs")
				}
				r2, err := b.Add(t.Context(), out, AddOptions{Profile: prof, Modes: true})
				if err != nil || !r2.CID.Equals(r.CID) {
					t.Fatal(r2, r, err)
				}
				for bad, err := range b.Verify(t.Context(), r.CID) {
					t.Fatal(bad, err)
				}
				rs, _ := b.Roots()
				t.Logf("%+v", rs)
				if err := b.Unshare(r.CID); err != nil {
					t.Fatal(err)
				}
				b.view(func(tx tx) error {
					for _, n := range [][]byte{rootsBucket, treesBucket, blocksBucket, placesBucket, basesBucket, filesBucket, leavesBucket, doomedBucket} {
						tx.in(n).ForEach(func(k, v []byte) error { t.Errorf("left in %s: %x", n, k); return nil })
					}
					return nil
				})
			})
		}
	}
}
