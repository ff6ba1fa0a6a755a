package merkle

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
)

// FuzzDecode: whatever decode reads, boxo reads the same.
func FuzzDecode(f *testing.F) {
	for _, c := range []content{{Leaves: 3}, {Text: new("hello"), Mode: 0o755}, {Symlink: "x"}, {Many: 3, Each: "y"}, {Text: new("")}} {
		for _, b := range build(f, UnixFSv0, c).blocks {
			f.Add(b.Data)
		}
	}
	f.Add(UnixFSv0.Leaf([]byte("hello")).Block([]byte("hello")))
	for _, blocks := range foreignTrees(f) {
		for _, b := range blocks[:min(len(blocks), 4)] {
			f.Add(b.Data)
		}
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		n, err := decode(block)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrTooLarge) {
				t.Fatal(err)
			}
			return
		}
		agree(t, n)
	})
}

// foreignTrees are the blocks of the trees of TestForeign, the root first: what
// other tools make.
func foreignTrees(t testing.TB) [][]Block {
	t.Helper()
	files, err := filepath.Glob("testdata/foreign/*.car")
	if err != nil || len(files) == 0 {
		t.Fatalf("no foreign trees: %v", err)
	}
	var trees [][]Block
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, blocks, err := ReadCAR(bytes.NewReader(data), 0)
		if err != nil {
			t.Fatal(err)
		}
		trees = append(trees, blocks)
	}
	return trees
}

// TestDecodeAgreesWithBoxo is FuzzDecode on blocks that hold something.
func TestDecodeAgreesWithBoxo(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		if v.Content.Leaves > 1000 || v.Content.Many > 5000 || v.Content.Size != nil && *v.Content.Size > 1<<20 {
			continue
		}
		p, err := ProfileByName(v.Profile)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range build(t, p, v.Content).blocks {
			n, err := decode(b.Data)
			if err != nil {
				t.Fatal(err)
			}
			if !agree(t, n) {
				t.Errorf("boxo does not read a block of %q", v.Name)
			}
		}
	}
}

// agree holds n to what boxo reads in the same block; false if it refuses it.
func agree(t *testing.T, n node) bool {
	t.Helper()
	pb, err := merkledag.DecodeProtobuf(n.block)
	if err != nil {
		return false // dag-pb allows fewer orders and needs UTF-8 nowhere else
	}
	fs, err := unixfs.FSNodeFromBytes(pb.Data())
	if err != nil {
		return false
	}
	if !bytes.Equal(fs.Data(), n.data()) || uint64(fs.Type()) != n.typ || len(pb.Links()) != n.links {
		t.Fatalf("boxo reads %v with %d links and %d bytes, decode %d with %d and %d", fs.Type(), len(pb.Links()), len(fs.Data()), n.typ, n.links, len(n.data()))
	}
	if n.file() && !slices.Equal(fs.BlockSizes(), n.sizes) {
		t.Fatalf("boxo reads sizes %v, decode %v", fs.BlockSizes(), n.sizes)
	}
	if n.typ == typeShard && (fs.Fanout() != n.fanout || fs.HashType() != n.hashType) {
		t.Fatalf("boxo reads fanout %d, decode %d", fs.Fanout(), n.fanout)
	}
	if uint32(fs.Mode().Perm()) != n.mode&0o777 {
		t.Fatalf("boxo reads mode %o, decode %o", fs.Mode(), n.mode)
	}
	err = n.each(func(i int, l link) error {
		want := pb.Links()[i]
		hash := want.Cid.Bytes() // without what boxo passes over behind it, which parseRef refuses
		if string(l.name) != want.Name || !bytes.HasPrefix(l.hash, hash) || int64(want.Size) != int64(l.tsize) {
			t.Fatalf("boxo reads link %d as %v, decode %q %x %d", i, want, l.name, l.hash, l.tsize)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("boxo reads links that decode refuses: %v", err)
	}
	return true
}

// FuzzTree: any block as a root, with any second block at hand, breaks nothing,
// and what is complete has a sound table, whose blocks make the tree again.
func FuzzTree(f *testing.F) {
	two := build(f, UnixFSv1, content{Leaves: 1025}).blocks
	f.Add(two[0].Data, two[1].Data)
	deep, blocks := tower(two[0].link(f), 1, directoryOf("a", "b"))
	k, _ := KeyOf(deep.CID)
	f.Add(blocks[k], two[0].Data)
	for _, tree := range foreignTrees(f) {
		for i := range min(len(tree)-1, 3) {
			f.Add(tree[i].Data, tree[i+1].Data)
		}
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		root := keyOf(cid.DagProtobuf, a).CID()
		tree, err := NewTree(root)
		if err != nil {
			t.Fatal(err)
		}
		if tree.Add(a) != nil {
			return
		}
		if err := tree.Add(b); err != nil && !errors.Is(err, ErrMismatch) {
			return
		}
		table, err := tree.Table()
		if err != nil {
			if tree.Complete() && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) {
				t.Fatal(err)
			}
			return
		}
		checkTable(t, table)
		again, err := NewTree(root)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range tree.Blocks() {
			if err := again.Add(block.Data); err != nil {
				t.Fatal(err)
			}
		}
		if !again.Complete() {
			t.Fatalf("missing: %v", again.Missing(0))
		}
	})
}

func (b Block) link(t testing.TB) Link {
	n, err := decode(b.Data)
	if err != nil {
		t.Fatal(err)
	}
	return Link{CID: b.CID, Size: int64(n.filesize), Tsize: uint64(len(b.Data)) + n.filesize}
}

// FuzzBuild: any random directory, built by either profile, reads back as it was.
func FuzzBuild(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 0))
		p := []Profile{UnixFSv1, UnixFSv0, kuboV1, kuboWide}[rng.IntN(4)]
		want := map[string]int64{}
		b := randomTree(t, rng, p, "", 3, want)
		tree := start(t, b.CID.String())
		feed(t, tree, b)
		table, err := tree.Table()
		if err != nil {
			t.Fatal(err)
		}
		checkTable(t, table)
		for _, e := range table.Entries {
			size, ok := want[e.Path]
			if !ok || e.Type == File && size != e.Size {
				t.Fatalf("%q of %d, want %d, %v", e.Path, e.Size, size, ok)
			}
			s, err := Resolve(b.CID, e.Path)
			for err == nil && !s.Done {
				i := slices.IndexFunc(b.blocks, func(b Block) bool { return b.CID == s.CID })
				s, err = s.Take(b.blocks[i].Data)
			}
			if err != nil || s.CID != e.CID {
				t.Fatalf("%q resolves to %s, want %s, %v", e.Path, s.CID, e.CID, err)
			}
		}
		if len(want) != len(table.Entries) {
			t.Fatalf("%d entries, want %d", len(table.Entries), len(want))
		}
	})
}

func randomTree(t *testing.T, rng *rand.Rand, p Profile, path string, depth int, want map[string]int64) built {
	if depth == 0 || path != "" && rng.IntN(2) == 0 {
		size := []int{0, 1, 5, 300, 262145}[rng.IntN(5)]
		want[path] = int64(size)
		return build(t, p, content{Size: new(int64(size)), Seed: rng.Uint32(), Mode: []uint32{0, 0, 0o755}[rng.IntN(3)]})
	}
	want[path] = 0
	var out built
	var entries []DirEntry
	for range rng.IntN(6) {
		name := make([]byte, 1+rng.IntN(3))
		for i := range name {
			name[i] = "abc-é"[rng.IntN(6)]
		}
		below := string(name)
		if path != "" {
			below = path + "/" + below
		}
		if _, ok := want[below]; ok {
			continue
		}
		b := randomTree(t, rng, p, below, depth-1, want)
		entries = append(entries, DirEntry{string(name), b.Link})
		out.blocks = append(out.blocks, b.blocks...)
		out.leaves = append(out.leaves, b.leaves...)
	}
	if rng.IntN(5) == 0 { // enough names to be sharded
		x := build(t, p, content{Text: new("x")})
		out.leaves = append(out.leaves, x.leaves...)
		for i := range 2000 {
			name := string(bytes.Repeat([]byte{'n'}, 200)) + string(rune(0x4e00+i))
			entries = append(entries, DirEntry{name, x.Link})
			want[joined(path, name)] = 1
		}
	}
	l, blocks, err := p.Directory(entries, 0)
	if err != nil {
		t.Fatal(err)
	}
	out.Link, out.blocks = l, append(blocks, out.blocks...)
	return out
}

func joined(path, name string) string {
	if path == "" {
		return name
	}
	return path + "/" + name
}
