package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"

	"github.com/shoal-p2p/shoal/merkle"
)

// A file system may take two names for one that the rules of the platform keep
// apart: names that differ in case on FAT, CIFS or a casefold directory, in
// composition on HFS+ and APFS. Two entries would be written into one file then.
// It shows when the second is made, and when a target is sealed, which a resumed
// one needs because it finds its own names taken.

// makeEntry runs make, which gives an entry its name. In a target that was not
// resumed a name that is taken all the same is another entry's: ErrUnsafe.
func (t *target) makeEntry(entry int, make func() error) error {
	t.making.Lock()
	defer t.making.Unlock()
	rel := t.table.Entries[entry].Path
	err := t.layer.create(filepath.Join(t.partial, filepath.FromSlash(rel)), make)
	switch {
	case t.mine == nil:
	case err == nil:
		t.mine[entry] = true
	case errors.Is(err, fs.ErrExist) && !t.mine[entry]:
		return unsafe(rel, "the file system takes it for another entry")
	}
	return err
}

// distinct returns ErrUnsafe when two entries stand as one on disk.
func (t *target) distinct() error {
	if t.root == nil {
		return nil
	}
	below := map[string][]int{}
	for i := range t.table.Entries {
		if i > 0 {
			dir := path.Dir(t.table.Entries[i].Path)
			below[dir] = append(below[dir], i)
		}
	}
	for dir, entries := range below {
		if err := t.distinctIn(dir, entries); err != nil {
			return err
		}
	}
	return nil
}

// distinctIn is distinct of one directory. A name that is listed as it was given
// is an entry of its own; only one that is listed otherwise needs a look at what
// it leads to, so nothing rests on the inodes of file systems that invent them.
func (t *target) distinctIn(dir string, entries []int) error {
	names, err := t.layer.list(t.root, filepath.FromSlash(dir))
	if err != nil {
		return diskErr("read", filepath.Join(t.partial, filepath.FromSlash(dir)), err)
	}
	listed := make(map[string]bool, len(names))
	for _, name := range names {
		listed[name] = true
	}
	all := true
	for _, i := range entries {
		all = all && listed[path.Base(t.table.Entries[i].Path)]
	}
	if all {
		return nil
	}
	type file struct{ dev, ino uint64 }
	seen := make(map[file]*merkle.Entry, len(entries))
	for _, i := range entries {
		e := &t.table.Entries[i]
		s, err := stateAt(t.path(i))
		if err != nil {
			return diskErr("finish", t.path(i), err)
		}
		at := file{s.Dev, s.Ino}
		if o := seen[at]; o != nil {
			return unsafe(e.Path, fmt.Sprintf("the file system takes it for %q", o.Path))
		}
		seen[at] = e
	}
	return nil
}
