package merkle

import "fmt"

// Table lists the entries and pieces of a complete tree. A tree names the same
// node as often as it likes, so its table may be larger than itself, up to
// MaxEntries, MaxSpans and MaxPaths: ErrTooLarge then. ErrMalformed when two
// places of a leaf contradict each other.
func (t *Tree) Table() (*Table, error) {
	if t.broken != nil {
		return nil, t.broken
	}
	if !t.Complete() {
		return nil, fmt.Errorf("tree of %s: blocks missing: %d", t.rootCID, t.missing.Len())
	}
	// Room for what the links say, which is right when no node is named twice.
	pieces, entries := min(t.leaves+len(t.nodes), MaxPieces), min(len(t.nodes), MaxEntries)
	x := &expansion{
		tree: t,
		out: &Table{Root: t.rootCID, loaded: map[int][]byte{},
			Pieces: make([]Piece, 0, pieces), Entries: make([]Entry, 0, entries)},
		numbers: make(map[Key]int32, pieces),
		spans:   make([]Span, 0, pieces),
	}
	if err := x.entry("", t.root, 0, 0); err != nil {
		return nil, err
	}
	for i, e := range x.out.Entries { // only now does the slice not move any more
		if e.Type == File {
			x.out.Entries[i].Spans = x.spans[x.from[i]:x.to[i]:x.to[i]]
		}
	}
	x.out.Size = x.out.Entries[0].Size
	x.out.index()
	return x.out, nil
}

// expansion walks a complete tree as often as it names its nodes.
type expansion struct {
	tree     *Tree
	out      *Table
	numbers  map[Key]int32 // of pieces
	spans    []Span
	from, to []int // spans of each entry
	paths    int   // bytes of all paths
	visits   int   // nodes walked
}

// entry appends what a directory, or the root, names, and all below it.
func (x *expansion) entry(path string, r ref, tsize uint64, depth int) error {
	i := len(x.out.Entries)
	if x.paths += len(path); x.paths > MaxPaths {
		return fmt.Errorf("%w: paths of more than %d bytes", ErrTooLarge, MaxPaths)
	}
	if i >= MaxEntries {
		return fmt.Errorf("%w: more than %d entries", ErrTooLarge, MaxEntries)
	}
	x.out.Entries = append(x.out.Entries, Entry{Path: path, CID: r.cid()})
	x.from, x.to = append(x.from, len(x.spans)), append(x.to, len(x.spans))
	size, err := x.fill(i, r, tsize, depth)
	if err != nil {
		return err
	}
	x.out.Entries[i].Size = size
	if x.out.Entries[i].Type == File {
		x.to[i] = len(x.spans)
	}
	return nil
}

// fill sets the rest of entry i and returns its payload.
func (x *expansion) fill(i int, r ref, tsize uint64, depth int) (int64, error) {
	e := &x.out.Entries[i]
	if r.raw() {
		n := x.tree.nodes[r.key]
		switch {
		case r.identity:
			return int64(len(r.content)), x.inline(0, r.content)
		case n != nil && n.place == nil: // loaded, so its size is the true one
			return int64(n.size), x.leaf(0, r.key, n)
		}
		return int64(tsize), x.piece(0, Piece{Key: r.key, Size: int(tsize), Payload: int(tsize)})
	}
	if n := x.tree.nodes[r.key]; !r.identity && n.leaf {
		e.Mode = n.mode
		return int64(n.size), x.leaf(0, r.key, n)
	}
	d, err := x.node(r, depth)
	if err != nil {
		return 0, err
	}
	e.Mode = d.mode
	switch d.typ {
	case typeSymlink:
		e.Type, e.Target = Symlink, string(d.data())
		return 0, nil
	case typeDirectory, typeShard:
		e.Type = Directory
		return x.directory(e.Path, d, shardAt{}, depth)
	}
	return int64(d.filesize), x.file(d, 0, depth)
}

// node reads the node of r, which is here, and counts the visit.
func (x *expansion) node(r ref, depth int) (node, error) {
	if x.visits++; x.visits > MaxEntries+MaxSpans || depth >= MaxDepth {
		return node{}, fmt.Errorf("%w: %d nodes on all ways from the root, at most %d in %d levels can be read",
			ErrTooLarge, x.visits, MaxEntries+MaxSpans, MaxDepth)
	}
	d, ok := x.tree.decoded(r)
	if !ok {
		panic("merkle: a complete tree lacks " + r.cid().String())
	}
	return d, nil
}

// directory appends the entries of a directory or shard and returns their payload.
func (x *expansion) directory(path string, d node, at shardAt, depth int) (size int64, err error) {
	add := func(name string, l link) error {
		r, err := parseRef(l.hash)
		if err != nil {
			return err
		}
		if path != "" {
			name = path + "/" + name
		}
		i := len(x.out.Entries)
		if err := x.entry(name, r, l.tsize, depth+1); err != nil {
			return err
		}
		size += x.out.Entries[i].Size
		return nil
	}
	if d.typ == typeDirectory {
		err = d.each(func(_ int, l link) error { return add(string(l.name), l) })
		return size, err
	}
	width, _ := d.shardWidth()
	err = d.eachChild(at, func(c shardChild) error {
		if c.name != "" {
			return add(c.name, c.link)
		}
		r, err := parseRef(c.hash)
		if err != nil {
			return err
		}
		sub, err := x.node(r, depth+1)
		if err != nil {
			return err
		}
		below, err := x.directory(path, sub, at.below(c.index, width), depth+1)
		size += below
		return err
	})
	return size, err
}

// file appends the spans of a file node at off.
func (x *expansion) file(d node, off int64, depth int) error {
	if err := x.inline(off, d.data()); err != nil {
		return err
	}
	off += int64(len(d.data()))
	return d.each(func(i int, l link) error {
		size := d.sizes[i]
		if size == 0 {
			return nil
		}
		r, err := parseRef(l.hash)
		if err == nil {
			err = x.part(r, l.tsize, size, off, depth+1)
		}
		off += int64(size)
		return err
	})
}

// part appends the spans of one child of a file node.
func (x *expansion) part(r ref, tsize, size uint64, off int64, depth int) error {
	switch {
	case r.identity && r.raw():
		return x.inline(off, r.content)
	case r.identity:
	case r.raw():
		return x.piece(off, Piece{Key: r.key, Size: int(size), Payload: int(size)})
	case leafPart(tsize, size):
		return x.piece(off, Piece{Key: r.key, Size: int(tsize), Payload: int(size)})
	case x.tree.nodes[r.key].leaf:
		return x.leaf(off, r.key, x.tree.nodes[r.key])
	}
	d, err := x.node(r, depth)
	if err != nil {
		return err
	}
	return x.file(d, off, depth)
}

// leaf appends a leaf that the tree knows.
func (x *expansion) leaf(off int64, k Key, n *treeNode) error {
	if n.size == 0 {
		return nil
	}
	if n.length > MaxLeaf {
		return fmt.Errorf("%w: leaf %s of %d bytes, at most %d can be fetched", ErrTooLarge, k, n.length, MaxLeaf)
	}
	if err := x.piece(off, Piece{Key: k, Size: n.length, Payload: int(n.size)}); err != nil {
		return err
	}
	number := int(x.numbers[k])
	x.out.Pieces[number].mode = n.mode
	if n.block != nil {
		x.out.loaded[number] = n.block
	}
	return nil
}

// inline appends bytes that the tree holds itself.
func (x *expansion) inline(off int64, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	return x.span(Span{Offset: off, Piece: -1, Inline: data})
}

// piece appends a leaf and numbers it if it is new.
func (x *expansion) piece(off int64, p Piece) error {
	if p.Payload == 0 { // the empty leaf
		return nil
	}
	number, ok := x.numbers[p.Key]
	if !ok {
		number = int32(len(x.out.Pieces))
		if number >= MaxPieces {
			return fmt.Errorf("%w: more than %d pieces", ErrTooLarge, MaxPieces)
		}
		x.numbers[p.Key] = number
		x.out.Pieces = append(x.out.Pieces, p)
	}
	if was := x.out.Pieces[number]; was.Size != p.Size || was.Payload != p.Payload {
		return fmt.Errorf("%w tree: leaf %s has %d bytes with %d of the file in one place, %d with %d in another",
			ErrMalformed, p.Key, was.Size, was.Payload, p.Size, p.Payload)
	}
	return x.span(Span{Offset: off, Piece: int(number)})
}

func (x *expansion) span(s Span) error {
	if len(x.spans) >= MaxSpans {
		return fmt.Errorf("%w: more than %d spans", ErrTooLarge, MaxSpans)
	}
	x.spans = append(x.spans, s)
	return nil
}
