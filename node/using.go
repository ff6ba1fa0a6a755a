package node

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"github.com/shoal-p2p/shoal/store"
)

// Pieces in files that the user names are looked for by the store before the
// first piece is asked for, and not beside the download: what is there is never
// fetched then. Peers are found and dialled meanwhile, only what has the length of
// a missing piece is hashed, and it ends with the last missing piece.

// createOptions say how the store opens the target.
func (d *download) createOptions() store.CreateOptions {
	return store.CreateOptions{Path: d.opt.Output, Name: d.name(), Using: d.opt.Using, Update: d.opt.Update, Borrow: d.demand,
		Whole: cmp.Or(d.trees.quarantine, d.opt.whole)}
}

// checkUsing refuses what cannot be looked at before anything is looked for.
func checkUsing(paths []string) error {
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("use what is in %s: %w", path, err)
		}
	}
	return nil
}

// absolutePaths makes paths those of this process.
func absolutePaths(paths *[]string) error {
	abs := make([]string, len(*paths))
	for i, path := range *paths {
		var err error
		if abs[i], err = filepath.Abs(path); err != nil {
			return err
		}
	}
	*paths = abs
	return nil
}
