package merkle

import (
	"github.com/ipfs/go-cid"
	"google.golang.org/protobuf/encoding/protowire"
)

// The field numbers of dag-pb (https://ipld.io/specs/codecs/dag-pb/spec/) and
// UnixFS (https://specs.ipfs.tech/unixfs/#data).
const (
	nodeData, nodeLinks           protowire.Number = 1, 2
	linkHash, linkName, linkTsize protowire.Number = 1, 2, 3

	dataType, dataData, dataFilesize protowire.Number = 1, 2, 3
	dataBlocksizes, dataHashType     protowire.Number = 4, 5
	dataFanout, dataMode, dataMtime  protowire.Number = 6, 7, 8
)

// The values of the UnixFS Type field.
const (
	typeRaw       = 0
	typeDirectory = 1
	typeFile      = 2
	typeMetadata  = 3
	typeSymlink   = 4
	typeShard     = 5
)

// hashMurmur3 is the only hash of HAMT shards: murmur3-x64-64 in the multicodec table.
const hashMurmur3 = 0x22

func appendVarint(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func appendBytes(b []byte, n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

// appendMode appends the mode field of UnixFS 1.5; mode 0 names none.
func appendMode(b []byte, mode uint32) []byte {
	if mode == 0 {
		return b
	}
	return appendVarint(b, dataMode, uint64(mode))
}

// appendLink appends a link to a dag-pb node. Name and Tsize are written even
// when empty, as every writer of UnixFS does.
func appendLink(b []byte, hash []byte, name string, tsize uint64) []byte {
	b = protowire.AppendTag(b, nodeLinks, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(linkBodySize(len(hash), len(name), tsize)))
	b = appendBytes(b, linkHash, hash)
	b = protowire.AppendTag(b, linkName, protowire.BytesType)
	b = protowire.AppendString(b, name)
	return appendVarint(b, linkTsize, tsize)
}

func linkBodySize(hash, name int, tsize uint64) int {
	return 3 + protowire.SizeBytes(hash) + protowire.SizeBytes(name) + protowire.SizeVarint(tsize)
}

// linkSize is how many bytes appendLink appends.
func linkSize(hash, name int, tsize uint64) int {
	return 1 + protowire.SizeBytes(linkBodySize(hash, name, tsize))
}

// leafFrame is what stands before and after the payload of a leaf.
func leafFrame(typ uint64, payload int, mode uint32) (prefix, suffix []byte) {
	inner := appendVarint(nil, dataType, typ)
	if payload > 0 {
		inner = protowire.AppendTag(inner, dataData, protowire.BytesType)
		inner = protowire.AppendVarint(inner, uint64(payload))
	}
	suffix = appendMode(appendVarint(nil, dataFilesize, uint64(payload)), mode)
	prefix = protowire.AppendTag(nil, nodeData, protowire.BytesType)
	prefix = protowire.AppendVarint(prefix, uint64(len(inner)+payload+len(suffix)))
	return append(prefix, inner...), suffix
}

// block names an encoded dag-pb node.
func (s shape) block(data []byte) Block {
	return Block{CID: keyOf(cid.DagProtobuf, data).cid(!s.v1), Data: data}
}
