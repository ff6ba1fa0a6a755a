package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
)

// bigFile is 256 MiB that the system has in memory.
func bigFile(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "big")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 256 {
		if _, err := f.Write(noise(i, 1<<20)); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

func benchDisk(b *testing.B) *Disk {
	b.Helper()
	d, err := Open(b.TempDir(), Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Error(err)
		}
	})
	return d
}

func BenchmarkAdd(b *testing.B) {
	path, d := bigFile(b), benchDisk(b)
	b.SetBytes(256 << 20)
	for b.Loop() {
		// Only the first time is the file unknown; hashing alone is what repeats.
		if _, err := d.Add(b.Context(), path, AddOptions{OnlyHash: true}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAddTree adds SHOAL_BENCH_TREE (a directory of many small files) to a new store.
func BenchmarkAddTree(b *testing.B) {
	path := os.Getenv("SHOAL_BENCH_TREE")
	if path == "" {
		b.Skip("SHOAL_BENCH_TREE is not set")
	}
	for b.Loop() {
		if _, err := benchDisk(b).Add(b.Context(), path, AddOptions{Hidden: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func benchTable(b *testing.B, d *Disk, path string) (*merkle.Table, []merkle.Block) {
	b.Helper()
	r, err := d.Add(b.Context(), path, AddOptions{})
	if err != nil {
		b.Fatal(err)
	}
	tree, err := LoadTree(d, r.CID)
	if err != nil {
		b.Fatal(err)
	}
	table, err := tree.Table()
	if err != nil {
		b.Fatal(err)
	}
	return table, tree.Blocks()
}

func BenchmarkReadPiece(b *testing.B) {
	d := benchDisk(b)
	table, _ := benchTable(b, d, bigFile(b))
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 0, merkle.MaxLeaf)
		for i := 0; pb.Next(); i++ {
			if _, err := d.ReadPiece(b.Context(), table.Pieces[i%len(table.Pieces)].Key, buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkWrite is a whole download: Create, Write of 256 pieces, Finish.
func BenchmarkWrite(b *testing.B) {
	table, tree := benchTable(b, benchDisk(b), bigFile(b))
	blocks := make([][]byte, len(table.Pieces))
	for i := range blocks {
		blocks[i] = noise(i, 1<<20)
	}
	b.SetBytes(256 << 20)
	for b.Loop() {
		w, err := benchDisk(b).Create(b.Context(), table, tree, CreateOptions{Path: filepath.Join(b.TempDir(), "out")})
		if err != nil {
			b.Fatal(err)
		}
		for i, block := range blocks {
			if err := w.Write(i, block); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.Finish(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRoots opens a store of 50,000 roots and lists them.
func BenchmarkRoots(b *testing.B) {
	dir := b.TempDir()
	d, err := Open(dir, Config{})
	if err != nil {
		b.Fatal(err)
	}
	err = d.update(func(t tx) error {
		for i := range 50_000 {
			c := merkle.UnixFSv1.Leaf(fmt.Append(nil, i)).CID
			r, _, err := t.begin(c)
			if err != nil {
				return err
			}
			n, p, err := t.newPlace(placeRec{Root: rootKey(c), Base: fmt.Sprintf("/somewhere/in/a/directory/file-%d", i)}, 1)
			if err != nil {
				return err
			}
			r.Places = append(r.Places, n)
			if err := t.in(filesBucket).Put(num(p.First), fileRec{Place: n}.append(nil)); err != nil {
				return err
			}
			k, _ := merkle.KeyOf(c)
			if err := t.putLeaves([]located{{k, p.First, location{Payload: 5}}}); err != nil {
				return err
			}
			if err := t.putRoot(rootKey(c), r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		d, err := Open(dir, Config{})
		if err != nil {
			b.Fatal(err)
		}
		if roots, err := d.Roots(); err != nil || len(roots) != 50_000 {
			b.Fatal(len(roots), err)
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
