package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"testing"
)

// TestForeign reads trees of other shapes than the profiles', which
// ipfs-unixfs-importer made: narrow, trickle, data before links, dag-pb leaves
// of both types, CIDv0 above raw leaves, shards of other fanouts.
func TestForeign(t *testing.T) {
	t.Parallel()
	var all []struct {
		Name    string
		CID     string
		Content content
		SHA256  string
	}
	readJSON(t, "foreign/foreign.json", &all)
	for _, f := range all {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			file, err := os.Open("testdata/foreign/" + f.Name + ".car")
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			root, list, err := ReadCAR(file, 0)
			if err != nil {
				t.Fatal(err)
			}
			if root.String() != f.CID {
				t.Fatalf("root %s, want %s", root, f.CID)
			}
			blocks := map[Key][]byte{}
			for _, b := range list {
				k, _ := KeyOf(b.CID)
				blocks[k] = b.Data
			}
			table := load(t, start(t, root.String()), blocks)
			checkTable(t, table)
			sameEntries(t, table, UnixFSv1, f.Content, "", map[string]bool{})
			sum := sha256.New()
			for i := range table.Entries {
				sum.Write(readFile(t, table, i, blocks))
			}
			if got := hex.EncodeToString(sum.Sum(nil)); f.SHA256 != "" && got != f.SHA256 {
				t.Errorf("bytes have sha256 %s, want %s", got, f.SHA256)
			}
		})
	}
}

// start starts the tree of a CID's text.
func start(t testing.TB, s string) *Tree {
	t.Helper()
	c, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := NewTree(c)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// load completes a tree from blocks, as it asks.
func load(t testing.TB, tree *Tree, blocks map[Key][]byte) *Table {
	t.Helper()
	for !tree.Complete() {
		for _, want := range tree.Missing(2) {
			k, _ := KeyOf(want)
			if err := tree.Add(blocks[k]); err != nil {
				t.Fatalf("%s: %v", want, err)
			}
		}
	}
	table, err := tree.Table()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// readFile puts a file together as a download does: piece by piece, verified.
func readFile(t testing.TB, table *Table, entry int, blocks map[Key][]byte) []byte {
	t.Helper()
	var out []byte
	for _, s := range table.Entries[entry].Spans {
		if s.Piece < 0 {
			out = append(out, s.Inline...)
			continue
		}
		p := table.Pieces[s.Piece]
		payload, err := p.Verify(blocks[p.Key])
		if err != nil {
			t.Fatal(err)
		}
		if b := table.Loaded(s.Piece); b != nil && !bytes.Equal(b, blocks[p.Key]) {
			t.Fatalf("loaded block of piece %d is another", s.Piece)
		}
		again, err := p.Wrap(bytes.Clone(payload))
		if err != nil || !bytes.Equal(again, blocks[p.Key]) {
			t.Fatalf("piece %d is not rebuilt from its payload: %v", s.Piece, err)
		}
		out = append(out, payload...)
	}
	return out
}

// TestAddOnlyWanted holds Add to taking only what was asked for.
func TestAddOnlyWanted(t *testing.T) {
	t.Parallel()
	b := build(t, UnixFSv0, content{Leaves: 174*2 + 1})
	tree := start(t, b.CID.String())
	for _, block := range b.blocks[1:] {
		if err := tree.Add(block.Data); !errors.Is(err, ErrMismatch) {
			t.Fatalf("a block was taken before its parent: %v", err)
		}
	}
	for range 2 { // the second time they are known
		for _, block := range b.blocks {
			if err := tree.Add(block.Data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tree.Add(make([]byte, MaxBlock+1)); !errors.Is(err, ErrMismatch) {
		t.Fatalf("a giant block: %v", err)
	}
	if !tree.Complete() {
		t.Fatal("not complete")
	}
}
