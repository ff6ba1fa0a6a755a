package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// fault is what happens at one operation of a store.
type fault uint8

const (
	noFault  fault = iota
	kill           // the process ends before it
	power          // and what was not durable is lost
	torn           // as power, with half of it done if it writes
	noSpace        // it fails with ENOSPC, once
	badDisk        // it fails with EIO, once; what a sync should have made durable is never written
	badLater       // as badDisk, and it is still read from memory until all is done again
	roMount        // it and all after it fail with EROFS
)

var faultNames = map[fault]string{kill: "kill", power: "power loss", torn: "torn write", noSpace: "ENOSPC", badDisk: "EIO", badLater: "EIO seen later", roMount: "EROFS"}

// faultLayer counts the operations of a store, and fails or loses what a disk
// may. What a sync makes durable is what journaling file systems promise: the
// bytes of the file, and that it and the directories above it are there. A
// rename or a deletion takes a sync of the directory.
type faultLayer struct {
	osLayer

	mu     sync.Mutex
	mode   fault
	at     int // operation, counted from 1
	n      int
	grave  string // directory for files that were erased and may come back
	writes int    // left until the next write fails with ENOSPC; negative: none fails
	down   bool
	early  int // files that were not durable when a rename came

	unsaved map[string][]extent // by path at the time of writing
	failed  map[string][]extent // that a failed sync forgot: in memory alone, whatever is synced later
	created []string
	erased  []string
	moved   [][2]string
	swapped [][2]string
	renames [][2]string // all of them
}

type extent struct {
	off    int64
	length int
}

func newFaultLayer() *faultLayer {
	return &faultLayer{writes: -1, unsaved: map[string][]extent{}, failed: map[string][]extent{}}
}

var errDown = errors.New("the machine is down")

// step counts an operation and says how it fails. mu is held.
func (l *faultLayer) step(path string) error {
	if l.down {
		return errDown
	}
	l.n++
	if l.mode == noFault || l.n < l.at {
		return nil
	}
	var errno syscall.Errno
	switch {
	case l.mode == roMount:
		errno = syscall.EROFS
	case l.n > l.at:
		return nil
	case l.mode == noSpace:
		errno = syscall.ENOSPC
	case l.mode == badDisk || l.mode == badLater:
		errno = syscall.EIO
	default:
		l.down = true
		return errDown
	}
	return &os.PathError{Op: "do", Path: path, Err: errno}
}

func (l *faultLayer) writeAt(f *os.File, b []byte, off int64) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writes == 0 && !l.down {
		return 0, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	if err := l.step(f.Name()); err != nil {
		if l.mode == torn && l.n == l.at {
			_, _ = f.WriteAt(b[:len(b)/2], off)
		}
		return 0, err
	}
	l.writes = max(-1, l.writes-1)
	l.unsaved[f.Name()] = append(l.unsaved[f.Name()], extent{off, len(b)})
	l.failed[f.Name()] = slices.DeleteFunc(l.failed[f.Name()], func(e extent) bool {
		return off <= e.off && e.off+int64(e.length) <= off+int64(len(b))
	})
	return f.WriteAt(b, off)
}

func (l *faultLayer) sync(f *os.File) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.step(f.Name()); err != nil {
		l.forget(f.Name())
		return err
	}
	delete(l.unsaved, f.Name())
	l.created = slices.DeleteFunc(l.created, func(path string) bool { return within(f.Name(), path) })
	return nil
}

// forget is what a failed sync does to the pages of a file. mu is held.
func (l *faultLayer) forget(path string) {
	if (l.mode == badDisk || l.mode == badLater) && l.n == l.at {
		l.failed[path] = append(l.failed[path], l.unsaved[path]...)
		delete(l.unsaved, path)
	}
}

func (l *faultLayer) syncTree(dir *os.File) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.step(dir.Name()); err != nil {
		for path := range l.unsaved {
			l.forget(path)
		}
		return false, err
	}
	clear(l.unsaved)
	l.created, l.moved, l.erased, l.swapped = nil, nil, nil, nil
	return true, nil
}

func (l *faultLayer) syncDir(dir string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.step(dir); err != nil {
		return err
	}
	in := func(path string) bool { return filepath.Dir(path) == dir }
	l.created = slices.DeleteFunc(l.created, in)
	l.erased = slices.DeleteFunc(l.erased, in)
	l.moved = slices.DeleteFunc(l.moved, func(m [2]string) bool { return in(m[1]) })
	l.swapped = slices.DeleteFunc(l.swapped, func(m [2]string) bool { return in(m[1]) })
	return nil
}

func (l *faultLayer) create(path string, make func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.step(path); err != nil {
		return err
	}
	err := make()
	if err == nil {
		l.created = append(l.created, path)
	}
	return err
}

func (l *faultLayer) change(path string, do func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.step(path); err != nil {
		return err
	}
	return do()
}

func (l *faultLayer) erase(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.step(path); err != nil {
		return err
	}
	if l.grave == "" {
		return os.Remove(path)
	}
	err := os.Rename(path, filepath.Join(l.grave, filepath.Base(path)))
	if err == nil {
		l.erased = append(l.erased, path)
	}
	return err
}

func (l *faultLayer) commit(do func() error) error {
	l.mu.Lock()
	err := l.step("index.db")
	l.mu.Unlock() // a transaction may take long, and asks for nothing of the layer
	if err != nil {
		return err
	}
	return do()
}

func (l *faultLayer) rename(from, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.step(to); err != nil {
		return err
	}
	l.renames = append(l.renames, [2]string{from, to})
	l.moved = append(l.moved, [2]string{from, to})
	l.early += len(l.unsaved)
	return renameNew(from, to)
}

func (l *faultLayer) swap(a, b string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.step(b); err != nil {
		return err
	}
	l.early += len(l.unsaved)
	l.swapped = append(l.swapped, [2]string{a, b})
	return swapNames(a, b)
}

// remove deletes for good: an update does it when the new version is durable.
func (l *faultLayer) remove(root *os.Root, rel string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.step(filepath.Join(root.Name(), rel)); err != nil {
		return err
	}
	return root.Remove(rel)
}

// within tells whether path is dir or below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+string(filepath.Separator))
}

// crash is the end of the process; with power loss what was not durable turns
// to zeros, or is not there.
func (l *faultLayer) crash(t *testing.T, power bool) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	if !power {
		return
	}
	l.zero(t, l.unsaved)
	l.zero(t, l.failed)
	clear(l.failed)
	for _, m := range l.swapped { // before syncDir nothing else is done to them
		if err := swapNames(m[0], m[1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range slices.Backward(l.moved) {
		if err := os.Rename(m[1], m[0]); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range slices.Backward(l.created) {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range l.erased {
		if err := os.Rename(filepath.Join(l.grave, filepath.Base(path)), path); err != nil {
			t.Fatal(err)
		}
	}
}

// revive starts a machine that went down.
func (l *faultLayer) revive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down, l.mode = false, noFault
	clear(l.unsaved)
	l.created, l.erased, l.moved, l.swapped = nil, nil, nil, nil
}

// heal ends the fault.
func (l *faultLayer) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mode = noFault
}

// restart is what reads find when memory is empty: what a failed sync forgot is gone.
func (l *faultLayer) restart(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.zero(t, l.failed)
	clear(l.failed)
}

// zero overwrites what was written to files, wherever they were renamed to.
func (l *faultLayer) zero(t *testing.T, files map[string][]extent) {
	t.Helper()
	for path, extents := range files {
		for _, r := range l.renames {
			if _, err := os.Stat(path); err != nil && within(path, r[0]) {
				path = r[1] + path[len(r[0]):]
			}
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue // it was erased
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range extents {
			if _, err := f.WriteAt(make([]byte, e.length), e.off); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
