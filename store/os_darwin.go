package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// foldsNames: APFS and HFS+ take names that differ in case for one by default.
const foldsNames = true

func statState(st *unix.Stat_t) state {
	return state{
		Dev: uint64(uint32(st.Dev)), Ino: st.Ino, Size: st.Size,
		Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
		regular: st.Mode&unix.S_IFMT == unix.S_IFREG, linked: st.Nlink > 0,
	}
}

// syncData makes the bytes of a file durable; on darwin that takes F_FULLFSYNC,
// which Sync uses.
func syncData(f *os.File) error { return f.Sync() }

func StartWriteback(*os.File) {}

func syncTree(*os.File) (bool, error) { return false, nil }

func preallocate(*os.File, int64) error { return nil }

const (
	renameExclusive = unix.RENAME_EXCL
	renameSwap      = unix.RENAME_SWAP
)

// renameWith renames with a flag.
func renameWith(from, to string, flag uint) error { return unix.RenamexNp(from, to, uint32(flag)) }

func nextData(_ *os.File, off int64) int64 { return off }

func readAhead(*os.File) {}
