package merkle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// DirEntry is a name in a directory and what it names.
type DirEntry struct {
	Name string
	Link Link
}

// shardThreshold is the largest plain directory, in bytes as the profile counts
// them. A directory of more is sharded (IPIP-499, "HAMT threshold behavior").
const shardThreshold = 256 << 10

// Directory makes a directory of entries, in any order, and its blocks, the
// root first and depth-first. Large directories become HAMT shards where the
// profile says so. mode 0 names none. ErrMalformed for a name that no directory
// can have (see Tree) or that is there twice, ErrTooLarge for a block above
// MaxBlock or names that cannot be told apart by their hash. entries is not changed.
func (p Profile) Directory(entries []DirEntry, mode uint32) (Link, []Block, error) {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b DirEntry) int { return cmp.Compare(a.Name, b.Name) })
	for i, e := range sorted {
		if err := checkName(e.Name); err != nil {
			return Link{}, nil, err
		}
		if i > 0 && e.Name == sorted[i-1].Name {
			return Link{}, nil, fmt.Errorf("%w directory: %q is there twice", ErrMalformed, clip(e.Name))
		}
	}
	s := p.shape()
	if s.directorySize(sorted, mode) > shardThreshold {
		return s.shardedDirectory(sorted, mode)
	}
	var links []byte
	tsize := uint64(0)
	for _, e := range sorted {
		links = appendLink(links, e.Link.CID.Bytes(), e.Name, e.Link.Tsize)
		tsize += e.Link.Tsize
	}
	data := appendMode(appendVarint(nil, dataType, typeDirectory), mode)
	b := s.block(appendBytes(links, nodeData, data))
	if len(b.Data) > MaxBlock { // by names and CIDs alone a profile may underestimate
		return Link{}, nil, fmt.Errorf("%w: directory block of %d bytes", ErrTooLarge, len(b.Data))
	}
	return Link{CID: b.CID, Tsize: tsize + uint64(len(b.Data))}, []Block{b}, nil
}

// directorySize is the size that the profile compares with shardThreshold.
func (s shape) directorySize(entries []DirEntry, mode uint32) int {
	size := 0
	if s.blockLen {
		size = 1 + protowire.SizeBytes(len(appendMode(appendVarint(nil, dataType, typeDirectory), mode)))
	}
	for _, e := range entries {
		if s.blockLen {
			size += linkSize(e.Link.CID.ByteLen(), len(e.Name), e.Link.Tsize)
		} else {
			size += e.Link.CID.ByteLen() + len(e.Name)
		}
	}
	return size
}

// hashed is an entry and where its name stands in a trie.
type hashed struct {
	DirEntry
	hash uint64
}

func (s shape) shardedDirectory(entries []DirEntry, mode uint32) (Link, []Block, error) {
	all := make([]hashed, len(entries))
	for i, e := range entries {
		all[i] = hashed{e, shardHash(e.Name)}
	}
	slices.SortStableFunc(all, func(a, b hashed) int { return cmp.Compare(a.hash, b.hash) })
	return s.shard(all, 0, mode)
}

// shard makes the shard of entries whose hashes agree in the first used bits,
// sorted by hash.
func (s shape) shard(entries []hashed, used int, mode uint32) (Link, []Block, error) {
	const width, digits = 8, 2 // of shardFanout
	if used+width > 64 {
		return Link{}, nil, fmt.Errorf("%w: %q and %q have the same hash and do not fit one directory",
			ErrTooLarge, clip(entries[0].Name), clip(entries[1].Name))
	}
	var field [shardFanout / 8]byte
	var links []byte
	var below []Block
	tsize := uint64(0)
	for len(entries) > 0 {
		index := int(entries[0].hash << used >> (64 - width))
		n := 1
		for n < len(entries) && int(entries[n].hash<<used>>(64-width)) == index {
			n++
		}
		l, name := entries[0].Link, entries[0].Name
		if n > 1 {
			sub, blocks, err := s.shard(entries[:n], used+width, 0)
			if err != nil {
				return Link{}, nil, err
			}
			l, name, below = sub, "", append(below, blocks...)
		}
		links = appendLink(links, l.CID.Bytes(), fmt.Sprintf("%0*X", digits, index)+name, l.Tsize)
		field[len(field)-1-index/8] |= 1 << (index % 8)
		tsize += l.Tsize
		entries = entries[n:]
	}
	data := appendVarint(nil, dataType, typeShard)
	data = appendBytes(data, dataData, trimZeros(field[:]))
	data = appendVarint(data, dataHashType, hashMurmur3)
	data = appendVarint(data, dataFanout, shardFanout)
	b := s.block(appendBytes(links, nodeData, appendMode(data, mode)))
	if len(b.Data) > MaxBlock {
		return Link{}, nil, fmt.Errorf("%w: directory block of %d bytes", ErrTooLarge, len(b.Data))
	}
	return Link{CID: b.CID, Tsize: tsize + uint64(len(b.Data))}, append([]Block{b}, below...), nil
}

// trimZeros drops leading zero bytes: the bitfield is written as a number.
func trimZeros(b []byte) []byte {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return b
}

// Symlink makes a symlink, which has no mode. Its target is any text of 1 to
// MaxName bytes; what it may point at is for whoever writes it to disk.
func (p Profile) Symlink(target string) (Link, Block) {
	data := appendVarint(nil, dataType, typeSymlink)
	data = appendBytes(data, dataData, []byte(target))
	b := p.shape().block(appendBytes(nil, nodeData, data))
	return Link{CID: b.CID, Tsize: uint64(len(b.Data))}, b
}

// checkName refuses what is no name in any file system. Other names are for
// store to judge, which knows the file system.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > MaxName || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%w entry %q: a name is 1 to %d bytes without \"/\" and NUL, and not \".\" or \"..\"", ErrMalformed, clip(name), MaxName)
	}
	return nil
}
