package node

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
)

// Errors that callers branch on. The command maps them to exit codes.
var (
	ErrUsage = errors.New("usage") // exit 2: an argument that cannot be right
	// ErrRunning says that another node uses the directory and does not answer on its API socket.
	ErrRunning = errors.New("directory is in use by another node")
)

// ErrOffline says that the node was started without a network; it is ErrUsage too.
var ErrOffline = fmt.Errorf("%w: this node is offline: it indexes, hashes and verifies, and talks to nobody", ErrUsage)

// UnavailableError says that nothing valid came in time (exit 3). It names
// every source tried, liars included.
type UnavailableError struct {
	Root  cid.Cid
	URL   string   // of what has no root
	Why   string   // one sentence
	Hint  string   // what to do, "" if unknown
	Tried []string // one per source: what it was and what happened
	Liars []string // sources that gave wrong bytes
}

func (e *UnavailableError) Error() string {
	s := fmt.Sprintf("%v is unavailable: %s", e.Root, e.Why)
	if e.URL != "" {
		s = e.URL + " is unavailable: " + e.Why
	}
	if len(e.Tried) > 0 {
		s += " (tried: " + strings.Join(e.Tried, "; ") + ")"
	}
	return s
}

// VerificationError says that the only sources that answered, or the local
// disk, gave what does not match (exit 4).
type VerificationError struct {
	Root  cid.Cid
	Why   string
	Liars []string
}

func (e *VerificationError) Error() string {
	return fmt.Sprintf("%v failed verification: %s (%s)", e.Root, e.Why, strings.Join(e.Liars, "; "))
}

// ManifestError says that nobody who is trusted vouches for a content: it has no
// manifest, or one that does not count (exit 4).
type ManifestError struct {
	Where string // file or URL
	Why   string
	Hint  string // what to do, "" if there is nothing
}

func (e *ManifestError) Error() string { return e.Where + ": " + e.Why }
