package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A file that holds the content becomes the target itself, and is resumed, served
// and finished as if it had been written.
func TestWhole(t *testing.T) {
	t.Parallel()
	data := noise(3, 3<<20+5)
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, data)
	c := load(t, src)
	dir, into := t.TempDir(), t.TempDir()
	d := openDisk(t, dir)
	whole := filepath.Join(dir, "whole")
	write(t, whole, data)
	was, err := stateAt(whole)
	if err != nil {
		t.Fatal(err)
	}
	opt := CreateOptions{Path: filepath.Join(into, "out"), Whole: whole}
	w := mustCreate(t, d, c, opt)
	for i, have := range w.Have() {
		if !have {
			t.Errorf("piece %d is not here", i)
		}
	}
	if _, err := os.Lstat(whole); !os.IsNotExist(err) {
		t.Errorf("the file stands where it stood: %v", err)
	}
	if err := w.Close(); err != nil { // and again, as after a crash
		t.Fatal(err)
	}
	w = mustCreate(t, d, c, opt)
	path, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v; want the content", len(got), err)
	}
	if is, err := stateAt(path); err != nil || is.Ino != was.Ino {
		t.Errorf("it was copied: inode %d, was %d, %v", is.Ino, was.Ino, err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(into, "plain")
	f, err := os.Create(plain)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if other, err := f.Stat(); err != nil || fi.Mode() != other.Mode() {
		t.Errorf("mode %v, want that of any new file, %v", fi.Mode(), other.Mode())
	}
	for _, p := range c.table.Pieces {
		if _, err := d.ReadPiece(t.Context(), p.Key, nil); err != nil {
			t.Error(err)
		}
	}
	if err := w.Write(0, nil); err != nil {
		t.Errorf("a piece that is here came again after the end: %v", err)
	}
}

// What is not the content's length is left alone.
func TestNotWhole(t *testing.T) {
	t.Parallel()
	data := noise(4, 2<<20)
	src, short := filepath.Join(t.TempDir(), "f"), filepath.Join(t.TempDir(), "short")
	write(t, src, data)
	write(t, short, data[1:])
	d := openDisk(t, t.TempDir())
	w := mustCreate(t, d, load(t, src), CreateOptions{Path: filepath.Join(t.TempDir(), "out"), Whole: short})
	if have := w.Have(); have[0] || have[1] {
		t.Errorf("have %v of a file that is too short", have)
	}
	if _, err := os.Lstat(short); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
