package merkle

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/ipfs/go-cid"
)

// Piece is a distinct leaf of a root: the unit of verification and of have.
type Piece struct {
	Key     Key
	Size    int // bytes of the leaf block, 1 to MaxLeaf
	Payload int // bytes of the file in it, 1 to Size

	mode uint32 // in the frame, of a leaf that is a file by itself and came with the tree
}

// Verify hashes a whole leaf block and returns the payload within it, which is
// a part of block and no copy. ErrMismatch means that the bytes are wrong,
// ErrMalformed that they are right and the tree lies about them: no source
// can do better.
func (p Piece) Verify(block []byte) (payload []byte, err error) {
	if len(block) != p.Size {
		return nil, fmt.Errorf("%w: leaf %s has %d bytes, got %d", ErrMismatch, p.Key, p.Size, len(block))
	}
	if sha256.Sum256(block) != [32]byte(p.Key[1:]) {
		return nil, fmt.Errorf("%w: leaf %s", ErrMismatch, p.Key)
	}
	from, to, err := Unframe(p.Key, block)
	if err != nil {
		return nil, err
	}
	if to-from != p.Payload {
		return nil, fmt.Errorf("%w leaf %s: it holds %d bytes of the file, its parent says %d", ErrMalformed, p.Key, to-from, p.Payload)
	}
	return block[from:to], nil
}

// Frame returns the bytes around the payload as every known writer puts them:
// none for a raw leaf, the dag-pb and UnixFS fields of a file for others. A
// source that has the payload alone rebuilds the leaf with them. A foreign
// writer may have put others, so the result must still pass Verify; Wrap also
// knows the frame of trickle trees.
func (p Piece) Frame() (prefix, suffix []byte) {
	if p.Key[0] == cid.Raw {
		return nil, nil
	}
	return leafFrame(typeFile, p.Payload, p.mode)
}

// Wrap rebuilds and verifies the leaf block from the payload alone. For a raw
// leaf the block is payload itself, else a new slice. ErrMismatch when the
// payload is wrong or the leaf has a frame that no known writer makes; ask a
// peer for the block then.
func (p Piece) Wrap(payload []byte) (block []byte, err error) {
	if p.Key[0] == cid.Raw {
		_, err := p.Verify(payload)
		return payload, err
	}
	if len(payload) != p.Payload {
		return nil, fmt.Errorf("%w: leaf %s holds %d bytes of the file, got %d", ErrMismatch, p.Key, p.Payload, len(payload))
	}
	for _, typ := range []uint64{typeFile, typeRaw} {
		prefix, suffix := leafFrame(typ, p.Payload, p.mode)
		block = append(append(append(block[:0], prefix...), payload...), suffix...)
		if _, err = p.Verify(block); err == nil {
			return block, nil
		}
	}
	return nil, err
}

// Unframe finds the payload block[from:to] of the leaf k, for any order of the
// fields. block must have been verified. ErrMalformed if it is no leaf of a file.
func Unframe(k Key, block []byte) (from, to int, err error) {
	if k[0] == cid.Raw {
		return 0, len(block), nil
	}
	n, err := decode(block)
	if err != nil {
		return 0, 0, fmt.Errorf("leaf %s: %w", k, err)
	}
	if !n.leaf() {
		return 0, 0, fmt.Errorf("%w leaf %s: it is a %s with %d links, its parent's sizes say that it is a leaf",
			ErrMalformed, k, n.kind(), n.links)
	}
	return n.from, n.to, nil
}

// Leaf is one hashed chunk of a file.
type Leaf struct {
	Key     Key
	CID     cid.Cid
	Payload int // bytes of the file, 0 to LeafSize
	Size    int // bytes of the block: payload and frame

	mode uint32 // in the frame, of a leaf that is a file by itself
}

// hashLeaf hashes payload as a dag-pb leaf, without putting the block together.
func hashLeaf(payload []byte, mode uint32) (k Key, size int) {
	prefix, suffix := leafFrame(typeFile, len(payload), mode)
	h := sha256.New()
	h.Write(prefix)
	h.Write(payload)
	h.Write(suffix)
	k[0] = cid.DagProtobuf
	h.Sum(k[1:1])
	return k, len(prefix) + len(payload) + len(suffix)
}

// Block puts the leaf block of payload together: payload itself for a raw leaf.
// It is what a leaf that FileBuilder.Finish did not put into its blocks looks like.
func (l Leaf) Block(payload []byte) []byte {
	if l.Key[0] == cid.Raw {
		return payload
	}
	prefix, suffix := leafFrame(typeFile, len(payload), l.mode)
	return bytes.Join([][]byte{prefix, payload, suffix}, nil)
}
