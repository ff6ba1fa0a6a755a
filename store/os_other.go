//go:build !linux && !darwin && !windows

package store

import (
	"errors"
	"os"
	"syscall"
)

// What the system answers when there is no room, and when nothing may be written.
const (
	diskFull = syscall.ENOSPC
	readOnly = syscall.EROFS
)

// renamesOpen: what is open can be renamed.
const renamesOpen = true

// hostRules is what a file system here can hold.
var hostRules = nameRules{}

// FreeSpace is not known here.
func FreeSpace(dir string) (int64, error) {
	return 0, diskErr("read free space of", dir, errors.ErrUnsupported)
}

func openRead(path string) (*os.File, error) { return os.Open(path) }

func infoState(fi os.FileInfo) state {
	return state{Size: fi.Size(), Mtime: fi.ModTime().UnixNano(), regular: fi.Mode().IsRegular(), linked: true}
}

func stateOf(f *os.File) (state, error) {
	fi, err := f.Stat()
	if err != nil {
		return state{}, err
	}
	return infoState(fi), nil
}

func stateAt(path string) (state, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return state{}, err
	}
	return infoState(fi), nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func syncData(f *os.File) error { return f.Sync() }

func startWriteback(*os.File) {}

func syncTree(*os.File) (bool, error) { return false, nil }

func preallocate(*os.File, int64) error { return nil }

func renameNew(from, to string) error { return renameChecked(from, to) }

func nextData(_ *os.File, off int64) int64 { return off }

func readAhead(*os.File) {}
