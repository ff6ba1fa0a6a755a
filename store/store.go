package store

import (
	"context"
	"iter"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
)

// State tells how much of a root is here.
type State uint8

// The states of a root.
const (
	Fetching State = iota // begun by Create and not finished; Create resumes it
	Complete              // every piece is here
	Damaged               // was complete, then pieces were withdrawn because they no longer verify
)

// String is the state as users see it.
func (s State) String() string {
	switch s {
	case Fetching:
		return "fetching"
	case Complete:
		return "complete"
	case Damaged:
		return "damaged"
	}
	return "unknown"
}

// Root is a root the store knows.
type Root struct {
	CID    cid.Cid
	Name   string // of the file or directory as it was added or fetched
	Path   string // absolute; "" when its pieces are kept in the store's own directory
	Size   int64  // payload bytes
	Pieces int    // distinct pieces
	Have   int    // pieces here
	State  State
	Added  time.Time
	Pinned bool // Evict and Unshare leave it alone; of a Disk only
	Cached bool // all that is here may be evicted unless it is pinned; of a Disk only
}

// Store holds roots, the interior blocks of their trees and their pieces. Its
// methods may be called from many goroutines.
type Store interface {
	// Add hashes the file or directory at path and indexes it in place.
	Add(ctx context.Context, path string, opt AddOptions) (Root, error)
	// Create opens root for writing, new or resumed. ErrExists when the target
	// exists and is not to be updated, ErrBusy when it is being written, ErrUnsafe for names that a file
	// system cannot hold or that would leave the target; disk is not touched then.
	Create(ctx context.Context, table *merkle.Table, tree []merkle.Block, opt CreateOptions) (Writer, error)
	// Roots yields every root, in order of Added.
	Roots() ([]Root, error)
	// Root returns one root, or ErrNotFound.
	Root(c cid.Cid) (Root, error)
	// Block returns an interior block of a held tree, or ErrNotFound. For a
	// root that is a leaf itself there is none.
	Block(c cid.Cid) ([]byte, error)
	// Have tells which of keys can be read, complete or half-written roots alike.
	Have(keys []merkle.Key) []bool
	// ReadPiece reads the whole leaf block (frame and payload) of key into buf,
	// grown when too small, and hashes it: what it returns is right. ErrNotFound,
	// ErrChanged.
	ReadPiece(ctx context.Context, key merkle.Key, buf []byte) ([]byte, error)
	// Unshare forgets a root. No file outside the store's directory is touched.
	Unshare(c cid.Cid) error
	// Verify re-hashes all that is held of c (of everything if c is undefined),
	// withdraws what is bad and yields it.
	Verify(ctx context.Context, c cid.Cid) iter.Seq2[Bad, error]
	Close() error
}

// AddOptions tell how a path becomes a root.
type AddOptions struct {
	Profile  merkle.Profile // UnixFS profile; merkle.UnixFSv1 if zero
	Hidden   bool           // take dot entries too
	Modes    bool           // keep the executable bit as UnixFS mode
	Copy     bool           // keep a private copy of the bytes in the store's directory
	OnlyHash bool           // compute the root, index nothing

	// Progress, if not nil, is told the bytes hashed so far, from one goroutine at a time.
	Progress func(bytes int64)
	// Skipped, if not nil, is told each entry left out and why (hidden, not a regular file).
	Skipped func(path, why string)
}

// CreateOptions tell where a fetched root goes.
type CreateOptions struct {
	Path string // absolute target; "" keeps the pieces in the store's directory, until they are evicted
	Name string // shown in status; base of Path if empty
	// Borrow is for readers, and for a Path of "": what is here under other roots
	// is read there and not copied, and Have is what the index says, since
	// ReadPiece hashes. Such a Writer is closed and not finished; it leaves
	// nothing when nothing was written.
	Borrow bool

	// Using are files and directories, of any version of the content or of
	// something like it, where missing pieces are looked for before Create
	// returns. They are read, never changed.
	Using []string

	// Whole is a file that holds the content, of one file, from its first byte to its
	// last: the caller wrote it, nobody else could since, and hashed it. Where it
	// stands on the file system of Path it becomes the target without a copy, and
	// Have is true of every piece; else it is left where it is.
	Whole string

	// Update lets something stand at Path: an older version, added or fetched
	// there, or any of the new one. It is left alone until the new version is
	// whole, then replaced by it in one step, and its root is forgotten. What is
	// of neither version is ErrOwn, before the disk is touched and again before
	// the exchange. The Writer of a Disk is an Updater.
	Update bool
}

// Writer writes one root. Write may be called from many goroutines with
// different pieces; the other methods from one.
type Writer interface {
	// Have tells which pieces are here at the start: resumed, or found under
	// other roots and brought over. Each has been verified by hashing.
	Have() []bool
	// Write puts a verified leaf block at every place of the piece.
	Write(piece int, block []byte) error
	// Sync makes what was written durable and then claims it in the index.
	Sync() error
	// Finish makes all durable, sets modes, makes links, and renames to the
	// final name. It returns the final path ("" when kept in the store).
	Finish(ctx context.Context) (string, error)
	// Close keeps what is written for a later resume. After Finish it does nothing.
	Close() error
}

// Bad is a piece that no longer verifies.
type Bad struct {
	Root  cid.Cid
	Path  string
	Piece int
	Err   error
}
