package store

import (
	"errors"
	"os"
)

// rename gives the target its final name. Where what is open cannot be renamed
// it closes all handles first: those of the files, which are opened again when
// they are needed, and that of the directory.
func (t *target) rename() error {
	if !renamesOpen {
		t.files.dropRange(t.first, uint64(len(t.table.Entries)))
		if t.root != nil {
			_ = t.root.Close() // only a directory handle
		}
	}
	to := t.final
	err := t.layer.rename(t.partial, to)
	if renamesOpen || t.root == nil {
		return err
	}
	if err != nil {
		to = t.partial
	}
	root, open := os.OpenRoot(to)
	if open == nil {
		t.root = root
	}
	return errors.Join(err, open)
}
