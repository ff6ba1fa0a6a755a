package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// countLayer counts the bytes that are read.
type countLayer struct {
	osLayer
	read atomic.Int64
}

func (l *countLayer) readAt(f *os.File, b []byte, off int64) (int, error) {
	l.read.Add(int64(len(b)))
	return l.osLayer.readAt(f, b, off)
}

// settle makes the index believe that all files were hashed an hour after they
// were written.
func settle(t *testing.T, d *Disk) {
	t.Helper()
	err := d.update(func(t tx) error {
		files := map[uint64]fileRec{}
		if err := t.eachFile(placeRec{Count: 1 << 40}, func(n uint64, f fileRec) error {
			files[n] = f
			return nil
		}); err != nil {
			return err
		}
		for n, f := range files {
			f.At += int64(time.Hour)
			if err := t.in(filesBucket).Put(num(n), f.append(nil)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUsingSkipsIndexed: what the index has of an unchanged file is read once,
// to be brought over, and not again because the file is named.
func TestUsingSkipsIndexed(t *testing.T) {
	t.Parallel()
	old := sample(t, 5)
	src := sample(t, 5)
	changed := noise(0, 2<<20+5)
	changed[7] ^= 1
	write(t, filepath.Join(src, "large"), changed)
	c := load(t, src)
	for _, settled := range []bool{true, false} {
		d := openDisk(t, t.TempDir())
		r, err := d.Add(t.Context(), old, AddOptions{Modes: true})
		if err != nil {
			t.Fatal(err)
		}
		if settled {
			settle(t, d)
		}
		layer := &countLayer{}
		d.layer = layer
		w := mustCreate(t, d, c, CreateOptions{Path: filepath.Join(t.TempDir(), "out"), Using: []string{old}})
		if n := w.(*diskWriter).left; n != 1 {
			t.Errorf("%d pieces are missing, want 1", n)
		}
		if read := layer.read.Load(); (read <= r.Size) != settled {
			t.Errorf("files at rest %v: %d bytes were read of %d", settled, read, r.Size)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUsingStops: a search ends with its context, and a disk that is full ends it too.
func TestUsingStops(t *testing.T) {
	t.Parallel()
	src := sample(t, 5)
	c := load(t, src)
	d := openDisk(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.Create(ctx, c.table, c.tree, CreateOptions{Path: filepath.Join(t.TempDir(), "out"), Using: []string{src}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	layer := newFaultLayer()
	layer.writes = 2
	d.layer = layer
	_, err = d.Create(t.Context(), c.table, c.tree, CreateOptions{Path: filepath.Join(t.TempDir(), "out"), Using: []string{src}})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("full disk: %v", err)
	}
}

// TestCutOfUnevenFile: a file that is cut at its own places is looked for at
// these in a file of the same path.
func TestCutOfUnevenFile(t *testing.T) {
	t.Parallel()
	q := &quarry{
		frames: map[int][]leafKind{5: {{}}, 7: {{}}, 30: {{}}},
		cuts:   []int64{10}, odd: map[string][]stretch{"a": {{0, 5}, {5, 7}, {12, 7}}},
	}
	for _, test := range []struct {
		rel  string
		size int64
		want []stretch
	}{
		{"a", 12, []stretch{{0, 5}, {5, 7}}},
		{"b", 12, nil},
		{"b", 27, []stretch{{20, 7}}},
		{"b", 30, []stretch{{0, 30}}},
		{"b", 7, []stretch{{0, 7}}},
		{"b", 0, nil},
	} {
		var got []stretch
		q.each(test.rel, test.size, func(s stretch) bool {
			got = append(got, s)
			return true
		})
		if len(got) != len(test.want) {
			t.Errorf("%s of %d bytes: got %v, want %v", test.rel, test.size, got, test.want)
			continue
		}
		for i := range got {
			if got[i] != test.want[i] {
				t.Errorf("%s of %d bytes: got %v, want %v", test.rel, test.size, got, test.want)
			}
		}
	}
}
