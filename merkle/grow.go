package merkle

import (
	"container/list"
	"fmt"
)

// frameMost is the first number of bytes around a payload that tells an
// interior node: a leaf has up to 17, a node with a sha2-256 link at least 40.
const frameMost = 32

// leafPart tells whether a dag-pb child of a file node is a leaf.
func leafPart(tsize, payload uint64) bool {
	return tsize >= payload && tsize < payload+frameMost && tsize <= MaxLeaf
}

// children wants what the node d, standing at depth, names. New wants go
// before the cursor, in order; at is where d stands if it is a shard.
func (t *Tree) children(d node, at shardAt, depth int, cursor *list.Element) error {
	if d.links == 0 {
		return nil
	}
	if depth+1 >= MaxDepth {
		return fmt.Errorf("%w: more than %d levels", ErrTooLarge, MaxDepth)
	}
	switch {
	case d.file():
		return t.parts(d, depth+1, cursor)
	case d.typ == typeDirectory:
		return t.entries(d, depth+1, cursor)
	case d.typ == typeShard:
		return t.shards(d, at, depth+1, cursor)
	}
	return nil
}

// parts wants the interior nodes below a file node.
func (t *Tree) parts(d node, depth int, cursor *list.Element) error {
	return d.each(func(i int, l link) error {
		size := d.sizes[i]
		if size == 0 { // it cannot matter
			return nil
		}
		r, err := parseRef(l.hash)
		if err != nil {
			return err
		}
		if !r.identity && (r.raw() || leafPart(l.tsize, size)) {
			if size > MaxLeaf {
				return fmt.Errorf("%w: leaf %s of %d bytes, at most %d can be fetched", ErrTooLarge, r.cid(), size, MaxLeaf)
			}
			t.leaves++
			return nil
		}
		return t.child(r, l.tsize, edge{role: asPart, size: size}, depth, cursor)
	})
}

// entries wants what a plain directory names.
func (t *Tree) entries(d node, depth int, cursor *list.Element) error {
	last, unsorted := "", false
	err := d.each(func(i int, l link) error {
		name := string(l.name)
		unsorted = unsorted || i > 0 && name <= last
		last = name
		return t.entry(name, l, depth, cursor)
	})
	if err != nil || !unsorted {
		return err
	}
	seen := make(map[string]bool, d.links)
	return d.each(func(_ int, l link) error {
		if seen[string(l.name)] {
			return fmt.Errorf("%w directory: %q is there twice", ErrMalformed, clip(string(l.name)))
		}
		seen[string(l.name)] = true
		return nil
	})
}

// shards wants what a shard names.
func (t *Tree) shards(d node, at shardAt, depth int, cursor *list.Element) error {
	width, _ := d.shardWidth()
	return d.eachChild(at, func(c shardChild) error {
		if c.name != "" {
			return t.entry(c.name, c.link, depth, cursor)
		}
		r, err := parseRef(c.hash)
		if err != nil {
			return err
		}
		return t.child(r, c.tsize, edge{role: asShard, at: at.below(c.index, width)}, depth, cursor)
	})
}

// entry wants what a directory names.
func (t *Tree) entry(name string, l link, depth int, cursor *list.Element) error {
	if err := checkName(name); err != nil {
		return err
	}
	r, err := parseRef(l.hash)
	if err == nil {
		err = t.child(r, l.tsize, edge{role: asEntry}, depth, cursor)
	}
	if err != nil {
		return fmt.Errorf("entry %q: %w", clip(name), err)
	}
	return nil
}

// child wants one block, unless it needs none: a raw leaf whose size is known,
// and content that stands in the CID.
func (t *Tree) child(r ref, tsize uint64, e edge, depth int, cursor *list.Element) error {
	switch {
	case r.identity:
		return t.inline(r, e, depth, cursor)
	case r.raw() && e.role == asShard:
		return fmt.Errorf("%w directory: its shard %s is a raw leaf", ErrMalformed, r.cid())
	case r.raw() && (tsize > 0 || r.key == emptyKey):
		if tsize > MaxLeaf {
			return fmt.Errorf("%w: leaf %s of %d bytes, at most %d can be fetched", ErrTooLarge, r.cid(), tsize, MaxLeaf)
		}
		t.leaves++
		return nil
	}
	n := t.nodes[r.key]
	if n == nil {
		return t.want(r, e, depth, cursor)
	}
	if n.place == nil {
		return n.check(e)
	}
	if n.edges[len(n.edges)-1] != e {
		n.edges = append(n.edges, e)
	}
	return nil
}

// want adds a missing node before the cursor, at the end without one.
func (t *Tree) want(r ref, e edge, depth int, cursor *list.Element) error {
	if len(t.nodes) >= MaxEntries {
		return fmt.Errorf("%w: more than %d nodes", ErrTooLarge, MaxEntries)
	}
	n := &treeNode{key: r.key, cid: r.cid(), depth: depth, edges: []edge{e}}
	if cursor == nil {
		n.place = t.missing.PushBack(n)
	} else {
		n.place = t.missing.InsertBefore(n, cursor)
	}
	t.nodes[r.key] = n
	return nil
}

// inline looks into a CID that holds its content.
func (t *Tree) inline(r ref, e edge, depth int, cursor *list.Element) error {
	d := node{typ: typeRaw, filesize: uint64(len(r.content))}
	if !r.raw() {
		var err error
		if d, err = decode(r.content); err != nil {
			return err
		}
	}
	n := treeNode{cid: r.cid(), typ: d.typ, size: d.filesize, at: e.at}
	if err := n.check(e); err != nil {
		return err
	}
	if r.raw() {
		return nil
	}
	return t.children(d, e.at, depth, cursor)
}
