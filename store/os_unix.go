//go:build linux || darwin

package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openRead opens a regular file for reading. A symlink in the last place is
// refused and a FIFO does not block.
func openRead(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

// stateOf reads the state of an open file without allocating.
func stateOf(f *os.File) (state, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return state{}, err
	}
	return statState(&st), nil
}

// stateAt reads the state of what stands at path; a symlink is not followed.
func stateAt(path string) (state, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return state{}, &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	return statState(&st), nil
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// FreeSpace is how many bytes of the file system that holds dir can be written
// by this user.
func FreeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, diskErr("read free space of", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// renameNew renames without ever replacing what stands at to.
func renameNew(from, to string) error {
	err := renameWith(from, to, renameExclusive)
	if lacksRename(err) {
		return renameChecked(from, to)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// swapNames exchanges two names in one step. It returns errors.ErrUnsupported
// where the file system cannot.
func swapNames(a, b string) error {
	err := renameWith(a, b, renameSwap)
	if lacksRename(err) {
		return errors.ErrUnsupported
	}
	if err != nil {
		return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
	}
	return nil
}

// lacksRename tells that a file system, or the system, does not know a flag.
func lacksRename(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS)
}

// What the system answers when there is no room, and when nothing may be written.
const (
	diskFull = unix.ENOSPC
	readOnly = unix.EROFS
)

// renamesOpen: what is open can be renamed.
const renamesOpen = true

// hostRules is what a file system here can hold.
var hostRules = nameRules{fold: foldsNames}
