package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
)

// TestAddChanging: a file that changes while it is hashed is named.
func TestAddChanging(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir())
	path := filepath.Join(sample(t, 0), "large")
	var once sync.Once
	_, err := d.Add(t.Context(), path, AddOptions{Progress: func(int64) {
		once.Do(func() { write(t, path, noise(9, 2<<20+5)) })
	}})
	if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

// TestAddReadsOnce: a file in the state it was added in is not read again,
// unless it was written too lately to tell.
func TestAddReadsOnce(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir())
	src := sample(t, 3)
	first := mustAdd(t, d, src, AddOptions{})
	recall := func() (read int) {
		known := d.recall(first.Path, AddOptions{})
		s := &scan{base: first.Path, hashers: 2, known: func(n *node, st state) []merkle.Leaf {
			ls := known(n, st)
			if ls == nil {
				read++
			}
			return ls
		}}
		link, err := s.run(t.Context())
		if err != nil || !link.CID.Equals(first.CID) {
			t.Fatalf("got %v, %v", link.CID, err)
		}
		return read
	}
	if read := recall(); read != 4 {
		t.Errorf("%d files just written were read, want all 4", read)
	}
	age(t, d)
	if read := recall(); read != 0 {
		t.Errorf("%d files were read, want none", read)
	}
	poke(t, filepath.Join(src, "sub/a"), 0)
	poke(t, filepath.Join(src, "sub/a"), 0)
	if read := recall(); read != 1 {
		t.Errorf("%d files were read, want the one that was written", read)
	}
}

// TestAddReadsOnceWithModes: leaves that were hashed without modes do not stand
// for those of an executable, whose mode is in its leaf.
func TestAddReadsOnceWithModes(t *testing.T) {
	t.Parallel()
	src := sample(t, 2)
	if err := os.Chmod(filepath.Join(src, "sub/a"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, profile := range []merkle.Profile{merkle.UnixFSv1, merkle.UnixFSv0} {
		d := openDisk(t, t.TempDir())
		for _, modes := range []bool{false, true, false, true} {
			opt := AddOptions{Modes: modes, Profile: profile}
			want, err := NewMem().Add(t.Context(), src, opt)
			if err != nil {
				t.Fatal(err)
			}
			if got := mustAdd(t, d, src, opt); !got.CID.Equals(want.CID) || got.Pieces != want.Pieces {
				t.Errorf("modes %v: got %v, %d pieces, want %v, %d", modes, got.CID, got.Pieces, want.CID, want.Pieces)
			}
			age(t, d)
		}
	}
}

// age makes every file look as if it had been added a minute later, so that
// its state proves that it has not changed.
func age(t *testing.T, d *Disk) {
	t.Helper()
	err := d.update(func(t tx) error {
		recs := map[string]fileRec{}
		err := t.in(filesBucket).ForEach(func(k, v []byte) error {
			f, err := decodeFile(v)
			f.At += int64(time.Minute)
			recs[string(k)] = f
			return err
		})
		for k, f := range recs {
			err = errors.Join(err, t.in(filesBucket).Put([]byte(k), f.append(nil)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAddLeavesOutPipes(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir())
	if _, err := d.Add(t.Context(), os.DevNull, AddOptions{}); err == nil || !strings.Contains(err.Error(), "neither") {
		t.Errorf("got %v", err)
	}
}
