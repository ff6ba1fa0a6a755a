package merkle

import (
	"io"

	"github.com/ipfs/go-cid"
)

// Parse reads a CID.
func Parse(s string) (cid.Cid, error) { panic("unfinished") }

// Target is what a link or the TARGET of a command names.
type Target struct {
	Root    cid.Cid
	Path    string   // slash-separated, relative to Root, "" for the root itself
	Peers   []string // multiaddrs with /p2p/
	Origins []string // URLs
}

// ParseTarget reads CID, CID/path, ipfs://CID/path or shoal:CID/path?peer=MULTIADDR&origin=URL.
func ParseTarget(s string) (Target, error) { panic("unfinished") }

// String is the shoal: link.
func (t Target) String() string { panic("unfinished") }

// KeyOf is the Key of a raw or dag-pb CID with sha2-256; false for others (identity).
func KeyOf(c cid.Cid) (Key, bool) { panic("unfinished") }

// CID is the CIDv1 of the leaf.
func (k Key) CID() cid.Cid { panic("unfinished") }

// String is the text of CID.
func (k Key) String() string { return k.CID().String() }

// Verify hashes the leaf block and returns the payload within it. ErrMismatch.
func (p Piece) Verify(block []byte) (payload []byte, err error) { panic("unfinished") }

// Frame returns the canonical bytes around the payload; hash(prefix, payload, suffix) may be the leaf's digest.
func (p Piece) Frame() (prefix, suffix []byte) { panic("unfinished") }

// Unframe finds the payload block[from:to] of a verified leaf block.
func Unframe(k Key, block []byte) (from, to int, err error) { panic("unfinished") }

// Tree assembles the interior blocks of a root.
type Tree struct{ root cid.Cid }

// NewTree starts with nothing but the root.
func NewTree(root cid.Cid) (*Tree, error) { panic("unfinished") }

// Missing returns at most max (all if 0) wanted blocks in depth-first order.
func (t *Tree) Missing(max int) []cid.Cid { panic("unfinished") }

// Add takes a block that Missing asked for. ErrMismatch if nobody asked for it.
func (t *Tree) Add(block []byte) error { panic("unfinished") }

// Complete tells whether nothing is missing.
func (t *Tree) Complete() bool { panic("unfinished") }

// Blocks returns the blocks, depth-first.
func (t *Tree) Blocks() []Block { panic("unfinished") }

// Table is the piece table of a complete tree.
func (t *Tree) Table() (*Table, error) { panic("unfinished") }

// Loaded is the leaf block of piece if the tree brought it already, else nil.
func (t *Table) Loaded(piece int) []byte { panic("unfinished") }

// Places returns where the payload of piece stands. The caller must not change it.
func (t *Table) Places(piece int) []Place { panic("unfinished") }

// Lookup finds the entry of a path.
func (t *Table) Lookup(path string) (entry int, ok bool) { panic("unfinished") }

// PieceAt is the index in Entries[entry].Spans of the span that holds byte off.
func (t *Table) PieceAt(entry int, off int64) (span int) { panic("unfinished") }

// Step is the state of resolving a path, a block at a time.
type Step struct {
	CID  cid.Cid // the block to take next, or the target if Done
	Done bool
	rest []string
}

// Resolve starts at root.
func Resolve(root cid.Cid, path string) (Step, error) { panic("unfinished") }

// Take verifies the block of s.CID and goes one step down.
func (s Step) Take(block []byte) (Step, error) { panic("unfinished") }

// AppendCAR appends a CARv1 file of root and its blocks.
func AppendCAR(b []byte, root cid.Cid, blocks []Block) []byte { panic("unfinished") }

// ReadCAR reads what AppendCAR writes, at most limit bytes.
func ReadCAR(r io.Reader, limit int64) (root cid.Cid, blocks []Block, err error) {
	panic("unfinished")
}
