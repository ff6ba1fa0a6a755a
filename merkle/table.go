package merkle

import (
	"sort"

	"github.com/ipfs/go-cid"
)

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

// Span is a run of a file's bytes that comes from one leaf or from the tree
// itself. It ends where the next one begins, the last at the end of the file.
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

// Table is the verified piece table of a root. It is immutable, so it may be
// read from many goroutines.
type Table struct {
	Root    cid.Cid
	Size    int64   // payload bytes of all entries
	Pieces  []Piece // distinct leaves in order of first appearance
	Entries []Entry

	paths  map[string]int32 // entry of a path
	starts []int32          // places[starts[p]:starts[p+1]] are piece p's
	places []Place
	loaded map[int][]byte // leaf blocks that came with the tree
}

// Loaded is the leaf block of a piece that the tree brought, else nil. The
// caller must not change it.
func (t *Table) Loaded(piece int) []byte { return t.loaded[piece] }

// Places returns where the payload of a piece stands, in order of Entries and
// offsets; at least one place. The caller must not change it.
func (t *Table) Places(piece int) []Place {
	from, to := t.starts[piece], t.starts[piece+1]
	return t.places[from:to:to]
}

// Lookup finds the entry of a path as Entry.Path has it, "" for the root.
func (t *Table) Lookup(path string) (entry int, ok bool) {
	i, ok := t.paths[path]
	return int(i), ok
}

// PieceAt is the index in Entries[entry].Spans of the span that holds the byte
// at off, or -1 when the entry has no such byte.
func (t *Table) PieceAt(entry int, off int64) (span int) {
	e := &t.Entries[entry]
	if e.Type != File || off < 0 || off >= e.Size {
		return -1
	}
	return sort.Search(len(e.Spans), func(i int) bool { return e.Spans[i].Offset > off }) - 1
}

// index fills what Lookup and Places read.
func (t *Table) index() {
	t.paths = make(map[string]int32, len(t.Entries))
	t.starts = make([]int32, len(t.Pieces)+1)
	for i, e := range t.Entries {
		t.paths[e.Path] = int32(i)
		for _, s := range e.Spans {
			if s.Piece >= 0 {
				t.starts[s.Piece+1]++
			}
		}
	}
	for p := range t.Pieces {
		t.starts[p+1] += t.starts[p]
	}
	t.places = make([]Place, t.starts[len(t.Pieces)])
	next := append([]int32(nil), t.starts...)
	for i, e := range t.Entries {
		for _, s := range e.Spans {
			if s.Piece >= 0 {
				t.places[next[s.Piece]] = Place{i, s.Offset}
				next[s.Piece]++
			}
		}
	}
}
