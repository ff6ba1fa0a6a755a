package store

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// state tells whether a file is still the one that was hashed: any change of
// its bytes changes its size or one of its times, and replacing it changes its
// inode. It is a hint that saves work (a file in the same state is not hashed
// again by Add); what ReadPiece returns is right because it is hashed.
type state struct {
	Dev, Ino     uint64
	Size         int64
	Mtime, Ctime int64 // ns since 1970

	regular bool // not kept in the index
	linked  bool // has a name still; not kept in the index
}

// same tells whether two states are of one file that was not written between.
func (s state) same(o state) bool {
	return s.Dev == o.Dev && s.Ino == o.Ino && s.Size == o.Size && s.Mtime == o.Mtime && s.Ctime == o.Ctime
}

// racy is how long after a change of a file its times may not yet tell a
// second change: the coarsest clock of a file system in use is FAT's, 2 s.
const racy = 2 * time.Second

// settled tells whether a state read at the time at (ns) proves that the file
// has not changed since, if it still has that state. A file written within
// racy before may have been written again without its times moving on, as in
// git's "racily clean" entries.
func (s state) settled(at int64) bool {
	return max(s.Mtime, s.Ctime) < at-int64(racy)
}

// renameChecked is renameNew where the file system has no such call: a hard
// link fails when the name is taken; for a directory looking first has to do.
func renameChecked(from, to string) error {
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return err
		}
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	fi, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if fi.Mode().IsRegular() {
		switch err := os.Link(from, to); {
		case err == nil:
			return os.Remove(from)
		case errors.Is(err, fs.ErrExist):
			return err
		}
	}
	return os.Rename(from, to)
}
