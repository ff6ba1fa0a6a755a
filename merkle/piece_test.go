package merkle

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
)

func pieceOf(l Leaf) Piece { return Piece{Key: l.Key, Size: l.Size, Payload: l.Payload} }

// TestPiece hashes, frames and rebuilds leaves of all kinds and sizes.
func TestPiece(t *testing.T) {
	t.Parallel()
	for _, p := range []Profile{UnixFSv1, UnixFSv0} {
		for _, size := range []int{1, 2, 127, 128, 129, 16383, 16384, p.LeafSize() - 1, p.LeafSize()} {
			payload := new(generator).fill(make([]byte, size))
			leaf := p.Leaf(payload)
			block := leaf.Block(payload)
			piece := pieceOf(leaf)
			got, err := piece.Verify(block)
			if err != nil || !bytes.Equal(got, payload) || &got[size-1] != &block[len(block)-1-suffix(piece)] {
				t.Fatalf("%s, %d bytes: %v, or a copy was made", p.Name(), size, err)
			}
			prefix, tail := piece.Frame()
			if !bytes.Equal(slices.Concat(prefix, payload, tail), block) {
				t.Errorf("%s, %d bytes: the frame is not that of the block", p.Name(), size)
			}
			if again, err := piece.Wrap(payload); err != nil || !bytes.Equal(again, block) {
				t.Errorf("%s, %d bytes: rebuilt wrong, %v", p.Name(), size, err)
			}
			for _, bad := range [][]byte{block[1:], append(bytes.Clone(block), 0), flip(block, 0), flip(block, len(block)-1)} {
				if _, err := piece.Verify(bad); !errors.Is(err, ErrMismatch) {
					t.Errorf("%s, %d bytes: a wrong block verifies, %v", p.Name(), size, err)
				}
			}
			for _, bad := range [][]byte{payload[1:], flip(payload, 0)} {
				if _, err := piece.Wrap(bad); !errors.Is(err, ErrMismatch) {
					t.Errorf("%s, %d bytes: a wrong payload is wrapped, %v", p.Name(), size, err)
				}
			}
		}
	}
}

func suffix(p Piece) int {
	_, s := p.Frame()
	return len(s)
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// TestVerifyTellsLies: a block with the right digest that is not what the tree
// says is the tree's fault.
func TestVerifyTellsLies(t *testing.T) {
	t.Parallel()
	leaf := UnixFSv0.Leaf([]byte("hello"))
	block := leaf.Block([]byte("hello"))
	piece := pieceOf(leaf)
	long := piece
	long.Size++
	if _, err := long.Verify(block); !errors.Is(err, ErrMismatch) {
		t.Errorf("a block of another size: %v", err)
	}
	piece.Payload = 4
	if _, err := piece.Verify(block); !errors.Is(err, ErrMalformed) || errors.Is(err, ErrMismatch) {
		t.Errorf("a wrong payload: %v", err)
	}
	for _, b := range []built{
		build(t, UnixFSv0, content{Leaves: 2}),
		build(t, UnixFSv0, content{Symlink: "x"}),
	} {
		k, _ := KeyOf(b.CID)
		block := b.blocks[0].Data
		if _, err := (Piece{Key: k, Size: len(block), Payload: 2}).Verify(block); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "it is a ") {
			t.Errorf("no leaf: %v", err)
		}
	}
	junk := []byte{0xff}
	if _, err := (Piece{Key: keyOf(cid.DagProtobuf, junk), Size: 1, Payload: 1}).Verify(junk); !errors.Is(err, ErrMalformed) {
		t.Errorf("junk: %v", err)
	}
}

// TestUnframeAnyOrder finds the payload wherever a writer put it.
func TestUnframeAnyOrder(t *testing.T) {
	t.Parallel()
	const payload = "the payload"
	typ := appendVarint(nil, dataType, typeFile)
	data := appendBytes(nil, dataData, []byte(payload))
	size := appendVarint(nil, dataFilesize, uint64(len(payload)))
	mtime := appendBytes(nil, dataMtime, appendVarint(nil, 1, 1700000000))
	later := appendBytes(nil, 99, []byte("later"))
	for i, parts := range [][][]byte{
		{typ, data, size}, {data, typ, size}, {size, later, data, typ}, {mtime, typ, size, data}, {later, size, typ, data, mtime}, {typ, data},
	} {
		block := appendBytes(nil, nodeData, slices.Concat(parts...))
		from, to, err := Unframe(keyOf(cid.DagProtobuf, block), block)
		if err != nil || string(block[from:to]) != payload {
			t.Errorf("order %d: block[%d:%d], %v", i, from, to, err)
		}
	}
	for i, block := range [][]byte{
		{},
		appendBytes(nil, nodeData, nil),
		appendBytes(nil, nodeData, slices.Concat(typ, data, data)),
		appendBytes(nil, nodeData, slices.Concat(typ, data, appendVarint(nil, dataFilesize, 3))),
		appendBytes(nil, nodeData, appendBytes(nil, dataType, []byte("x"))),
		appendBytes(nil, nodeData, slices.Concat(typ, appendVarint(nil, dataData, 7))),
		slices.Concat(appendBytes(nil, nodeData, typ), appendBytes(nil, nodeData, typ)),
		slices.Concat(appendBytes(nil, nodeData, typ), appendVarint(nil, 3, 1)),
		appendVarint(nil, nodeData, 1),
		appendBytes(nil, nodeData, slices.Concat(typ, data, size))[:20],
		appendBytes(nil, nodeData, append(slices.Clone(typ), 0x80)),
	} {
		if from, to, err := Unframe(Key{0: cid.DagProtobuf}, block); err == nil {
			t.Errorf("junk %d: block[%d:%d]", i, from, to)
		}
	}
}

// TestDecodeLinkRefuses names what is no link.
func TestDecodeLinkRefuses(t *testing.T) {
	t.Parallel()
	hash := appendBytes(nil, linkHash, keyOf(cid.Raw, nil).CID().Bytes())
	name, tsize := appendBytes(nil, linkName, []byte("a")), appendVarint(nil, linkTsize, 1)
	for i, b := range [][]byte{
		name,
		slices.Concat(hash, name, name),
		slices.Concat(hash, hash),
		slices.Concat(hash, tsize, tsize),
		slices.Concat(hash, appendVarint(nil, linkName, 1)),
		slices.Concat(hash, appendBytes(nil, linkTsize, []byte("a"))),
		slices.Concat(hash, appendVarint(nil, 4, 1)),
		hash[:9],
	} {
		if l, err := decodeLink(b); err == nil {
			t.Errorf("junk %d reads as %+v", i, l)
		}
	}
	if l, err := decodeLink(slices.Concat(tsize, name, hash)); err != nil || string(l.name) != "a" || l.tsize != 1 {
		t.Errorf("another order: %+v, %v", l, err)
	}
}

// TestCandidates tries the likeliest profile first.
func TestCandidates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		root string
		want []Profile
	}{
		{dirText, []Profile{UnixFSv1, kuboV1, kuboWide}},
		{"QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", []Profile{UnixFSv0}},
		{"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", []Profile{UnixFSv1}},
		{"bafkqabtimvwgy3yk", nil},
	} {
		if got := Candidates(start(t, c.root).rootCID); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.root, got, c.want)
		}
	}
	if (Profile{}) != UnixFSv1 || (Profile{}).Name() != "unixfs-v1-2025" || Candidates(cid.Undef) != nil {
		t.Error("the zero profile is not UnixFSv1")
	}
}

// TestModeWithoutSoleLeaf: the mode is kept, in a node above the leaf.
func TestModeWithoutSoleLeaf(t *testing.T) {
	t.Parallel()
	for _, p := range []Profile{UnixFSv1, UnixFSv0} {
		f, leaf := p.NewFile(), p.Leaf([]byte("x"))
		f.Add(leaf)
		l, blocks := f.Finish(0o755)
		tree := start(t, l.CID.String())
		feed(t, tree, built{l, blocks, []Leaf{leaf}})
		table, err := tree.Table()
		if err != nil || table.Entries[0].Mode != 0o755 || table.Size != 1 || len(table.Pieces) != 1 {
			t.Errorf("%s: %+v, %v", p.Name(), table, err)
		}
	}
}
