package store

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("not held")
	// ErrChanged says that a file no longer has the bytes that were added.
	// The piece is withdrawn when it is returned.
	ErrChanged = errors.New("file changed since it was added")
	ErrExists  = errors.New("target exists")
	ErrLocked  = errors.New("directory is in use by another node")
	ErrUnsafe  = errors.New("name would leave the target or cannot be stored")
	ErrBusy    = errors.New("root is being fetched already")
	// ErrOwn says that an update would lose what is of no version of the content
	// that the store knows at that path.
	ErrOwn = errors.New("there is what is of no version known at that path")
	// ErrPinned says that a root is to be kept whatever comes.
	ErrPinned    = errors.New("it is pinned: unpin it first")
	ErrNotPinned = errors.New("it is not pinned")
	// ErrDamaged says that the index holds a record that cannot be read.
	ErrDamaged = errors.New("index is damaged: move index.db away and add the content again")
	// ErrLimit says that a value given to Put passes a limit.
	ErrLimit = errors.New("limit passed")
)

// diskErr names the path in an error of the file system and adds what to do
// where the cause is one the user can remove.
func diskErr(doing, path string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	hint := ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, diskFull):
		hint = ": free some space ('shoal gc' deletes what was only read) or choose another place, what is here so far is kept"
	case errors.Is(err, syscall.EROFS), errors.Is(err, readOnly):
		hint = ": choose a place that can be written"
	case errors.Is(err, fs.ErrPermission):
		hint = ": change its permissions or choose another place"
	}
	return fmt.Errorf("%s %s: %w%s", doing, path, err, hint)
}
