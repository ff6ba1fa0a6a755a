package merkle

import (
	"github.com/ipfs/go-cid"
	"google.golang.org/protobuf/encoding/protowire"
)

// Link is a finished node as its parent names it.
type Link struct {
	CID   cid.Cid
	Size  int64  // payload bytes of the file, 0 for directories and symlinks
	Tsize uint64 // bytes of all blocks at and below the node, as dag-pb counts them
}

// Block is one block of a tree and its name.
type Block struct {
	CID  cid.Cid
	Data []byte
}

// FileBuilder makes a file's tree from its leaves, in order. It holds one
// unfinished node per level, so links of at most depth times width leaves,
// besides the blocks it has made. The layout is the balanced one of IPIP-499:
// all leaves stand at one depth.
type FileBuilder struct {
	p      Profile
	s      shape
	levels []level // levels[0] holds leaves
	first  Leaf    // kept because a file of one leaf is that leaf
	count  int
}

// level is an unfinished node.
type level struct {
	links  []byte // encoded
	sizes  []byte // encoded UnixFS blocksizes
	count  int
	size   uint64  // payload below
	tsize  uint64  // bytes of the blocks below
	last   Link    // the only link, if count is 1
	blocks []Block // interior blocks below, depth-first
}

// NewFile starts a file.
func (p Profile) NewFile() *FileBuilder {
	return &FileBuilder{p: p, s: p.shape(), levels: make([]level, 1)}
}

// Add appends a leaf. A leaf without payload must be the only one.
func (b *FileBuilder) Add(l Leaf) {
	if b.count++; b.count == 1 {
		b.first = l
	}
	b.push(0, Link{CID: l.CID, Size: int64(l.Payload), Tsize: uint64(l.Size)}, nil)
}

// push adds a finished node to level i, closing that level's node before if it is full.
func (b *FileBuilder) push(i int, l Link, blocks []Block) {
	if i == len(b.levels) {
		b.levels = append(b.levels, level{})
	}
	if b.levels[i].count == b.s.width {
		up, done := b.close(i, 0)
		b.push(i+1, up, done)
	}
	v := &b.levels[i]
	v.links = appendLink(v.links, l.CID.Bytes(), "", l.Tsize)
	v.sizes = appendVarint(v.sizes, dataBlocksizes, uint64(l.Size))
	v.count++
	v.size += uint64(l.Size)
	v.tsize += l.Tsize
	v.last = l
	v.blocks = append(v.blocks, blocks...)
}

// close makes the node of level i, and empties the level.
func (b *FileBuilder) close(i int, mode uint32) (Link, []Block) {
	v := &b.levels[i]
	data := appendVarint(nil, dataType, typeFile)
	data = appendVarint(data, dataFilesize, v.size)
	data = append(data, v.sizes...)
	data = appendMode(data, mode)
	out := make([]byte, 0, len(v.links)+1+protowire.SizeBytes(len(data)))
	root := b.s.block(appendBytes(append(out, v.links...), nodeData, data))
	l := Link{CID: root.CID, Size: int64(v.size), Tsize: v.tsize + uint64(len(root.Data))}
	blocks := append([]Block{root}, v.blocks...)
	*v = level{links: v.links[:0], sizes: v.sizes[:0]}
	return l, blocks
}

// Finish returns the file's root and its interior blocks, depth-first, the root
// among them. A file of one leaf is that leaf: there are no blocks then, unless
// the leaf is the dag-pb leaf without payload, which no piece brings. Mode 0
// names none. A file of one leaf has its mode by SoleLeaf; if it was hashed by
// Leaf, a node that has the mode is put above it, which is right UnixFS but has
// not the CID that other tools compute.
func (b *FileBuilder) Finish(mode uint32) (Link, []Block) {
	if b.count == 0 {
		b.Add(b.p.SoleLeaf(nil, mode))
	}
	if b.count == 1 && b.first.mode == mode {
		return b.sole()
	}
	for i := 0; ; i++ {
		if i == len(b.levels)-1 { // only the top has no level above to push to
			return b.close(i, mode)
		}
		up, blocks := b.close(i, 0)
		b.push(i+1, up, blocks)
	}
}

// sole is the file of one leaf.
func (b *FileBuilder) sole() (Link, []Block) {
	l := Link{CID: b.first.CID, Size: int64(b.first.Payload), Tsize: uint64(b.first.Size)}
	if b.first.Payload > 0 || b.first.Key[0] == cid.Raw {
		return l, nil
	}
	return l, []Block{{CID: l.CID, Data: b.first.Block(nil)}}
}
