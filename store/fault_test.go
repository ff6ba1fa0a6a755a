package store

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"
)

// faultLayer fails or loses what a disk may. After crash every operation
// fails, as for a process that is gone, and lose gives back what no sync had
// made durable.
type faultLayer struct {
	osLayer

	mu      sync.Mutex
	writes  int // left until the next write fails with ENOSPC; negative: none fails
	down    bool
	unsaved map[string][]extent // by path at the time of writing
	renames [][2]string
	early   int // files that were not durable when a rename came
}

type extent struct {
	off    int64
	length int
}

func newFaultLayer() *faultLayer {
	return &faultLayer{writes: -1, unsaved: map[string][]extent{}}
}

var errDown = errors.New("the machine is down")

func (l *faultLayer) writeAt(f *os.File, b []byte, off int64) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return 0, errDown
	}
	if l.writes == 0 {
		return 0, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	l.writes = max(-1, l.writes-1)
	l.unsaved[f.Name()] = append(l.unsaved[f.Name()], extent{off, len(b)})
	return f.WriteAt(b, off)
}

func (l *faultLayer) sync(f *os.File) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return errDown
	}
	delete(l.unsaved, f.Name())
	return nil
}

func (l *faultLayer) syncTree(*os.File) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return false, errDown
	}
	clear(l.unsaved)
	return true, nil
}

func (l *faultLayer) rename(from, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return errDown
	}
	l.renames = append(l.renames, [2]string{from, to})
	l.early += len(l.unsaved)
	return renameNew(from, to)
}

// crash is the end of the process; with power loss what was not durable turns to zeros.
func (l *faultLayer) crash(t *testing.T, power bool) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	if !power {
		return
	}
	for path, extents := range l.unsaved {
		for _, r := range l.renames {
			if _, err := os.Stat(path); err != nil && len(path) >= len(r[0]) && path[:len(r[0])] == r[0] {
				path = r[1] + path[len(r[0]):]
			}
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
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
