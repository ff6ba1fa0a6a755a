package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
)

// fetchKept keeps the first n pieces of c as a reader does.
func fetchKept(t *testing.T, d *Disk, c content, n int) {
	t.Helper()
	w := mustCreate(t, d, c, CreateOptions{Borrow: true})
	for i, block := range c.pieces[:n] {
		if err := w.Write(i, block); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func single(t *testing.T, seed, size int) content {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, noise(seed, size))
	return load(t, path)
}

func mustEvict(t *testing.T, d *Disk, limit int64) []Freed {
	t.Helper()
	freed, err := d.Evict(limit)
	if err != nil {
		t.Fatal(err)
	}
	return freed
}

// TestEvict: what readers left goes least recently used first, root by root,
// and nothing else does.
func TestEvict(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDisk(t, dir)
	var cs []content
	for i := range 4 {
		c := single(t, 50+i, 1000*(i+1))
		fetchKept(t, d, c, 1)
		cs = append(cs, c)
	}
	mine := sample(t, 1)
	added := mustAdd(t, d, mine, AddOptions{})
	private := filepath.Join(t.TempDir(), "private")
	write(t, private, noise(60, 5000))
	copied := mustAdd(t, d, private, AddOptions{Copy: true})
	if _, err := d.ReadPiece(t.Context(), cs[0].table.Pieces[0].Key, nil); err != nil { // used last now
		t.Fatal(err)
	}
	if err := d.Pin(cs[1].table.Root); err != nil {
		t.Fatal(err)
	}
	busy := mustCreate(t, d, cs[2], CreateOptions{Borrow: true})
	if u, err := d.Usage(); err != nil || u != (Usage{Cached: 8000, Pinned: 2000}) {
		t.Errorf("got %+v, %v", u, err)
	}
	if freed := mustEvict(t, d, 8000); len(freed) != 0 {
		t.Errorf("evicted %+v below the limit", freed)
	}
	freed := mustEvict(t, d, 7000)
	if len(freed) != 1 || !freed[0].Root.Equals(cs[3].table.Root) || freed[0].Bytes != 4000 || !freed[0].Gone {
		t.Errorf("evicted %+v, want the fourth: the second is pinned, the third in use", freed)
	}
	if err := busy.Close(); err != nil {
		t.Fatal(err)
	}
	freed = mustEvict(t, d, 0)
	if len(freed) != 2 || !freed[0].Root.Equals(cs[2].table.Root) || !freed[1].Root.Equals(cs[0].table.Root) {
		t.Errorf("evicted %+v, want the third and then the first", freed)
	}
	roots, err := d.Roots()
	if err != nil || len(roots) != 3 || !roots[0].Pinned || !roots[0].Cached || roots[1].Cached || roots[2].Cached {
		t.Errorf("left: %+v, %v", roots, err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "pieces")); err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v, want the pinned and the copied", left, err)
	}
	for _, c := range []merkle.Key{cs[1].table.Pieces[0].Key, load(t, private).table.Pieces[0].Key} {
		if _, err := d.ReadPiece(t.Context(), c, nil); err != nil {
			t.Error(err)
		}
	}
	for bad, err := range d.Verify(t.Context(), added.CID) {
		t.Errorf("%+v, %v", bad, err)
	}
	if err := d.Unshare(copied.CID); err != nil {
		t.Error(err)
	}
}

// TestUsedSurvives: the order of use is known after a restart.
func TestUsedSurvives(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := single(t, 70, 1000), single(t, 71, 1000)
	fetchKept(t, d, a, 1)
	fetchKept(t, d, b, 1)
	if _, err := d.ReadPiece(t.Context(), a.table.Pieces[0].Key, nil); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openDisk(t, dir)
	if r, err := d.Root(b.table.Root); err != nil || !r.Cached || r.State != Complete {
		t.Errorf("got %+v, %v", r, err)
	}
	if freed := mustEvict(t, d, 1000); len(freed) != 1 || !freed[0].Root.Equals(b.table.Root) {
		t.Errorf("evicted %+v, want the second", freed)
	}
}

// TestPin: a pinned root is not unshared, and a pin needs a root.
func TestPin(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir())
	c := single(t, 80, 1000)
	root := c.table.Root
	if err := d.Pin(root); !errors.Is(err, ErrNotFound) {
		t.Errorf("Pin of nothing: %v", err)
	}
	if err := d.Unpin(root); !errors.Is(err, ErrNotPinned) || err.Error() != "unpin "+root.String()+": it is not pinned" {
		t.Errorf("Unpin of nothing: %v", err)
	}
	fetchKept(t, d, c, 1)
	for range 2 {
		if err := d.Pin(root); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Unshare(root); !errors.Is(err, ErrPinned) {
		t.Errorf("Unshare: %v", err)
	}
	if err := d.Unpin(root); err != nil {
		t.Fatal(err)
	}
	if err := d.Unpin(root); !errors.Is(err, ErrNotPinned) {
		t.Errorf("second Unpin: %v", err)
	}
	if err := d.Unshare(root); err != nil {
		t.Error(err)
	}
}

// TestBorrow: a reader of what the user holds copies nothing, fetches what the
// user's file lost meanwhile, and leaves nothing when it fetched nothing.
func TestBorrow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDisk(t, dir)
	src := sample(t, 1)
	r := mustAdd(t, d, src, AddOptions{})
	c := load(t, src)
	w := mustCreate(t, d, c, CreateOptions{Borrow: true})
	for i, have := range w.Have() {
		if !have {
			t.Errorf("piece %d is not here", i)
		}
	}
	if _, err := w.Finish(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("Finish of what is borrowed: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, 0)
	if got, err := d.Root(r.CID); err != nil || got.State != Complete || got.Path != src || got.Cached || got.Have != got.Pieces {
		t.Errorf("got %+v, %v", got, err)
	}
	w = mustCreate(t, d, c, CreateOptions{Borrow: true})
	poke(t, filepath.Join(src, "large"), 5)
	if _, err := d.ReadPiece(t.Context(), c.table.Pieces[0].Key, nil); !errors.Is(err, ErrChanged) {
		t.Fatalf("got %v", err)
	}
	if err := w.Write(0, c.pieces[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, 1)
	if b, err := d.ReadPiece(t.Context(), c.table.Pieces[0].Key, nil); err != nil || !bytes.Equal(b, c.pieces[0]) {
		t.Errorf("the piece that the reader fetched: %v", err)
	}
	if u, err := d.Usage(); err != nil || u.Cached != int64(len(c.pieces[0])) {
		t.Errorf("got %+v, %v", u, err)
	}
	if freed := mustEvict(t, d, 0); len(freed) != 1 || freed[0].Gone {
		t.Errorf("evicted %+v", freed)
	}
	if got, err := d.Root(r.CID); err != nil || got.Have != got.Pieces-1 || got.State == Complete {
		t.Errorf("got %+v, %v", got, err)
	}
}

// wantFiles counts the files of pieces.
func wantFiles(t *testing.T, dir string, want int) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, "pieces"))
	if err != nil || len(files) != want {
		t.Errorf("%d files of pieces, %v, want %d", len(files), err, want)
	}
}

// TestBorrowNothing: a reader that took nothing leaves no root.
func TestBorrowNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDisk(t, dir)
	c := load(t, sample(t, 1))
	fetchKept(t, d, c, 0)
	if roots, err := d.Roots(); err != nil || len(roots) != 0 {
		t.Errorf("got %+v, %v", roots, err)
	}
	wantFiles(t, dir, 0)
}

// TestReadEmpty: a root without pieces that is the user's, and pinned, stays
// when it is read.
func TestReadEmpty(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir())
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	r := mustAdd(t, d, empty, AddOptions{Copy: true})
	if err := d.Pin(r.CID); err != nil {
		t.Fatal(err)
	}
	fetchKept(t, d, load(t, empty), 0)
	if got, err := d.Root(r.CID); err != nil || !got.Pinned || got.State != Complete {
		t.Errorf("got %+v, %v", got, err)
	}
	// One that is pinned while it is read for the first time stays too.
	d = openDisk(t, t.TempDir())
	w := mustCreate(t, d, load(t, empty), CreateOptions{Borrow: true})
	if err := errors.Join(d.Pin(r.CID), w.Close()); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Root(r.CID); err != nil || !got.Pinned {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestAdopt: add --copy of what readers kept makes it the user's.
func TestAdopt(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, noise(90, 2<<20+7))
	c := load(t, path)
	fetchKept(t, d, c, len(c.pieces))
	if r := mustAdd(t, d, path, AddOptions{Copy: true}); r.Cached || r.State != Complete {
		t.Errorf("got %+v", r)
	}
	if freed := mustEvict(t, d, 0); len(freed) != 0 {
		t.Errorf("evicted %+v", freed)
	}
	if r, err := d.Root(c.table.Root); err != nil || r.Cached || r.Have != len(c.pieces) {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestEvictAfterGet: a root that was read and then fetched to a path loses the
// pieces kept for readers and stays whole.
func TestEvictAfterGet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDisk(t, dir)
	c := load(t, sample(t, 3))
	fetchKept(t, d, c, 2)
	w := mustCreate(t, d, c, CreateOptions{Path: filepath.Join(t.TempDir(), "out")})
	fillAll(t, w, c)
	if _, err := w.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if freed := mustEvict(t, d, 0); len(freed) != 1 || freed[0].Gone {
		t.Errorf("evicted %+v", freed)
	}
	wantFiles(t, dir, 0)
	if r, err := d.Root(c.table.Root); err != nil || r.Have != r.Pieces || r.State != Complete || r.Cached {
		t.Errorf("got %+v, %v", r, err)
	}
	for bad, err := range d.Verify(t.Context(), c.table.Root) {
		t.Errorf("%+v, %v", bad, err)
	}
}

// TestLeftover: files that no index knows go, an add in progress keeps its own.
func TestLeftover(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDisk(t, dir)
	c := single(t, 95, 1000)
	fetchKept(t, d, c, 1)
	write(t, filepath.Join(dir, "pieces", "0123456789abcdef"), noise(96, 300))
	k, err := d.newKept()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.Leftover(); err != nil || n != 300 {
		t.Errorf("got %d, %v, want 300", n, err)
	}
	wantFiles(t, dir, 2)
	k.abandon()
	if _, err := d.ReadPiece(context.Background(), c.table.Pieces[0].Key, nil); err != nil {
		t.Error(err)
	}
}

// TestOldIndex: an index from before there were pins is opened.
func TestOldIndex(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	src := sample(t, 1)
	r := mustAdd(t, d, src, AddOptions{})
	err = d.update(func(t tx) error {
		return errors.Join(t.DeleteBucket(pinsBucket), t.DeleteBucket(cachedBucket))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.db.Close(); err != nil {
		t.Fatal(err)
	}
	d = openDisk(t, dir)
	if err := d.Pin(r.CID); err != nil {
		t.Error(err)
	}
}

// TestEvictLent: what a reader of another root lives from stays while it does.
func TestEvictLent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDisk(t, dir)
	c := load(t, sample(t, 1))
	fetchKept(t, d, c, len(c.pieces))
	other := single(t, 0, 2<<20+5) // large of sample
	w := mustCreate(t, d, other, CreateOptions{Borrow: true})
	for i, have := range w.Have() {
		if !have {
			t.Errorf("piece %d is not here", i)
		}
	}
	if freed := mustEvict(t, d, 0); len(freed) != 0 {
		t.Errorf("evicted %+v", freed)
	}
	for i, p := range other.table.Pieces {
		if _, err := d.ReadPiece(t.Context(), p.Key, nil); err != nil {
			t.Errorf("piece %d: %v", i, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if freed := mustEvict(t, d, 0); len(freed) != 1 {
		t.Errorf("evicted %+v, want the one", freed)
	}
	wantFiles(t, dir, 0)
}

// TestEvictComplete: a root that was whole only by what is evicted is not any more.
func TestEvictComplete(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir())
	c := load(t, sample(t, 2))
	w := mustCreate(t, d, c, CreateOptions{Path: filepath.Join(t.TempDir(), "out")})
	if err := errors.Join(w.Write(0, c.pieces[0]), w.Close()); err != nil {
		t.Fatal(err)
	}
	w = mustCreate(t, d, c, CreateOptions{})
	fillAll(t, w, c)
	if _, err := w.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := d.Root(c.table.Root); err != nil || r.State != Complete || r.Cached {
		t.Fatalf("got %+v, %v", r, err)
	}
	mustEvict(t, d, 0)
	if r, err := d.Root(c.table.Root); err != nil || r.State != Fetching || r.Have != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestEvictLate: what was pinned or made the user's after Evict had looked stays.
func TestEvictLate(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, noise(91, 1000))
	for _, late := range []func(c content){
		func(c content) { mustAdd(t, d, path, AddOptions{Copy: true}) },
		func(c content) {
			if err := d.Pin(c.table.Root); err != nil {
				t.Fatal(err)
			}
		},
	} {
		c := load(t, path)
		fetchKept(t, d, c, 1)
		vs, err := d.victims()
		if err != nil || len(vs) != 1 {
			t.Fatalf("got %+v, %v", vs, err)
		}
		late(c)
		if _, err := d.evict(vs[0]); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v", err)
		}
		if _, err := d.ReadPiece(t.Context(), c.table.Pieces[0].Key, nil); err != nil {
			t.Error(err)
		}
		write(t, path, noise(92, 1000))
	}
}
