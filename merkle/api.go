package merkle

import (
	"errors"

	"github.com/ipfs/go-cid"
)

// Errors that callers branch on.
var (
	// ErrMismatch says that bytes do not have the digest they were asked by.
	// It is never an I/O error.
	ErrMismatch = errors.New("content does not match its ID")
	// ErrMalformed says that a string or block cannot be read as what it should be.
	ErrMalformed = errors.New("malformed")
	// ErrUnsupported says that a CID or tree is well formed but of a kind that shoal does not fetch.
	ErrUnsupported = errors.New("unsupported")
	// ErrTooLarge says that a tree passes one of the limits of MaxPieces, MaxInterior, MaxDepth.
	ErrTooLarge = errors.New("tree too large")
)

// Limits of a tree, per root.
const (
	MaxLeaf     = 2 << 20  // bytes of a leaf block, payload and frame
	MaxBlock    = 2 << 20  // bytes of an interior block
	MaxPieces   = 1 << 20  // distinct leaves
	MaxInterior = 64 << 20 // bytes of all interior blocks
	MaxDepth    = 256      // nodes from the root to a leaf
)

// Key identifies a leaf: its codec (cid.Raw or cid.DagProtobuf, one byte) and
// its sha2-256 digest. CIDv0 and CIDv1 of one block have one Key.
type Key [33]byte

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

// Piece is a distinct leaf of a root: the unit of verification and of have.
type Piece struct {
	Key     Key
	Size    int // bytes of the leaf block, 1 to MaxLeaf
	Payload int // bytes of the file in it, 0 to Size
}

// EntryType tells what an Entry is.
type EntryType uint8

// The types of an entry.
const (
	File EntryType = iota
	Directory
	Symlink
)

// Entry is a file, directory or symlink of a root. Entries stand depth-first,
// a directory's in stored order; the first is the root itself with Path "".
type Entry struct {
	Path   string // slash-separated, relative to the root
	Type   EntryType
	Mode   uint32 // permission bits, 0 when the tree names none
	Size   int64  // payload bytes; for a directory of all below it
	Target string // of a symlink
	CID    cid.Cid
	Spans  []Span // of a file, in order, without gaps
}

// Span is a run of a file's bytes that comes from one leaf or from the tree itself.
type Span struct {
	Offset int64
	Piece  int    // number of the piece, -1 when Inline holds the bytes
	Inline []byte // data that the tree's own blocks carry
}

// Place is where the payload of a piece stands.
type Place struct {
	Entry  int
	Offset int64
}

// Table is the verified piece table of a root. It is immutable.
type Table struct {
	Root    cid.Cid
	Size    int64   // payload bytes of all entries
	Pieces  []Piece // distinct leaves in order of first appearance
	Entries []Entry
}
