package store

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// hostRules is what NTFS with the Win32 API can hold.
var hostRules = nameRules{fold: true, reserved: true}

// FreeSpace is how many bytes of the volume that holds dir can be written by
// this user.
func FreeSpace(dir string) (int64, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, diskErr("read free space of", dir, err)
	}
	var free, total, all uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, &total, &all); err != nil {
		return 0, diskErr("read free space of", dir, err)
	}
	return int64(free), nil
}

// What the system answers when there is no room, and when nothing may be written.
const (
	diskFull = windows.ERROR_DISK_FULL
	readOnly = windows.ERROR_WRITE_PROTECT
)

// renamesOpen: what has an open handle on it, or below it, cannot be renamed.
const renamesOpen = false

// openRead opens a file for reading, such that its owner can still rename,
// replace and delete it, which os.Open does not allow.
func openRead(path string) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil,
		windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL|windows.FILE_FLAG_BACKUP_SEMANTICS, 0) // the flag: of a directory too, to see that it is one
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// stateOf reads the state of an open file. Windows has no change time here, so
// Ctime stays 0.
func stateOf(f *os.File) (state, error) {
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &info); err != nil {
		return state{}, err
	}
	return state{
		Dev:     uint64(info.VolumeSerialNumber),
		Ino:     uint64(info.FileIndexHigh)<<32 | uint64(info.FileIndexLow),
		Size:    int64(info.FileSizeHigh)<<32 | int64(info.FileSizeLow),
		Mtime:   info.LastWriteTime.Nanoseconds(),
		regular: info.FileAttributes&(windows.FILE_ATTRIBUTE_DIRECTORY|windows.FILE_ATTRIBUTE_REPARSE_POINT) == 0,
		linked:  info.NumberOfLinks > 0,
	}, nil
}

// stateAt reads the state of what stands at path; a symlink is not followed.
func stateAt(path string) (state, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return state{}, err
	}
	if fi.Mode()&os.ModeSymlink != 0 {
		return state{Size: fi.Size(), Mtime: fi.ModTime().UnixNano(), linked: true}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return state{}, err
	}
	defer f.Close()
	return stateOf(f)
}

// syncDir does nothing: Windows has no such call, names are journaled.
func syncDir(string) error { return nil }

// syncData makes the bytes of a file durable.
func syncData(f *os.File) error { return f.Sync() }

func StartWriteback(*os.File) {}

func syncTree(*os.File) (bool, error) { return false, nil }

func preallocate(*os.File, int64) error { return nil }

// renamePatience is how long a rename waits for others to let go: those who are
// served a piece just now, and the virus scanners that open what is new.
const renamePatience = 2 * time.Second

// renameNew renames without ever replacing what stands at to.
func renameNew(from, to string) error {
	a, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	b, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	for giveUp := time.Now().Add(renamePatience); ; time.Sleep(20 * time.Millisecond) {
		err := windows.MoveFileEx(a, b, windows.MOVEFILE_WRITE_THROUGH)
		if err == nil {
			return nil
		}
		held := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !held || time.Now().After(giveUp) {
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
		}
	}
}

// swapNames exchanges two names in one step, which no call does here.
func swapNames(_, _ string) error { return errors.ErrUnsupported }

func nextData(_ *os.File, off int64) int64 { return off }

func readAhead(*os.File) {}
