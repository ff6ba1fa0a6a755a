package merkle

import "errors"

// Errors that callers branch on.
var (
	// ErrMismatch says that bytes do not have the digest they were asked by.
	// It is never an I/O error.
	ErrMismatch = errors.New("content does not match its ID")
	// ErrMalformed says that a string or block cannot be read as what it should be.
	ErrMalformed = errors.New("malformed")
	// ErrUnsupported says that a CID or tree is well formed but of a kind that shoal does not fetch.
	ErrUnsupported = errors.New("unsupported")
	// ErrTooLarge says that a tree or file of blocks passes one of the limits below.
	ErrTooLarge = errors.New("tree too large")
	// ErrNoEntry says that a path names nothing below its root.
	ErrNoEntry = errors.New("no such entry")
	// ErrSignature says that a manifest is not signed by the key that it names.
	ErrSignature = errors.New("wrong signature")
)

// Limits of a tree, per root. Whatever a stranger publishes, a Tree holds at
// most MaxInterior + MaxLoaded bytes of blocks and a Table at most MaxEntries,
// MaxSpans and MaxPaths.
const (
	MaxLeaf     = 2 << 20  // bytes of a leaf block, payload and frame; Kubo's and bitswap's block limit
	MaxBlock    = 2 << 20  // bytes of an interior block, likewise
	MaxPieces   = 1 << 20  // distinct leaves
	MaxInterior = 64 << 20 // bytes of all interior blocks
	MaxLoaded   = 64 << 20 // bytes of leaf blocks kept because the tree brought them; more are asked for again as pieces
	MaxDepth    = 256      // nodes from the root to a leaf
	MaxEntries  = 1 << 20  // files, directories and symlinks
	MaxSpans    = 2 << 20  // runs of all files; a sparse file of 2 TiB has that many
	MaxPaths    = 64 << 20 // bytes of the paths of all entries
	MaxName     = 4096     // bytes of one name, and of a symlink's target
	MaxIdentity = 128      // bytes that an identity CID may hold, as in Kubo
)
