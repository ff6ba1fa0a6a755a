package merkle

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"

	"github.com/ipfs/go-cid"
	"google.golang.org/protobuf/encoding/protowire"
)

// A signed manifest as a file, X.shoal, is a line of text and three fields of
// protobuf's wire format, in order and each at most once: the envelope, the tree
// as a CAR, and the sub-hashes if there are any.
const (
	signedMagic = "shoal-manifest/1\n"

	// SignedHead is how many bytes IsSigned wants to see.
	SignedHead = len(signedMagic)

	signedEnvelope, signedTree, signedSubHashes protowire.Number = 1, 2, 3

	maxTree = 2 * MaxInterior // bytes of a tree's CAR: MaxInterior or MaxLoaded and what CAR adds
)

// MaxSigned bounds a signed manifest with all that comes with it, in bytes.
const MaxSigned = MaxEnvelope + maxTree + MaxSubHashes + 64

// Signed is a manifest with what it brings, which has been held to it.
type Signed struct {
	Manifest
	Publisher Publisher // who signed it
	Envelope  []byte    // as it was signed
	Tree      []Block   // of Root, depth-first; none when the root is a raw leaf

	digests []byte
}

// AppendSigned appends a signed manifest as a file: an envelope by Sign, the
// blocks of the whole tree as Tree.Blocks has them, and the digests that
// Manifest.SubHashes speaks of.
func AppendSigned(b, envelope []byte, root cid.Cid, tree []Block, digests []byte) []byte {
	b = append(b, signedMagic...)
	b = appendBytes(b, signedEnvelope, envelope)
	b = appendBytes(b, signedTree, AppendCAR(nil, root, tree))
	if len(digests) > 0 {
		b = appendBytes(b, signedSubHashes, digests)
	}
	return b
}

// Of is m for a tree and its digests, which may be none.
func (m Manifest) Of(t *Table, digests []byte) Manifest {
	m.Root, m.Size, m.SubHashes = t.Root, t.Size, digestOf(digests)
	return m
}

// IsSigned tells whether the beginning of a .shoal file, SignedHead bytes or more,
// is that of a signed manifest; a bare tree begins otherwise.
func IsSigned(head []byte) bool { return bytes.HasPrefix(head, []byte(signedMagic)) }

// ReadSigned reads what AppendSigned wrote, at most MaxSigned bytes, and holds
// all of it to what the publisher signed: the tree is that of the root and
// complete, its size is the one said, the sub-hashes are the ones meant. What is
// written in any other way is refused. ErrSignature, ErrMismatch, ErrMalformed,
// ErrUnsupported, ErrTooLarge, or what r failed with.
func ReadSigned(r io.Reader) (*Signed, error) {
	f := &partReader{r: bufio.NewReader(r)}
	envelope, tree, digests, err := f.parts()
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	s := &Signed{Envelope: envelope, digests: digests}
	if s.Manifest, s.Publisher, err = OpenManifest(envelope); err != nil {
		return nil, err
	}
	if err := s.takeTree(tree); err != nil {
		return nil, fmt.Errorf("tree of the manifest: %w", err)
	}
	table, err := s.Table()
	if err != nil {
		return nil, fmt.Errorf("tree of the manifest: %w", err)
	}
	if table.Size != s.Size {
		return nil, fmt.Errorf("%w: the manifest says %d bytes, its tree %d", ErrMismatch, s.Size, table.Size)
	}
	if digestOf(digests) != s.Manifest.SubHashes {
		return nil, fmt.Errorf("%w: the sub-hashes are not those that were signed", ErrMismatch)
	}
	if _, err := s.SubHashesOf(table); err != nil {
		return nil, err
	}
	return s, nil
}

// takeTree reads the CAR: it must be written as AppendSigned does.
func (s *Signed) takeTree(car []byte) error {
	root, blocks, err := ReadCAR(bytes.NewReader(car), maxTree)
	if err != nil {
		return err
	}
	if !root.Equals(s.Root) {
		return fmt.Errorf("%w: it is that of %v, not of %v", ErrMismatch, root, s.Root)
	}
	// CIDs have one encoding, so bytes that are spare would make the file longer.
	size := len(AppendCAR(nil, root, nil))
	for _, b := range blocks {
		n := len(b.CID.KeyString()) + len(b.Data)
		size += protowire.SizeVarint(uint64(n)) + n
	}
	if size != len(car) {
		return fmt.Errorf("%w: it is not in its one encoding", ErrMalformed)
	}
	s.Tree = blocks
	return nil
}

// tree assembles the blocks, which must be all there are, in order. A raw leaf
// that is a root is known by its size alone.
func (s *Signed) tree() (*Tree, error) {
	t, err := NewTree(s.Root)
	if err != nil {
		return nil, err
	}
	for _, b := range s.Tree {
		if err := t.Add(b.Data); err != nil {
			return nil, err
		}
	}
	if r, _ := refOf(s.Root); r.raw() && !r.identity && !t.Complete() && s.Size <= MaxLeaf {
		err = t.AddLeaf(Leaf{Key: r.key, CID: s.Root, Payload: int(s.Size), Size: int(s.Size)})
		return t, err
	}
	if !t.Complete() {
		return nil, fmt.Errorf("%w: blocks missing, the first is %v", ErrMismatch, t.Missing(1)[0])
	}
	if !slices.EqualFunc(t.Blocks(), s.Tree, func(a, b Block) bool { return a.CID.Equals(b.CID) }) {
		return nil, fmt.Errorf("%w: its blocks do not stand once each, depth-first", ErrMalformed)
	}
	return t, nil
}

// Table is the piece table of the tree.
func (s *Signed) Table() (*Table, error) {
	t, err := s.tree()
	if err != nil {
		return nil, err
	}
	return t.Table()
}

// Bytes is what the envelope and the digests take.
func (s *Signed) Bytes() int { return len(s.Envelope) + len(s.digests) }

// SubHashesOf puts the signed sub-hashes to the pieces of Root's table; nil if
// there are none.
func (s *Signed) SubHashesOf(t *Table) (*SubHashes, error) {
	if len(s.digests) == 0 {
		return nil, nil
	}
	return NewSubHashes(t, s.digests)
}

// ReadTree reads the tree in a .shoal file, a bare CAR or that of a signed
// manifest, for who knows the root already: nothing is verified, and a signature
// does not matter. Errors are those of ReadCAR.
func ReadTree(r io.Reader) (root cid.Cid, blocks []Block, err error) {
	b := bufio.NewReader(r)
	if head, _ := b.Peek(len(signedMagic)); !IsSigned(head) { // a read that fails, fails again
		return ReadCAR(b, maxTree)
	}
	_, tree, _, err := (&partReader{r: b}).parts()
	if err != nil {
		return cid.Undef, nil, fmt.Errorf("read manifest: %w", err)
	}
	return ReadCAR(bytes.NewReader(tree), maxTree)
}

// partReader reads a signed manifest part by part. No part takes more memory
// than has been read of it, and a chunk.
type partReader struct{ r *bufio.Reader }

func (f *partReader) parts() (envelope, tree, digests []byte, err error) {
	magic := make([]byte, len(signedMagic))
	if _, err := io.ReadFull(f.r, magic); err != nil || !IsSigned(magic) {
		return nil, nil, nil, fmt.Errorf("%w: no signed manifest", ErrMalformed)
	}
	if envelope, err = f.part(signedEnvelope, MaxEnvelope); err != nil {
		return nil, nil, nil, err
	}
	if tree, err = f.part(signedTree, maxTree); err != nil {
		return nil, nil, nil, err
	}
	if _, err := f.r.Peek(1); err == io.EOF {
		return envelope, tree, nil, nil
	}
	if digests, err = f.part(signedSubHashes, MaxSubHashes); err != nil {
		return nil, nil, nil, err
	}
	if _, err := f.r.Peek(1); err != io.EOF {
		return nil, nil, nil, fmt.Errorf("%w: something follows the sub-hashes", ErrMalformed)
	}
	return envelope, tree, digests, nil
}

// part reads one field of 1 to most bytes.
func (f *partReader) part(n protowire.Number, most uint64) ([]byte, error) {
	tag, err := f.r.ReadByte()
	if err != nil {
		return nil, cut(err)
	}
	if tag != byte(protowire.EncodeTag(n, protowire.BytesType)) {
		return nil, fmt.Errorf("%w: field %d does not come next", ErrMalformed, n)
	}
	size, err := f.length()
	switch {
	case err != nil:
		return nil, err
	case size > most:
		return nil, fmt.Errorf("%w: field %d has %d bytes, at most %d are allowed", ErrTooLarge, n, size, most)
	}
	const chunk = 1 << 20
	var v []byte
	for uint64(len(v)) < size {
		at := len(v)
		v = append(v, make([]byte, min(chunk, size-uint64(at)))...)
		if _, err := io.ReadFull(f.r, v[at:]); err != nil {
			return nil, cut(err)
		}
	}
	return v, nil
}

// length reads a varint of at most five bytes in its least length, above zero.
func (f *partReader) length() (uint64, error) {
	var b []byte
	for len(b) < 5 {
		c, err := f.r.ReadByte()
		if err != nil {
			return 0, cut(err)
		}
		if b = append(b, c); c < 0x80 {
			break
		}
	}
	v, n := protowire.ConsumeVarint(b)
	if n != len(b) || v == 0 || protowire.SizeVarint(v) != n {
		return 0, fmt.Errorf("%w: length of a field", ErrMalformed)
	}
	return v, nil
}
