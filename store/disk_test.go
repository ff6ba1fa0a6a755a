package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
)

func mustAdd(t *testing.T, d *Disk, path string, opt AddOptions) Root {
	t.Helper()
	r, err := d.Add(t.Context(), path, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// poke changes one byte of a file in place.
func poke(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openDisk(t, dir)
	_, err := Open(dir, Config{LockWait: 1})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "--dir") {
		t.Errorf("got %v", err)
	}
}

func TestDirectoryIsPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a/b")
	openDisk(t, dir)
	fi, err := os.Stat(dir)
	if runtime.GOOS == "windows" {
		t.Skip("a directory has no mode there; that of the user is closed to others by its access list")
	}
	if err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
}

func TestDamagedIndex(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "index.db"), noise(1, 64<<10))
	if _, err := Open(dir, Config{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a file of noise: %v", err)
	}
	dir = t.TempDir()
	d := openDisk(t, dir)
	r := mustAdd(t, d, sample(t, 2), AddOptions{})
	for _, bucket := range [][]byte{rootsBucket, treesBucket, blocksBucket, placesBucket, filesBucket, leavesBucket} {
		err := d.update(func(tx tx) error {
			b := tx.in(bucket)
			var keys [][]byte
			_ = b.ForEach(func(k, _ []byte) error {
				keys = append(keys, bytes.Clone(k))
				return nil
			})
			for _, k := range keys {
				if err := b.Put(k, []byte{0xff}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	d.locs.purge()
	if _, err := d.Roots(); !errors.Is(err, ErrDamaged) {
		t.Errorf("Roots: %v", err)
	}
	if _, err := d.Root(r.CID); !errors.Is(err, ErrDamaged) {
		t.Errorf("Root: %v", err)
	}
	if _, err := d.Block(r.CID); !errors.Is(err, ErrDamaged) {
		t.Errorf("Block: %v", err)
	}
	if _, err := d.ReadPiece(t.Context(), merkle.UnixFSv1.Leaf(noise(1, 1000)).Key, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("ReadPiece: %v", err)
	}
}

// TestChanged: a piece whose bytes changed is withdrawn, the others are served.
func TestChanged(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir())
	src := sample(t, 1)
	large := filepath.Join(src, "large")
	r := mustAdd(t, d, src, AddOptions{})
	c := load(t, src)
	keys := []merkle.Key{c.table.Pieces[0].Key, c.table.Pieces[1].Key}
	if _, err := d.ReadPiece(t.Context(), keys[0], nil); err != nil {
		t.Fatal(err)
	}
	poke(t, large, 17)
	if _, err := d.ReadPiece(t.Context(), keys[0], nil); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), large) {
		t.Errorf("got %v", err)
	}
	if _, err := d.ReadPiece(t.Context(), keys[0], nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("the second time: %v", err)
	}
	if _, err := d.ReadPiece(t.Context(), keys[1], nil); err != nil {
		t.Errorf("another piece: %v", err)
	}
	if have := d.Have(keys); have[0] || !have[1] {
		t.Errorf("have %v", have)
	}
	if got, err := d.Root(r.CID); err != nil || got.Have != r.Pieces-1 || got.State != Damaged {
		t.Errorf("got %+v, %v", got, err)
	}
	poke(t, large, 17)
	if again := mustAdd(t, d, src, AddOptions{}); !again.CID.Equals(r.CID) || again.Have != r.Pieces {
		t.Errorf("added again: %+v", again)
	}
	if got, err := d.Root(r.CID); err != nil || got.State != Complete {
		t.Errorf("added again: %+v, %v", got, err)
	}
	if _, err := d.ReadPiece(t.Context(), keys[0], nil); err != nil {
		t.Errorf("added again: %v", err)
	}
}

// TestTouched: a file that was touched, or replaced by an equal one, is served.
func TestTouched(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir())
	path := filepath.Join(sample(t, 0), "large")
	mustAdd(t, d, path, AddOptions{})
	key := load(t, path).table.Pieces[0].Key
	for _, change := range []func() error{
		func() error { return os.Chmod(path, 0o600) },
		func() error {
			return errors.Join(os.WriteFile(path+"2", noise(0, 2<<20+5), 0o644), os.Rename(path+"2", path))
		},
	} {
		if _, err := d.ReadPiece(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if _, err := d.ReadPiece(t.Context(), key, nil); err != nil {
			t.Error(err)
		}
	}
}

// TestReplaced: what stands at the path counts, not what is open.
func TestReplaced(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(path string) error{
		"cut":     func(path string) error { return os.Truncate(path, 10) },
		"removed": os.Remove,
		"directory": func(path string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o755))
		},
		"link": func(path string) error {
			return errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path))
		},
	} {
		d := openDisk(t, t.TempDir())
		path := filepath.Join(sample(t, 0), "large")
		mustAdd(t, d, path, AddOptions{})
		key := load(t, path).table.Pieces[0].Key
		if _, err := d.ReadPiece(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
		if err := replace(path); err != nil {
			t.Fatal(err)
		}
		if _, err := d.ReadPiece(t.Context(), key, nil); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOtherPlace: when one place is bad the next is tried, and each root counts its own.
func TestOtherPlace(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir())
	one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	write(t, one, noise(3, 3<<20))
	write(t, two, append(noise(3, 3<<20), "more"...))
	a, b := mustAdd(t, d, one, AddOptions{}), mustAdd(t, d, two, AddOptions{})
	key := load(t, one).table.Pieces[1].Key
	poke(t, one, 1<<20)
	if _, err := d.ReadPiece(t.Context(), key, nil); err != nil {
		t.Fatal(err)
	}
	if r, err := d.Root(a.CID); err != nil || r.Have != 2 || r.State != Damaged {
		t.Errorf("the root whose file changed: %+v, %v", r, err)
	}
	if r, err := d.Root(b.CID); err != nil || r.Have != b.Pieces || r.State != Complete {
		t.Errorf("the other: %+v, %v", r, err)
	}
	poke(t, two, 1<<20)
	if _, err := d.ReadPiece(t.Context(), key, nil); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v", err)
	}
}

// TestManyPlaces: a root counts its own place of a leaf however many others
// have it.
func TestManyPlaces(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir())
	var last Root
	for i := range maxTries + 2 {
		dir := filepath.Join(t.TempDir(), "dir")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "shared"), noise(7, 1000))
		write(t, filepath.Join(dir, "own"), noise(1000+i, 1000))
		last = mustAdd(t, d, dir, AddOptions{})
	}
	if err := os.Remove(filepath.Join(last.Path, "shared")); err != nil {
		t.Fatal(err)
	}
	for bad, err := range d.Verify(t.Context(), last.CID) {
		if err != nil || !errors.Is(bad.Err, ErrChanged) {
			t.Errorf("%+v, %v", bad, err)
		}
	}
	if r, err := d.Root(last.CID); err != nil || r.Have != 1 || r.State != Damaged {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestPassingError: an error that may pass withdraws nothing.
func TestPassingError(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir())
	path := filepath.Join(sample(t, 0), "large")
	r := mustAdd(t, d, path, AddOptions{})
	key := load(t, path).table.Pieces[0].Key
	layer := &readFault{err: errors.New("input/output error")}
	d.layer = layer
	if _, err := d.ReadPiece(t.Context(), key, nil); err == nil || errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	bads := 0
	for bad, err := range d.Verify(t.Context(), r.CID) {
		if bads++; err == nil || bad.Path != path {
			t.Errorf("got %+v, %v", bad, err)
		}
	}
	if bads != 3 {
		t.Errorf("%d are bad, want 3", bads)
	}
	layer.err = nil
	if _, err := d.ReadPiece(t.Context(), key, nil); err != nil {
		t.Error(err)
	}
}

type readFault struct {
	osLayer
	err error
}

func (l *readFault) readAt(f *os.File, b []byte, off int64) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	return l.osLayer.readAt(f, b, off)
}

func TestVerifyNamesBad(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir())
	src := sample(t, 3)
	r := mustAdd(t, d, src, AddOptions{})
	c := load(t, src)
	poke(t, filepath.Join(src, "large"), 2<<20)
	if err := os.Remove(filepath.Join(src, "sub/b")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for bad, err := range d.Verify(t.Context(), cid.Undef) {
		if err != nil || !bad.Root.Equals(r.CID) || !errors.Is(bad.Err, ErrChanged) {
			t.Errorf("got %+v, %v", bad, err)
		}
		got = append(got, fmt.Sprintf("%s %d", bad.Path, bad.Piece))
	}
	sub, _ := c.table.Lookup("sub/b")
	want := []string{
		filepath.Join(src, "large") + " 2",
		fmt.Sprintf("%s %d", filepath.Join(src, "sub/b"), c.table.Entries[sub].Spans[0].Piece),
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for bad, err := range d.Verify(t.Context(), r.CID) {
		t.Errorf("withdrawn and yielded again: %+v, %v", bad, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range d.Verify(ctx, r.CID) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("stopped: %v", err)
		}
	}
}

// TestUnshareLeavesNothing looks at every bucket and at the store's directory.
func TestUnshareLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDisk(t, dir)
	src := sample(t, 3)
	for _, damaged := range []bool{false, true} {
		r := mustAdd(t, d, src, AddOptions{Modes: true, Profile: merkle.UnixFSv0})
		mustAdd(t, d, src, AddOptions{Modes: true, Profile: merkle.UnixFSv0, Copy: true})
		c := load(t, src)
		w := mustCreate(t, d, c, CreateOptions{Path: filepath.Join(t.TempDir(), "out")})
		fillAll(t, w, c)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if damaged { // a tree that cannot be read must not keep leaves alive
			if err := d.update(func(t tx) error { return t.in(blocksBucket).Delete(rootKey(r.CID)) }); err != nil {
				t.Fatal(err)
			}
		}
		for _, root := range []cid.Cid{r.CID, c.table.Root} {
			if err := d.Unshare(root); err != nil {
				t.Fatal(err)
			}
		}
		wantEmpty(t, d, dir)
	}
}

func wantEmpty(t *testing.T, d *Disk, dir string) {
	t.Helper()
	err := d.view(func(tx tx) error {
		for _, bucket := range [][]byte{rootsBucket, treesBucket, blocksBucket, placesBucket, basesBucket, filesBucket, leavesBucket, doomedBucket} {
			_ = tx.in(bucket).ForEach(func(k, _ []byte) error {
				t.Errorf("left in %s: %x", bucket, k)
				return nil
			})
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "pieces")); err != nil || len(left) > 0 {
		t.Errorf("left in pieces: %v, %v", left, err)
	}
}

// TestSweep: the next Open deletes the pieces of an Add that crashed.
func TestSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDisk(t, dir)
	if _, err := d.newKept(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, openDisk(t, dir), dir)
}

// TestReopen: a store has after Open what it had before Close.
func TestReopen(t *testing.T) {
	t.Parallel()
	dir, src := t.TempDir(), sample(t, 3)
	d := openDisk(t, dir)
	r := mustAdd(t, d, src, AddOptions{Copy: true})
	if err := d.Put("ledger", "peer", []byte("42")); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(src); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	d = openDisk(t, moved)
	for bad, err := range d.Verify(t.Context(), r.CID) {
		t.Errorf("%+v, %v", bad, err)
	}
	if got, err := d.Root(r.CID); err != nil || got.Have != r.Pieces || got.Added.UnixNano() != r.Added.UnixNano() {
		t.Errorf("got %+v, %v", got, err)
	}
	if v, err := d.Get("ledger", "peer"); err != nil || string(v) != "42" {
		t.Errorf("got %q, %v", v, err)
	}
}

// TestReadPieceDoesNotAllocate holds the promise of the serving path.
func TestReadPieceDoesNotAllocate(t *testing.T) {
	d := openDisk(t, t.TempDir())
	path := filepath.Join(sample(t, 0), "large")
	mustAdd(t, d, path, AddOptions{})
	key := load(t, path).table.Pieces[2].Key
	buf := make([]byte, 0, merkle.MaxLeaf)
	n := testing.AllocsPerRun(20, func() {
		if _, err := d.ReadPiece(t.Context(), key, buf); err != nil {
			t.Error(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}
