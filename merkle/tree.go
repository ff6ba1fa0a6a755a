package merkle

import (
	"container/list"
	"crypto/sha256"
	"fmt"

	"github.com/ipfs/go-cid"
)

// Tree assembles the interior blocks of a root, verified from the root down:
// a block is taken only when its parent, or the root, named it. It is the
// owner's alone and has no lock.
//
// A block is interior when it is a directory, shard or symlink or a file node
// with links. Which dag-pb children of a file node are leaves, and so pieces
// that are fetched later, follows from the parent alone: a child is a leaf if
// its Tsize is less than 32 bytes above its payload, since a node with links
// has more around what it holds. What a directory or the root points at cannot
// be told before it is here, so it is loaded with the tree, leaf or not; a leaf
// among them is a piece like any other, and Table.Loaded has its block.
//
// Refused, as soon as the block is there that shows it: blocks, leaves and
// names above the limits, sizes that contradict each other, entries named "",
// ".", ".." or with "/" or NUL, names that are there twice or stand in the wrong
// shard, and what is neither UnixFS nor named by sha2-256 or the identity hash.
type Tree struct {
	root     ref
	rootCID  cid.Cid
	nodes    map[Key]*treeNode // present and missing
	missing  *list.List        // of *treeNode: the frontier, depth-first
	interior int               // bytes of interior blocks here
	loaded   int               // bytes of leaf blocks kept
	leaves   int               // links to leaves that need no block, in the blocks here
	broken   error             // what a block showed; the tree is of no use then
}

// treeNode is a block that the tree has or wants.
type treeNode struct {
	key    Key
	cid    cid.Cid // as the first link wrote it
	depth  int     // nodes above it on the way it was found first
	edges  []edge  // what parents said of it, while it is missing
	place  *list.Element
	block  []byte  // nil while missing, and of a leaf that is known without its block
	typ    uint64  // of a present node; typeRaw for a raw leaf
	leaf   bool    // present, and a piece (or without payload)
	size   uint64  // of a present file: its payload
	length int     // of a present leaf: bytes of its block
	mode   uint32  // of a present leaf
	at     shardAt // of a present shard
}

// edge is what a parent says of a child.
type edge struct {
	role role
	size uint64  // of a part: its payload
	at   shardAt // of a shard
}

type role uint8

const (
	asEntry role = iota // anything: the root, or a directory names it
	asPart              // of a file
	asShard             // of a directory
)

// NewTree starts a tree with nothing but its root's name. ErrUnsupported or
// ErrMalformed as in Parse. The tree of an identity root, and of the empty raw
// leaf, is complete at once.
func NewTree(root cid.Cid) (*Tree, error) {
	r, err := refOf(root)
	if err != nil {
		return nil, err
	}
	t := &Tree{root: r, rootCID: root, nodes: map[Key]*treeNode{}, missing: list.New()}
	return t, t.child(r, 0, edge{role: asEntry}, 0, nil)
}

// Missing returns the blocks wanted next, depth-first, at most max of them; all
// if max is 0 or less.
func (t *Tree) Missing(max int) []cid.Cid {
	n := t.missing.Len()
	if max > 0 {
		n = min(n, max)
	}
	cids := make([]cid.Cid, 0, n)
	for e := t.missing.Front(); e != nil && len(cids) < n; e = e.Next() {
		cids = append(cids, e.Value.(*treeNode).cid)
	}
	return cids
}

// Complete tells whether nothing is missing.
func (t *Tree) Complete() bool { return t.missing.Len() == 0 && t.broken == nil }

// Add takes a block and keeps it: the caller must not change it afterwards.
// ErrMismatch when nobody asked for it, which is its source's fault and changes
// nothing. Any other error is the tree's own fault, and every later call
// returns it too. A block that is here already is no error.
func (t *Tree) Add(block []byte) error {
	if t.broken != nil {
		return t.broken
	}
	if len(block) > MaxBlock {
		return fmt.Errorf("%w: a block of %d bytes, at most %d are allowed", ErrMismatch, len(block), MaxBlock)
	}
	digest := sha256.Sum256(block)
	known := false
	for _, codec := range []byte{cid.DagProtobuf, cid.Raw} {
		n := t.nodes[joinKey(codec, digest)]
		if n == nil {
			continue
		}
		known = true
		if n.place != nil {
			if err := t.fill(n, block); err != nil {
				t.broken = fmt.Errorf("block %s: %w", n.cid, err)
				return t.broken
			}
		}
	}
	if !known {
		return fmt.Errorf("%w: nobody asked for %s", ErrMismatch, joinKey(cid.DagProtobuf, digest))
	}
	return nil
}

// AddLeaf tells the tree that a missing block is this leaf, without its bytes.
// It is for who hashed the leaf himself and has its bytes elsewhere: nothing is
// verified. ErrMismatch when nobody asked for it.
func (t *Tree) AddLeaf(l Leaf) error {
	if t.broken != nil {
		return t.broken
	}
	n := t.nodes[l.Key]
	if n == nil {
		return fmt.Errorf("%w: nobody asked for %s", ErrMismatch, l.Key)
	}
	if n.place == nil {
		return nil
	}
	n.typ, n.leaf, n.size, n.length, n.mode = typeFile, true, uint64(l.Payload), l.Size, l.mode
	t.broken = t.settle(n)
	return t.broken
}

// fill makes a missing node present and wants its children in its place.
func (t *Tree) fill(n *treeNode, block []byte) error {
	d, err := n.read(block)
	if err != nil {
		return err
	}
	n.block, n.typ, n.leaf, n.size, n.length, n.mode = block, d.typ, d.leaf(), d.filesize, len(block), d.mode
	switch {
	case !n.leaf || n.size == 0:
		t.interior += len(block)
	case t.loaded+len(block) > MaxLoaded:
		n.block = nil // it is asked for again as a piece
	default:
		t.loaded += len(block)
	}
	if t.interior > MaxInterior {
		return fmt.Errorf("%w: more than %d bytes of interior blocks", ErrTooLarge, MaxInterior)
	}
	if d.typ == typeShard {
		n.at = n.edges[0].at
	}
	cursor := n.place
	if err := t.children(d, n.at, n.depth, cursor); err != nil {
		return err
	}
	return t.settle(n)
}

// read decodes the block of n.
func (n *treeNode) read(block []byte) (node, error) {
	if n.key[0] == cid.Raw {
		return node{block: block, typ: typeRaw, to: len(block), filesize: uint64(len(block))}, nil
	}
	return decode(block)
}

// settle ends n's being missing and holds it to what its parents said.
func (t *Tree) settle(n *treeNode) error {
	t.missing.Remove(n.place)
	n.place = nil
	for _, e := range n.edges {
		if err := n.check(e); err != nil {
			return err
		}
	}
	n.edges = nil
	return nil
}

// check holds a present node to what a parent says of it.
func (n *treeNode) check(e edge) error {
	file := n.typ == typeFile || n.typ == typeRaw
	switch {
	case e.role == asPart && !file:
		return fmt.Errorf("%w file: %s is a part of it and a node of type %d", ErrMalformed, n.cid, n.typ)
	case e.role == asPart && n.size != e.size:
		return fmt.Errorf("%w file: its part %s has %d bytes, the node above says %d", ErrMalformed, n.cid, n.size, e.size)
	case e.role == asShard && n.typ != typeShard:
		return fmt.Errorf("%w directory: its shard %s is a node of type %d", ErrMalformed, n.cid, n.typ)
	case n.typ == typeShard && n.at != e.at:
		return fmt.Errorf("%w directory: its shard %s stands in two places", ErrMalformed, n.cid)
	}
	return nil
}

// Blocks returns the blocks that are here, each once, depth-first, the root
// first: a new Tree that takes them in this order is as complete as this one,
// but for leaves known without their block. Those of a complete tree whose
// block is a piece are told by Table.Loaded.
func (t *Tree) Blocks() []Block {
	var blocks []Block
	seen := map[Key]bool{}
	stack := []ref{t.root}
	for len(stack) > 0 {
		r := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		d, ok := t.decoded(r)
		if !r.identity {
			if n := t.nodes[r.key]; ok && !seen[r.key] {
				seen[r.key] = true
				blocks = append(blocks, Block{n.cid, n.block})
			} else {
				continue
			}
		}
		if ok && d.links > 0 {
			at := len(stack)
			_ = d.each(func(_ int, l link) error { // it was read before
				if c, err := parseRef(l.hash); err == nil && (c.identity || t.nodes[c.key] != nil && !seen[c.key]) {
					stack = append(stack, c)
				}
				return nil
			})
			reverse(stack[at:])
		}
	}
	return blocks
}

func reverse(s []ref) {
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
}

// decoded reads the block of r again, if it is here.
func (t *Tree) decoded(r ref) (d node, ok bool) {
	if r.identity {
		if r.raw() {
			return node{}, false
		}
		d, err := decode(r.content)
		return d, err == nil
	}
	n := t.nodes[r.key]
	if n == nil || n.block == nil {
		return node{}, false
	}
	d, err := n.read(n.block)
	return d, err == nil
}
