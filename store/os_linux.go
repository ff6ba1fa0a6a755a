package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const foldsNames = false

func statState(st *unix.Stat_t) state {
	return state{
		Dev: uint64(st.Dev), Ino: st.Ino, Size: st.Size,
		Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
		regular: st.Mode&unix.S_IFMT == unix.S_IFREG, linked: st.Nlink > 0,
	}
}

// syncData makes the bytes of a file durable.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// StartWriteback lets the kernel begin writing a file's dirty pages, so that
// several files are written at once and a later syncData waits less. It is only
// a hint, so its error does not matter.
func StartWriteback(f *os.File) {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}

// syncTree makes all of the file system that holds dir durable with one call,
// which for thousands of small files is far cheaper than one call each. It
// reports false where there is no such call.
func syncTree(dir *os.File) (bool, error) { return true, unix.Syncfs(int(dir.Fd())) }

// preallocate reserves size bytes so that a full disk shows before the download
// and not at its end. File systems that cannot are fine.
func preallocate(f *os.File, size int64) error {
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); errors.Is(err, unix.ENOSPC) {
		return err
	}
	return nil
}

const (
	renameExclusive = unix.RENAME_NOREPLACE
	renameSwap      = unix.RENAME_EXCHANGE
)

// renameWith renames with a flag.
func renameWith(from, to string, flag uint) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flag)
}

// nextData is the first offset at or after off that is not in a hole of f; the
// file's end or beyond if there is none.
func nextData(f *os.File, off int64) int64 {
	at, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return 1<<63 - 1
	}
	if err != nil {
		return off
	}
	return at
}

// readAhead tells the kernel that f is read from front to back.
func readAhead(f *os.File) {
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_SEQUENTIAL)
}
