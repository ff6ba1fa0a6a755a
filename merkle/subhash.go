package merkle

import (
	"crypto/sha256"
	"fmt"
)

// SubSize is how many bytes of a piece one sub-hash covers, the last one of a
// piece what is left: the block of the exchange.
const SubSize = 64 << 10

// MaxSubHashes bounds the digests of one manifest, in bytes: those of 128 GiB.
const MaxSubHashes = 64 << 20

// SubHashes are the sha2-256 digests of the blocks of every piece. They are
// worth as much as who says them: a publisher who signed them, or a piece that
// was verified. They do not change.
type SubHashes struct {
	digests []byte
	starts  []int32 // of each piece its first digest; one more than there are pieces
}

// subCount is how many sub-hashes a leaf block of size bytes has.
func subCount(size int) int { return (size + SubSize - 1) / SubSize }

// AppendSubHashes appends the digests of one leaf block. Those of all pieces of
// a Table, in order, are what NewSubHashes takes.
func AppendSubHashes(b, block []byte) []byte {
	for len(block) > 0 {
		n := min(len(block), SubSize)
		d := sha256.Sum256(block[:n])
		b, block = append(b, d[:]...), block[n:]
	}
	return b
}

// SubHashesSize is how many bytes the digests of all pieces have.
func (t *Table) SubHashesSize() int64 {
	var n int64
	for _, p := range t.Pieces {
		n += int64(subCount(p.Size))
	}
	return n * sha256.Size
}

// NewSubHashes puts digests to the pieces of a table; ErrMismatch when there are
// more or fewer than its pieces have blocks. It keeps digests.
func NewSubHashes(t *Table, digests []byte) (*SubHashes, error) {
	if want := t.SubHashesSize(); int64(len(digests)) != want {
		return nil, fmt.Errorf("%w: %d bytes of sub-hashes, the tree has %d", ErrMismatch, len(digests), want)
	}
	s := &SubHashes{digests: digests, starts: make([]int32, len(t.Pieces)+1)}
	for i, p := range t.Pieces {
		s.starts[i+1] = s.starts[i] + int32(subCount(p.Size))
	}
	return s, nil
}

// Verify holds a run of whole blocks of a piece, from block first on, to their
// digests. ErrMismatch when one differs or the piece has no such blocks.
func (s *SubHashes) Verify(piece, first int, data []byte) error {
	if piece < 0 || piece >= len(s.starts)-1 || first < 0 || len(data) == 0 {
		return fmt.Errorf("%w: block %d of piece %d", ErrMismatch, first, piece)
	}
	for at := int64(s.starts[piece]) + int64(first); len(data) > 0; at++ {
		n := min(len(data), SubSize)
		if at >= int64(s.starts[piece+1]) || sha256.Sum256(data[:n]) != [32]byte(s.digests[at*sha256.Size:]) {
			return fmt.Errorf("%w: block %d of piece %d", ErrMismatch, at-int64(s.starts[piece]), piece)
		}
		data = data[n:]
	}
	return nil
}
