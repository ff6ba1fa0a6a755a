package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// swapNames exchanges two names in one step. It returns errors.ErrUnsupported
// where the file system cannot.
func swapNames(a, b string) error {
	err := unix.RenamexNp(a, b, unix.RENAME_SWAP)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	if err != nil {
		return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
	}
	return nil
}
