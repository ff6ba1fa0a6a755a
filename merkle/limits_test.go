package merkle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// files of n bytes each, all different, as one directory's entries, and their leaves.
func manyFiles(p Profile, n, size int) (entries []DirEntry, leaves [][]byte) {
	for i := range n {
		payload := make([]byte, size)
		binary.BigEndian.PutUint32(payload, uint32(i))
		f := p.NewFile()
		l := p.Leaf(payload)
		f.Add(l)
		link, _ := f.Finish(0)
		entries = append(entries, DirEntry{fmt.Sprintf("%05d", i), link})
		leaves = append(leaves, l.Block(payload))
	}
	return entries, leaves
}

// TestLoadedIsBounded loads a directory of dag-pb leaves with more bytes than
// MaxLoaded: the tree completes, keeps some of them, and has them all as pieces.
func TestLoadedIsBounded(t *testing.T) {
	t.Parallel()
	const n, size = 300, 256 << 10
	entries, leaves := manyFiles(UnixFSv0, n, size)
	root, blocks, err := UnixFSv0.Directory(entries, 0)
	if err != nil {
		t.Fatal(err)
	}
	tree := start(t, root.CID.String())
	if err := tree.Add(blocks[0].Data); err != nil {
		t.Fatal(err)
	}
	if got := len(tree.Missing(0)); got != n {
		t.Fatalf("%d blocks missing, want %d", got, n)
	}
	if got := len(tree.Missing(7)); got != 7 {
		t.Fatalf("%d blocks missing, want 7", got)
	}
	for _, b := range leaves {
		if err := tree.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	table, err := tree.Table()
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for i, p := range table.Pieces {
		if b := table.Loaded(i); b != nil {
			kept += len(b)
		}
		if _, err := p.Verify(leaves[i]); err != nil {
			t.Fatal(err)
		}
	}
	if kept > MaxLoaded || kept < MaxLoaded-size-100 || len(table.Pieces) != n || table.Size != n*size {
		t.Errorf("%d bytes kept of %d pieces with %d bytes", kept, len(table.Pieces), table.Size)
	}
	if got := len(tree.Blocks()); got != 1+kept/len(leaves[0]) {
		t.Errorf("%d blocks", got)
	}
}

// tower is a tree of levels nodes, each of which wrap makes around the one below.
func tower(bottom Link, levels int, wrap func(Link) (Link, Block)) (Link, map[Key][]byte) {
	blocks := map[Key][]byte{}
	for range levels {
		var b Block
		bottom, b = wrap(bottom)
		k, _ := KeyOf(b.CID)
		blocks[k] = b.Data
	}
	return bottom, blocks
}

func directoryOf(names ...string) func(Link) (Link, Block) {
	return func(l Link) (Link, Block) {
		var entries []DirEntry
		for _, n := range names {
			entries = append(entries, DirEntry{n, l})
		}
		l, blocks, err := UnixFSv1.Directory(entries, 0)
		if err != nil {
			panic(err)
		}
		return l, blocks[0]
	}
}

// fileOf makes a file node with n links to one child.
func fileOf(n int) func(Link) (Link, Block) {
	return func(l Link) (Link, Block) {
		b := &FileBuilder{s: UnixFSv1.shape(), levels: make([]level, 1)}
		for range n {
			b.push(0, l, nil)
		}
		l, blocks := b.close(0, 0)
		return l, blocks[0]
	}
}

// TestBombs holds trees that name the same nodes again and again to the limits.
func TestBombs(t *testing.T) {
	t.Parallel()
	leaf := build(t, UnixFSv1, content{Text: new("x")}).Link
	long := strings.Repeat("n", MaxName)
	for _, c := range []struct {
		name   string
		levels int
		wrap   func(Link) (Link, Block)
		want   error
		large  bool
	}{
		{"directories that double", 40, directoryOf("a", "b"), ErrTooLarge, true},
		{"files that double", 40, fileOf(2), ErrTooLarge, true},
		{"a file of 2^60 bytes", 60, fileOf(2), ErrTooLarge, false},
		{"wide files", 3, fileOf(1000), ErrTooLarge, true},
		{"directories of one", MaxDepth + 10, directoryOf("a"), ErrTooLarge, false},
		{"files of one", MaxDepth + 10, fileOf(1), ErrTooLarge, false},
		{"directories within depth", MaxDepth - 1, directoryOf("a"), nil, false},
		{"files within depth", MaxDepth - 1, fileOf(1), nil, false},
		{"long paths", 20, directoryOf(long, "a"), ErrTooLarge, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && c.large {
				t.Skip("takes a table to its limit")
			}
			root, blocks := tower(leaf, c.levels, c.wrap)
			tree := start(t, root.CID.String())
			var err error
			for err == nil && !tree.Complete() {
				k, _ := KeyOf(tree.Missing(1)[0])
				err = tree.Add(blocks[k])
			}
			if c.levels > MaxDepth && tree.Complete() {
				t.Error("all of it was loaded before its depth was looked at")
			}
			if err == nil {
				_ = tree.Blocks()
				_, err = tree.Table()
			}
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if _, again := tree.Table(); c.want != nil && !errors.Is(again, c.want) {
				t.Errorf("later: %v", again)
			}
		})
	}
}

// TestDepthByDetour: a node found near the root may stand deep on another way.
func TestDepthByDetour(t *testing.T) {
	t.Parallel()
	leaf := build(t, UnixFSv1, content{Text: new("x")}).Link
	var entries []DirEntry
	blocks := map[Key][]byte{}
	l := leaf
	for i := range 2 * MaxDepth {
		var b Block
		l, b = directoryOf("a")(l)
		k, _ := KeyOf(b.CID)
		blocks[k] = b.Data
		entries = append(entries, DirEntry{fmt.Sprintf("%03d", i), l})
	}
	root, list, err := UnixFSv1.Directory(entries, 0)
	if err != nil {
		t.Fatal(err)
	}
	k, _ := KeyOf(root.CID)
	blocks[k] = list[0].Data
	tree := start(t, root.CID.String())
	for !tree.Complete() {
		k, _ := KeyOf(tree.Missing(1)[0])
		if err := tree.Add(blocks[k]); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(tree.Blocks()); got != 2*MaxDepth+1 {
		t.Errorf("%d blocks", got)
	}
	if _, err := tree.Table(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

// TestTooManyPieces counts distinct leaves.
func TestTooManyPieces(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a million leaves")
	}
	f := UnixFSv1.NewFile()
	for i := range MaxPieces + 1 {
		k := Key{0: 0x55}
		binary.BigEndian.PutUint32(k[1:], uint32(i))
		f.Add(Leaf{Key: k, CID: k.CID(), Payload: 1, Size: 1})
	}
	l, blocks := f.Finish(0)
	tree := start(t, l.CID.String())
	feed(t, tree, built{l, blocks, nil})
	if _, err := tree.Table(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

// TestDirectoryRefuses names what no directory can hold.
func TestDirectoryRefuses(t *testing.T) {
	t.Parallel()
	leaf := build(t, UnixFSv1, content{Text: new("x")}).Link
	for _, names := range [][]string{{""}, {"."}, {".."}, {"a/b"}, {"a\x00"}, {strings.Repeat("n", MaxName+1)}, {"a", "b", "a"}} {
		var entries []DirEntry
		for _, n := range names {
			entries = append(entries, DirEntry{n, leaf})
		}
		if _, _, err := UnixFSv1.Directory(entries, 0); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.20q: %v", names, err)
		}
	}
	if _, err := ProfileByName("unixfs-v9"); err == nil || !strings.Contains(err.Error(), "use unixfs-v1-2025 or unixfs-v0-2015") {
		t.Errorf("unknown profile: %v", err)
	}
}

// TestInteriorIsBounded loads file nodes that hold data beside a link.
func TestInteriorIsBounded(t *testing.T) {
	t.Parallel()
	const size = MaxBlock - 200
	leaf := build(t, UnixFSv1, content{Text: new("x")}).Link
	var entries []DirEntry
	blocks := map[Key][]byte{}
	for i := range MaxInterior/size + 1 {
		data := make([]byte, size)
		data[0] = byte(i)
		u := appendBytes(appendVarint(nil, dataType, typeFile), dataData, data)
		u = appendVarint(appendVarint(u, dataFilesize, size+1), dataBlocksizes, 1)
		b := UnixFSv1.shape().block(appendBytes(appendLink(nil, leaf.CID.Bytes(), "", 1), nodeData, u))
		k, _ := KeyOf(b.CID)
		blocks[k] = b.Data
		entries = append(entries, DirEntry{fmt.Sprintf("%02d", i), Link{CID: b.CID, Tsize: uint64(len(b.Data)) + 1}})
	}
	root, list, err := UnixFSv1.Directory(entries, 0)
	if err != nil {
		t.Fatal(err)
	}
	k, _ := KeyOf(root.CID)
	blocks[k] = list[0].Data
	tree := start(t, root.CID.String())
	for err == nil && !tree.Complete() {
		k, _ := KeyOf(tree.Missing(1)[0])
		err = tree.Add(blocks[k])
	}
	if !errors.Is(err, ErrTooLarge) || tree.Complete() {
		t.Errorf("got %v", err)
	}
	if _, again := tree.Table(); again != err || tree.AddLeaf(Leaf{}) != err {
		t.Errorf("later: %v", again)
	}
}
