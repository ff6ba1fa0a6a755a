package merkle

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"testing"
)

// content describes what a vector holds; testdata/README.md tells the fields.
type content struct {
	Text    *string          `json:"text"`
	Seed    uint32           `json:"seed"`
	Size    *int64           `json:"size"`
	Mode    uint32           `json:"mode"`
	Leaves  int              `json:"leaves"`
	Symlink string           `json:"symlink"`
	Many    int              `json:"many"`
	Prefix  string           `json:"prefix"`
	Digits  int              `json:"digits"`
	Each    string           `json:"each"`
	Last    string           `json:"last"`
	Dir     *json.RawMessage `json:"dir"`
}

// generator is the stream of vectors: the top byte of each state of a linear
// congruential generator.
type generator uint32

func (g *generator) fill(b []byte) []byte {
	x := uint32(*g)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	*g = generator(x)
	return b
}

// built is what a builder made, for tests that read it back.
type built struct {
	Link
	blocks []Block
	leaves []Leaf
}

// build makes c as a user of the package would.
func build(t testing.TB, p Profile, c content) built {
	t.Helper()
	switch {
	case c.Text != nil:
		return buildFile(p, c.Mode, int64(len(*c.Text)), func(b []byte) { copy(b, *c.Text) })
	case c.Size != nil:
		g := generator(c.Seed)
		return buildFile(p, c.Mode, *c.Size, func(b []byte) { g.fill(b) })
	case c.Leaves > 0:
		f, leaf := p.NewFile(), p.Leaf([]byte("x"))
		for range c.Leaves {
			f.Add(leaf)
		}
		l, blocks := f.Finish(c.Mode)
		return built{l, blocks, []Leaf{leaf}}
	case c.Symlink != "":
		l, b := p.Symlink(c.Symlink)
		return built{l, []Block{b}, nil}
	}
	var entries []DirEntry
	var below []Block
	var leaves []Leaf
	for name, child := range children(t, c) {
		b := build(t, p, child)
		entries = append(entries, DirEntry{name, b.Link})
		below = append(below, b.blocks...)
		leaves = append(leaves, b.leaves...)
	}
	l, blocks, err := p.Directory(entries, c.Mode)
	if err != nil {
		t.Fatal(err)
	}
	return built{l, append(blocks, below...), leaves}
}

func children(t testing.TB, c content) map[string]content {
	out := map[string]content{}
	if c.Many == 0 {
		if err := json.Unmarshal(*c.Dir, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	for i := range c.Many {
		name := fmt.Sprintf("%s%0*d", c.Prefix, c.Digits, i)
		if i == c.Many-1 {
			name += c.Last
		}
		out[name] = content{Text: &c.Each}
	}
	return out
}

// buildFile makes a file of size bytes, which fill gives in order.
func buildFile(p Profile, mode uint32, size int64, fill func([]byte)) built {
	f, buf := p.NewFile(), make([]byte, min(size, int64(p.LeafSize())))
	var leaves []Leaf
	for left := size; left > 0 || len(leaves) == 0; left -= int64(len(buf)) {
		b := buf[:min(left, int64(len(buf)))]
		fill(b)
		leaf := p.Leaf(b)
		if size <= int64(p.LeafSize()) {
			leaf = p.SoleLeaf(b, mode)
		}
		f.Add(leaf)
		leaves = append(leaves, leaf)
		if len(buf) == 0 {
			break
		}
	}
	l, blocks := f.Finish(mode)
	return built{l, blocks, leaves}
}

func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

type vector struct {
	Profile string
	Name    string
	Content content
	CID     string
	Tsize   uint64
}

// vectors are those of both files. Kubo's library made boxo.json.
func vectors(t testing.TB) (all []vector) {
	t.Helper()
	for _, file := range []string{"vectors.json", "boxo.json"} {
		var v []vector
		readJSON(t, file, &v)
		all = append(all, v...)
	}
	return all
}

// skip leaves out what takes long in short runs, and the file of 1 GiB in all:
// the one of a byte more has its leaves, and TestVectors looks at both.
func (v vector) skip(t *testing.T) bool {
	size := int64(v.Content.Leaves+v.Content.Many) << 11
	if v.Content.Size != nil {
		size = *v.Content.Size
	}
	return testing.Short() && size > 64<<20 || v.Content.Size != nil && size == 1<<30
}

// TestVectors holds the builders to ipfs-unixfs-importer and to boxo.
func TestVectors(t *testing.T) {
	t.Parallel()
	full := ""
	for _, v := range vectors(t) {
		if v.Name == "full root" {
			full = v.CID
		}
		full := full
		t.Run(v.Profile+"/"+strings.ReplaceAll(v.Name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			if v.skip(t) {
				t.Skip("large")
			}
			p, err := ProfileByName(v.Profile)
			if err != nil {
				t.Fatal(err)
			}
			got := build(t, p, v.Content)
			if got.CID.String() != v.CID {
				t.Errorf("CID %s, want %s", got.CID, v.CID)
			}
			if got.Tsize != v.Tsize {
				t.Errorf("Tsize %d, want %d", got.Tsize, v.Tsize)
			}
			if v.Name == "one byte above a full root" && withoutLast(p, got).String() != full {
				t.Errorf("full root: CID %s, want %s", withoutLast(p, got), full)
			}
			readBack(t, p, v.Content, got)
		})
	}
}

// readBack reads what was built as a node would that added it, and holds the
// table to the content.
func readBack(t *testing.T, p Profile, c content, b built) {
	t.Helper()
	tree, err := NewTree(b.CID)
	if err != nil {
		t.Fatal(err)
	}
	feed(t, tree, b)
	table, err := tree.Table()
	if err != nil {
		t.Fatal(err)
	}
	if table.Size != b.Size && b.Size != 0 {
		t.Errorf("size %d, want %d", table.Size, b.Size)
	}
	sameEntries(t, table, p, c, "", map[string]bool{})
	checkTable(t, table)
	again, err := NewTree(b.CID)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range tree.Blocks() {
		if err := again.Add(block.Data); err != nil {
			t.Fatalf("blocks are not in an order that a tree takes: %v", err)
		}
	}
}

// feed gives a tree what was built, in the order it asks.
func feed(t testing.TB, tree *Tree, b built) {
	t.Helper()
	blocks, leaves := map[Key][]byte{}, map[Key]Leaf{}
	for _, block := range b.blocks {
		k, _ := KeyOf(block.CID)
		blocks[k] = block.Data
	}
	for _, l := range b.leaves {
		leaves[l.Key] = l
	}
	for !tree.Complete() {
		for _, want := range tree.Missing(0) {
			k, _ := KeyOf(want)
			err := ErrNoEntry
			if data, ok := blocks[k]; ok {
				err = tree.Add(data)
			} else if l, ok := leaves[k]; ok {
				err = tree.AddLeaf(l)
			}
			if err != nil {
				t.Fatalf("%s: %v", want, err)
			}
		}
	}
}

// sameEntries holds a table's entries to a description.
func sameEntries(t *testing.T, table *Table, p Profile, c content, path string, seen map[string]bool) {
	t.Helper()
	i, ok := table.Lookup(path)
	if !ok {
		t.Fatalf("no entry %q", path)
	}
	e := table.Entries[i]
	seen[path] = true
	typ, size := File, int64(c.Leaves)
	switch {
	case c.Text != nil:
		size = int64(len(*c.Text))
	case c.Size != nil:
		size = *c.Size
	case c.Symlink != "":
		typ = Symlink
	case c.Dir != nil || c.Many > 0:
		typ, size = Directory, e.Size
		for name, child := range children(t, c) {
			sameEntries(t, table, p, child, strings.TrimPrefix(path+"/"+name, "/"), seen)
		}
	}
	if e.Type != typ || e.Size != size || e.Mode != c.Mode || e.Target != c.Symlink || e.Path != path {
		t.Errorf("entry %+v, want type %d, size %d, mode %o, target %q", e, typ, size, c.Mode, c.Symlink)
	}
	if path == "" && len(seen) != len(table.Entries) {
		t.Errorf("%d entries, want %d", len(table.Entries), len(seen))
	}
}

// checkTable holds a table to what its types promise.
func checkTable(t *testing.T, table *Table) {
	t.Helper()
	seen, places := 0, 0
	for i, e := range table.Entries {
		off := int64(0)
		for j, s := range e.Spans {
			if s.Offset != off {
				t.Fatalf("%q: span %d at %d, want %d", e.Path, j, s.Offset, off)
			}
			off += int64(len(s.Inline))
			if s.Piece >= 0 {
				places++
				if s.Piece > seen {
					t.Fatalf("%q: piece %d before %d", e.Path, s.Piece, seen)
				}
				seen = max(seen, s.Piece+1)
				off += int64(table.Pieces[s.Piece].Payload)
				if !contains(table.Places(s.Piece), Place{i, s.Offset}) {
					t.Fatalf("%q: span %d is no place of piece %d", e.Path, j, s.Piece)
				}
			}
			if got := table.PieceAt(i, s.Offset); got != j {
				t.Fatalf("%q: PieceAt(%d) = %d, want %d", e.Path, s.Offset, got, j)
			}
			if got := table.PieceAt(i, off-1); got != j {
				t.Fatalf("%q: PieceAt(%d) = %d, want %d", e.Path, off-1, got, j)
			}
		}
		if e.Type == File && off != e.Size || table.PieceAt(i, e.Size) != -1 || table.PieceAt(i, -1) != -1 {
			t.Fatalf("%q: spans end at %d, size %d", e.Path, off, e.Size)
		}
	}
	for p := range table.Pieces {
		places -= len(table.Places(p))
	}
	if seen != len(table.Pieces) || places != 0 {
		t.Fatalf("%d pieces of which %d have a place, %d places too few", len(table.Pieces), seen, places)
	}
}

// contains is a binary search: places are in order.
func contains(places []Place, p Place) bool {
	i := sort.Search(len(places), func(i int) bool {
		return places[i].Entry > p.Entry || places[i].Entry == p.Entry && places[i].Offset >= p.Offset
	})
	return i < len(places) && places[i] == p
}

// TestBlockOrder: builders and trees agree on what depth-first is.
func TestBlockOrder(t *testing.T) {
	t.Parallel()
	leaves := manyLeaves(174*174 + 200)
	for _, p := range []Profile{UnixFSv1, UnixFSv0, kuboV1} {
		f := p.NewFile()
		for _, l := range leaves {
			f.Add(l)
		}
		l, want := f.Finish(0)
		tree := start(t, l.CID.String())
		feed(t, tree, built{l, want, nil})
		if got := tree.Blocks(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d blocks in another order than the %d built", p.Name(), len(got), len(want))
		}
	}
	x := build(t, UnixFSv1, content{Text: new("x")}).Link
	var entries []DirEntry
	for i := range 20000 {
		entries = append(entries, DirEntry{fmt.Sprint(i), x})
	}
	l, want, err := UnixFSv1.Directory(entries, 0)
	if err != nil {
		t.Fatal(err)
	}
	tree := start(t, l.CID.String())
	feed(t, tree, built{l, want, nil})
	if got := tree.Blocks(); !reflect.DeepEqual(got, want) {
		t.Errorf("directory: %d blocks in another order than the %d built", len(got), len(want))
	}
}
