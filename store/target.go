package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/merkle"
)

// target is a root being written below a temporary name beside its final one.
// Everything below that name is reached through an os.Root, so no symlink leads
// out of it; links of the tree itself are made last.
type target struct {
	table   *merkle.Table
	final   string
	made    state       // device and inode of partial, so that nothing else is taken for it
	perm    os.FileMode // 0777 less the umask
	renamed bool        // partial is final: Finish, or a crash after it, renamed it
	partial string      // where it stands; changed by moved alone

	layer fileLayer
	files *handles
	first uint64   // number of the first entry's file
	root  *os.Root // of a directory

	making sync.Mutex // held while an entry is made
	mine   []bool     // entries made here; nil in a resumed target, which finds those of an earlier writer

	mu sync.RWMutex // held while names and partial change, and by readers that serve what is written
}

const partialSuffix = ".shoal-partial"

// partialName is the i-th temporary name for a final one.
func partialName(final string, i int) string { return hiddenName(final, partialSuffix, i) }

// hiddenName is a name beside final that ends in suffix.
func hiddenName(final, suffix string, i int) string {
	dir, name := filepath.Split(final)
	if i > 0 {
		suffix = fmt.Sprintf("%s-%d", suffix, i+1)
	}
	// The name is cut where the temporary one would be too long for a file system,
	// and never within a character, which some do not take.
	if most := maxName - 1 - len(suffix); len(name) > most {
		for most > 0 && !utf8.RuneStart(name[most]) {
			most--
		}
		name = name[:most]
	}
	return filepath.Join(dir, "."+name+suffix)
}

// maxPartials bounds the temporary names that are tried. Those taken are of
// other fetches to the same target, or left over by ones that were forgotten;
// they are never touched.
const maxPartials = 100

// makeTarget makes the temporary file or directory, empty. The caller sees to
// what may stand under the final name.
func makeTarget(table *merkle.Table, final string, layer fileLayer) (*target, error) {
	t := &target{table: table, final: final, layer: layer, mine: make([]bool, len(table.Entries))}
	for i := range maxPartials {
		t.partial = partialName(final, i)
		err := t.make()
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, errors.Join(diskErr("create", t.partial, err), t.remove())
		}
		return t, nil
	}
	return nil, fmt.Errorf("create %s: too many unfinished downloads beside it, delete those that nobody continues: %w",
		t.partial, ErrExists)
}

// absent returns ErrExists when something stands at path.
func absent(path string) error {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return fmt.Errorf("%s: %w: delete it or choose another path", path, ErrExists)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return diskErr("create", path, err)
	}
}

func (t *target) kind() merkle.EntryType { return t.table.Entries[0].Type }

// make makes the temporary file or directory and learns the umask from what
// the system makes of 0777. A directory is private until it is finished, so
// that nobody else can put a link in it.
func (t *target) make() error {
	var fi fs.FileInfo
	var err error
	if t.kind() == merkle.Directory {
		fi, err = t.makeDir()
	} else {
		fi, err = t.makeFile()
	}
	if err == nil {
		t.perm = fi.Mode().Perm()
	}
	return err
}

// note remembers what was made, so that it can be told from anything else.
func (t *target) note() (err error) {
	t.made, err = stateAt(t.partial)
	return err
}

func (t *target) makeFile() (fs.FileInfo, error) {
	var f *os.File
	err := t.layer.create(t.partial, func() (err error) {
		f, err = os.OpenFile(t.partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o777)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := t.note(); err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return fi, f.Chmod(fi.Mode().Perm()&0o666 | 0o600)
}

// takeWhole puts a file with all of the content in the place of the empty one that
// was made; false if it stands on another file system.
func (t *target) takeWhole(path string) (bool, error) {
	s, err := stateAt(path)
	e := &t.table.Entries[0]
	if err != nil || e.Type != merkle.File || !s.regular || s.Size != e.Size || s.Dev != t.made.Dev {
		return false, nil
	}
	if err := t.layer.erase(t.partial); err != nil {
		return false, err
	}
	if t.layer.rename(path, t.partial) != nil { // one device can be mounted twice
		_, err := t.makeFile()
		return false, err
	}
	if err := t.note(); err != nil {
		return false, err
	}
	return true, t.layer.change(t.partial, func() error { return os.Chmod(t.partial, t.perm&0o666|0o600) })
}

func (t *target) makeDir() (fs.FileInfo, error) {
	if err := t.layer.create(t.partial, func() error { return os.Mkdir(t.partial, 0o700) }); err != nil {
		return nil, err
	}
	if err := t.note(); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(t.partial)
	if err != nil {
		return nil, err
	}
	t.root = root
	const probe = "umask"
	if err := root.Mkdir(probe, 0o777); err != nil {
		return nil, err
	}
	fi, err := root.Lstat(probe)
	if err != nil {
		return nil, err
	}
	return fi, root.Remove(probe)
}

// remove undoes a make, whether or not it came to its end.
func (t *target) remove() error {
	if t.root != nil {
		_ = t.root.Close() // only a directory handle
	}
	if t.made == (state{}) || !stands(t.partial, t.made.Dev, t.made.Ino) {
		return nil
	}
	return os.RemoveAll(t.partial)
}

// reserveFrom is the size from which space is reserved before it is written.
// For small files that costs more than a late error.
const reserveFrom = 16 << 20

// grow gives a file its length, so that its end never has to be cut. One that
// cannot have it is closed.
func (t *target) grow(f *os.File, size int64) error {
	fi, err := f.Stat()
	if err == nil && fi.Size() < size {
		err = t.layer.change(f.Name(), func() error {
			if size >= reserveFrom {
				if err := preallocate(f, size); err != nil {
					return err
				}
			}
			return f.Truncate(size)
		})
	}
	if err != nil {
		_ = f.Close() // nothing was written
	}
	return err
}

// resumeTarget opens what an earlier makeTarget made; false if it is not there
// any more or is something else now.
func resumeTarget(table *merkle.Table, p placeRec, layer fileLayer) (*target, bool, error) {
	t := &target{table: table, final: p.Target, partial: p.Base, perm: os.FileMode(p.Perm), first: p.First, layer: layer}
	made := func(path string) bool {
		// The kind is compared too: a file system gives the inode of what was
		// deleted to what is made next, which may be a link.
		fi, err := os.Lstat(path)
		if err != nil || !fi.Mode().IsRegular() && !fi.IsDir() || fi.IsDir() != (t.kind() == merkle.Directory) {
			return false
		}
		s, err := stateAt(path)
		if err != nil || s.Dev != p.Dev || s.Ino != p.Ino {
			return false
		}
		t.made = s
		return true
	}
	// The final name comes first: a crash may have left both. Of a link only what
	// it says tells that it was made.
	temporary := made(t.partial)
	if made(t.final) || t.isLink() {
		if temporary && t.kind() != merkle.Directory {
			if err := layer.erase(t.partial); err != nil {
				return nil, false, diskErr("delete", t.partial, err)
			}
		}
		t.moved()
	} else if !temporary {
		return nil, false, nil
	}
	if t.kind() != merkle.Directory {
		return t, true, nil
	}
	root, err := os.OpenRoot(t.partial)
	if err != nil {
		return nil, false, diskErr("open", t.partial, err)
	}
	t.root = root
	return t, true, nil
}

// isLink tells whether the target is a link and stands under its final name.
func (t *target) isLink() bool {
	if t.kind() != merkle.Symlink {
		return false
	}
	to, err := os.Readlink(t.final)
	return err == nil && to == filepath.FromSlash(t.table.Entries[0].Target)
}

// prepare makes directories, empty files and what the tree itself carries of
// files. It returns the entries whose files it wrote to.
func (t *target) prepare() (wrote []int, err error) {
	if t.kind() == merkle.File { // gets its length before it is fetched, and after the index knows of it
		h, err := t.open(0)
		if err != nil {
			return nil, err
		}
		t.files.release(h)
	}
	for i := range t.table.Entries {
		e := &t.table.Entries[i]
		switch {
		case e.Type == merkle.Directory && i > 0:
			if err := t.mkdir(i); err != nil {
				return nil, err
			}
		case e.Type == merkle.File:
			did, err := t.writeInline(i)
			if err != nil {
				return nil, err
			}
			if did {
				wrote = append(wrote, i)
			}
		}
	}
	return wrote, nil
}

func (t *target) mkdir(entry int) error {
	rel := filepath.FromSlash(t.table.Entries[entry].Path)
	err := t.makeEntry(entry, func() error { return t.root.Mkdir(rel, 0o777) })
	if errors.Is(err, fs.ErrExist) {
		fi, lerr := t.root.Lstat(rel)
		if lerr == nil && fi.IsDir() {
			return nil
		}
	}
	if err != nil {
		return diskErr("create", t.path(entry), err)
	}
	return nil
}

// writeInline writes the spans of a file that are no pieces; an empty file is
// only made.
func (t *target) writeInline(entry int) (bool, error) {
	e := &t.table.Entries[entry]
	did := e.Size == 0
	if did {
		h, err := t.open(entry)
		if err != nil {
			return false, err
		}
		t.files.release(h)
	}
	for _, s := range e.Spans {
		if s.Piece >= 0 || len(s.Inline) == 0 {
			continue
		}
		if err := t.writeAt(entry, s.Inline, s.Offset); err != nil {
			return false, err
		}
		did = true
	}
	return did, nil
}

// move runs rename, which gives the target its final name, and notes that it
// stands there. Nobody can ask where it stands between the two.
func (t *target) move(rename func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := rename()
	if err == nil {
		t.partial, t.renamed = t.final, true
	}
	return err
}

// moved notes that the target stands under its final name.
func (t *target) moved() { _ = t.move(func() error { return nil }) }

// path is where an entry stands now. Peers may be served while Finish renames:
// who opens it asks again afterwards.
func (t *target) path(entry int) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.at(entry)
}

// at is path with mu held.
func (t *target) at(entry int) string {
	return filepath.Join(t.partial, filepath.FromSlash(t.table.Entries[entry].Path))
}

// open returns the handle of a file for writing; a new file is made, at its length.
func (t *target) open(entry int) (*handle, error) {
	id := t.first + uint64(entry) | writing
	if h := t.files.acquire(id); h != nil {
		return h, nil
	}
	f, err := t.openFile(entry)
	if err == nil {
		err = t.grow(f, t.table.Entries[entry].Size)
	}
	if err != nil {
		return nil, diskErr("open", t.path(entry), err)
	}
	return t.files.insert(id, f, state{}), nil
}

func (t *target) openFile(entry int) (*os.File, error) {
	if t.root == nil {
		f, err := os.OpenFile(t.partial, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		if s, err := stateOf(f); err != nil || s.Dev != t.made.Dev || s.Ino != t.made.Ino {
			_ = f.Close() // nothing was written
			return nil, errors.Join(err, errors.New("it was replaced by another program"))
		}
		return f, nil
	}
	rel := filepath.FromSlash(t.table.Entries[entry].Path)
	var f *os.File
	err := t.makeEntry(entry, func() (err error) {
		f, err = t.root.OpenFile(rel, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		return err
	})
	if err == nil {
		return f, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	// os.Root follows links that stay inside; here none may be followed.
	want, err := t.root.Lstat(rel)
	if err != nil {
		return nil, err
	}
	if !want.Mode().IsRegular() {
		return nil, errors.New("something else than the file stands there")
	}
	if f, err = t.root.OpenFile(rel, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	if got, err := f.Stat(); err != nil || !os.SameFile(want, got) {
		_ = f.Close() // nothing was written
		return nil, errors.Join(err, errors.New("it was replaced by another program"))
	}
	return f, nil
}

func (t *target) writeAt(entry int, b []byte, off int64) error {
	h, err := t.open(entry)
	if err != nil {
		return err
	}
	defer t.files.release(h)
	if _, err := t.layer.writeAt(h.file, b, off); err != nil {
		return diskErr("write", t.path(entry), err)
	}
	return nil
}
