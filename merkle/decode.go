package merkle

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// node is a dag-pb block read as UnixFS. It keeps no copy: its fields are
// places in block. TestDecodeAgreesWithBoxo holds the reader to boxo's.
type node struct {
	block    []byte
	links    int      // how many; read them with each
	typ      uint64   // typeRaw to typeShard
	from, to int      // block[from:to] is the UnixFS Data field; empty if there is none
	filesize uint64   // of a file: its payload
	sized    bool     // filesize is present
	sizes    []uint64 // of a file: the payload of each link
	hashType uint64   // of a shard
	fanout   uint64   // of a shard
	mode     uint32   // permission bits, 0 if none
}

// link is one link of a node.
type link struct {
	hash  []byte
	name  []byte
	tsize uint64 // 0 if absent
}

// maxFilesize bounds sizes in a tree so that their sums cannot overflow.
const maxFilesize = 1 << 53

// leaf tells whether n is a file that holds all of itself.
func (n node) leaf() bool { return n.links == 0 && (n.typ == typeFile || n.typ == typeRaw) }

func (n node) file() bool { return n.typ == typeFile || n.typ == typeRaw }

// data is the UnixFS Data field.
func (n node) data() []byte { return n.block[n.from:n.to:n.to] }

func (n node) kind() string {
	switch n.typ {
	case typeDirectory, typeShard:
		return "directory"
	case typeSymlink:
		return "symlink"
	}
	return "file"
}

// decode reads a dag-pb block and the UnixFS node in it. The fields may come in
// any order: dag-pb asks for links first, IPIP-550 lets writers put data first.
func decode(block []byte) (node, error) {
	n := node{block: block}
	found := false
	err := fields(block, func(f protowire.Number, typ protowire.Type, at int, v []byte) error {
		switch {
		case typ != protowire.BytesType || f != nodeData && f != nodeLinks:
			return fmt.Errorf("field %d is none of dag-pb", f)
		case f == nodeLinks:
			n.links++
			return nil
		case found:
			return fmt.Errorf("two data fields")
		}
		found = true
		return n.unixfs(v, at)
	})
	if err != nil {
		return node{}, fmt.Errorf("%w dag-pb block: %w", ErrMalformed, err)
	}
	if !found {
		return node{}, fmt.Errorf("%w: dag-pb block without UnixFS data: only files and directories can be fetched", ErrUnsupported)
	}
	return n, n.check()
}

// unixfs reads the UnixFS message v, which stands at block[at:].
func (n *node) unixfs(v []byte, at int) error {
	typed := false
	n.from, n.to = at, at
	err := fields(v, func(f protowire.Number, typ protowire.Type, off int, v []byte) error {
		switch {
		case f == dataType:
			typed = true
		case f == dataData && typ == protowire.BytesType && n.from == n.to:
			n.from, n.to = at+off, at+off+len(v)
			return nil
		case f == dataBlocksizes && typ == protowire.BytesType:
			return n.packedSizes(v)
		case f >= dataMtime: // times are not kept, newer fields not known
			return nil
		}
		if typ != protowire.VarintType || f == dataData {
			return fmt.Errorf("UnixFS field %d doubled or of wrong type", f)
		}
		n.number(f, v)
		return nil
	})
	if err == nil && !typed {
		return fmt.Errorf("UnixFS node without type")
	}
	return err
}

// number reads a UnixFS field that is a number.
func (n *node) number(f protowire.Number, v []byte) {
	x, _ := protowire.ConsumeVarint(v)
	switch f {
	case dataType:
		n.typ = x
	case dataFilesize:
		n.filesize, n.sized = x, true
	case dataBlocksizes:
		n.sizes = append(n.sizes, x)
	case dataHashType:
		n.hashType = x
	case dataFanout:
		n.fanout = x
	case dataMode:
		n.mode = uint32(x) & 0o7777
	}
}

func (n *node) packedSizes(v []byte) error {
	for len(v) > 0 {
		x, m := protowire.ConsumeVarint(v)
		if m < 0 {
			return protowire.ParseError(m)
		}
		n.sizes = append(n.sizes, x)
		v = v[m:]
	}
	return nil
}

// check holds n to what its type promises, as far as one block can show it.
func (n *node) check() error {
	switch n.typ {
	case typeFile, typeRaw:
		return n.checkFile()
	case typeDirectory:
		return nil
	case typeShard:
		return n.checkShard()
	case typeSymlink:
		if n.links > 0 || n.to-n.from == 0 || n.to-n.from > MaxName {
			return fmt.Errorf("%w symlink: %d links and a target of %d bytes; want no links and 1 to %d bytes", ErrMalformed, n.links, n.to-n.from, MaxName)
		}
		return nil
	}
	return fmt.Errorf("%w: UnixFS node of type %d: only files, directories and symlinks can be fetched", ErrUnsupported, n.typ)
}

// checkFile finds sizes that contradict each other, and fills in a missing filesize.
func (n *node) checkFile() error {
	if len(n.sizes) != n.links {
		return fmt.Errorf("%w file node: %d links and %d sizes for them", ErrMalformed, n.links, len(n.sizes))
	}
	sum := uint64(n.to - n.from)
	for _, s := range n.sizes {
		if s > maxFilesize || sum > maxFilesize {
			return fmt.Errorf("%w: file of more than %d bytes", ErrTooLarge, uint64(maxFilesize))
		}
		sum += s
	}
	if n.sized && n.filesize != sum {
		return fmt.Errorf("%w file node: it says %d bytes, its parts have %d", ErrMalformed, n.filesize, sum)
	}
	n.filesize = sum
	return nil
}

// each reads the links in stored order until f returns an error, which it returns.
func (n node) each(f func(i int, l link) error) error {
	i := 0
	return fields(n.block, func(num protowire.Number, _ protowire.Type, _ int, v []byte) error {
		if num != nodeLinks {
			return nil
		}
		l, err := decodeLink(v)
		if err != nil {
			return fmt.Errorf("%w dag-pb link %d: %w", ErrMalformed, i, err)
		}
		err = f(i, l)
		i++
		return err
	})
}

func decodeLink(b []byte) (l link, err error) {
	var seen [linkTsize + 1]bool
	err = fields(b, func(f protowire.Number, typ protowire.Type, _ int, v []byte) error {
		want := protowire.BytesType
		if f == linkTsize {
			want = protowire.VarintType
		}
		if f < linkHash || f > linkTsize || typ != want || seen[f] {
			return fmt.Errorf("field %d is unknown, doubled or of wrong type", f)
		}
		seen[f] = true
		switch f {
		case linkHash:
			l.hash = v
		case linkName:
			l.name = v
		case linkTsize:
			l.tsize, _ = protowire.ConsumeVarint(v)
		}
		return nil
	})
	if err == nil && !seen[linkHash] {
		err = fmt.Errorf("no hash")
	}
	return l, err
}

// fields calls f with each field of a protobuf message: its number and wire
// type, and its value, for bytes without the length, which stands at b[at:].
func fields(b []byte, f func(n protowire.Number, typ protowire.Type, at int, v []byte) error) error {
	for at := 0; at < len(b); {
		num, typ, m := protowire.ConsumeTag(b[at:])
		if m < 0 {
			return protowire.ParseError(m)
		}
		at += m
		size := protowire.ConsumeFieldValue(num, typ, b[at:])
		if size < 0 {
			return protowire.ParseError(size)
		}
		v, skip := b[at:at+size], 0
		if typ == protowire.BytesType {
			v, _ = protowire.ConsumeBytes(v)
			skip = size - len(v)
		}
		if err := f(num, typ, at+skip, v); err != nil {
			return err
		}
		at += size
	}
	return nil
}
