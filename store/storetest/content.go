package storetest

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// Content is a root with all of its blocks and pieces, to fetch from.
type Content struct {
	Table  *merkle.Table
	Tree   []merkle.Block
	Pieces [][]byte // leaf blocks, by piece
}

// Bytes are n bytes that depend on seed alone.
func Bytes(seed uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, n)
	_, _ = r.Read(b) // never fails, see its documentation
	return b
}

// WriteTree makes a directory with a file of several leaves, small, empty and
// equal files, an executable, an empty directory and a symlink, and returns its path.
func WriteTree(t testing.TB, seed uint64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	for _, d := range []string{"a/b/empty", "ünï cödé"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	WriteFile(t, filepath.Join(dir, "large"), Bytes(seed, 2<<20+4321), 0o644)
	WriteFile(t, filepath.Join(dir, "a/small"), Bytes(seed+1, 777), 0o644)
	WriteFile(t, filepath.Join(dir, "a/b/same"), Bytes(seed+1, 777), 0o644)
	WriteFile(t, filepath.Join(dir, "a/b/nothing"), nil, 0o644)
	WriteFile(t, filepath.Join(dir, "a/run"), []byte("#!/bin/sh\n"), 0o755)
	WriteFile(t, filepath.Join(dir, "ünï cödé/ß"), Bytes(seed+2, 70_000), 0o644)
	if err := os.Symlink("../large", filepath.Join(dir, "a/link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// WriteFile writes a file or ends the test.
func WriteFile(t testing.TB, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
}

// Load takes the content of a root out of a store.
func Load(t testing.TB, s store.Store, r store.Root) Content {
	t.Helper()
	tree, err := store.LoadTree(s, r.CID)
	if err != nil {
		t.Fatal(err)
	}
	table, err := tree.Table()
	if err != nil {
		t.Fatal(err)
	}
	c := Content{Table: table, Tree: tree.Blocks()}
	for _, p := range table.Pieces {
		block, err := s.ReadPiece(t.Context(), p.Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Pieces = append(c.Pieces, block)
	}
	return c
}

// Make is the content of what stands at path.
func Make(t testing.TB, path string, opt store.AddOptions) Content {
	t.Helper()
	m := store.NewMem()
	r, err := m.Add(t.Context(), path, opt)
	if err != nil {
		t.Fatal(err)
	}
	return Load(t, m, r)
}

// Create opens a writer or ends the test.
func (c Content) Create(t testing.TB, s store.Store, opt store.CreateOptions) store.Writer {
	t.Helper()
	w, err := s.Create(t.Context(), c.Table, c.Tree, opt)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Fill writes every piece that w has not.
func (c Content) Fill(t testing.TB, w store.Writer) {
	t.Helper()
	for i, have := range w.Have() {
		if have {
			continue
		}
		if err := w.Write(i, c.Pieces[i]); err != nil {
			t.Fatal(err)
		}
	}
}

// Keys are the keys of all pieces.
func (c Content) Keys() []merkle.Key {
	keys := make([]merkle.Key, len(c.Table.Pieces))
	for i, p := range c.Table.Pieces {
		keys[i] = p.Key
	}
	return keys
}
