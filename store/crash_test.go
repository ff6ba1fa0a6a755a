package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
)

func openDisk(t *testing.T, dir string) *Disk {
	t.Helper()
	d, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// content is a root in memory, to fetch from.
type content struct {
	table  *merkle.Table
	tree   []merkle.Block
	pieces [][]byte
}

func load(t *testing.T, path string) content {
	t.Helper()
	m := NewMem()
	r, err := m.Add(t.Context(), path, AddOptions{Modes: true})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := LoadTree(m, r.CID)
	if err != nil {
		t.Fatal(err)
	}
	c := content{tree: tree.Blocks()}
	if c.table, err = tree.Table(); err != nil {
		t.Fatal(err)
	}
	for _, p := range c.table.Pieces {
		block, err := m.ReadPiece(t.Context(), p.Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.pieces = append(c.pieces, block)
	}
	return c
}

// sample writes a directory with n small files and one of three leaves.
func sample(t *testing.T, n int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sample")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "large"), noise(0, 2<<20+5))
	for i := range n {
		write(t, filepath.Join(dir, "sub", string(rune('a'+i%26))+strings.Repeat("x", i/26)), noise(i+1, 1000+i))
	}
	if err := os.Symlink("large", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func noise(seed, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 12345
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

// TestCrash ends the process after every number of steps of a download, with
// and without power loss, and resumes: what is claimed always verifies, the
// final name is absent or whole, and the download completes.
func TestCrash(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many steps of one goroutine")
	}
	src := sample(t, 4)
	c := load(t, src)
	steps := 2*len(c.pieces) + 2
	for _, power := range []bool{false, true} {
		for _, kept := range []bool{false, true} {
			for stop := range steps {
				crashAt(t, c, src, stop, power, kept)
			}
		}
	}
}

// crashAt runs a download of alternating Write and Sync until step stop.
func crashAt(t *testing.T, c content, src string, stop int, power, inStore bool) {
	t.Helper()
	dir := t.TempDir()
	d, err := Open(filepath.Join(dir, "store"), Config{})
	if err != nil {
		t.Fatal(err)
	}
	layer := newFaultLayer()
	d.layer = layer
	opt := CreateOptions{Path: filepath.Join(dir, "out")}
	if inStore {
		opt.Path = ""
	}
	w, err := d.Create(t.Context(), c.table, c.tree, opt)
	if err != nil {
		t.Fatal(err)
	}
	synced := 0
	for step := range min(stop, 2*len(c.pieces)) {
		if step%2 == 0 {
			err = w.Write(step/2, c.pieces[step/2])
		} else if err = w.Sync(); err == nil {
			synced = step/2 + 1
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	finished := stop > 2*len(c.pieces)
	if finished {
		if _, err := w.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	layer.crash(t, power)
	d.files.close()
	if err := d.db.Close(); err != nil { // only so that the lock is free
		t.Fatal(err)
	}

	d = openDisk(t, filepath.Join(dir, "store"))
	for bad, err := range d.Verify(t.Context(), c.table.Root) {
		t.Errorf("step %d, power loss %v: claimed and bad: %+v, %v", stop, power, bad, err)
	}
	for i, p := range c.table.Pieces[:synced] {
		if b, err := d.ReadPiece(t.Context(), p.Key, nil); err != nil || !bytes.Equal(b, c.pieces[i]) {
			t.Errorf("step %d, power loss %v: piece %d was synced: %v", stop, power, i, err)
		}
	}
	if finished {
		return
	}
	if _, err := os.Lstat(filepath.Join(dir, "out")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("step %d: the final name is there", stop)
	}
	w, err = d.Create(t.Context(), c.table, c.tree, opt)
	if err != nil {
		t.Fatal(err)
	}
	for i, have := range w.Have() {
		if !have && i < synced {
			t.Errorf("step %d, power loss %v: piece %d was synced and is lost", stop, power, i)
		}
		if err := w.Write(i, c.pieces[i]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	for bad, err := range d.Verify(t.Context(), c.table.Root) {
		t.Errorf("step %d: finished and bad: %+v, %v", stop, bad, err)
	}
	if !inStore {
		data, err := os.ReadFile(filepath.Join(dir, "out/large"))
		if want, _ := os.ReadFile(filepath.Join(src, "large")); err != nil || !bytes.Equal(data, want) {
			t.Errorf("step %d: the finished file differs: %v", stop, err)
		}
	}
}

// TestFinishIsDurable: what has its final name is whole after a power loss,
// without any Sync before, and nothing has it that was not durable first.
func TestFinishIsDurable(t *testing.T) {
	t.Parallel()
	tree := sample(t, 2*syncFew)
	for _, src := range []string{tree, filepath.Join(tree, "large")} {
		c := load(t, src)
		d := openDisk(t, t.TempDir())
		layer := newFaultLayer()
		d.layer = layer
		w := mustCreate(t, d, c, CreateOptions{Path: filepath.Join(t.TempDir(), "out")})
		fillAll(t, w, c)
		if _, err := w.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if layer.early > 0 {
			t.Errorf("%d files were renamed before they were durable", layer.early)
		}
		layer.crash(t, true)
		for bad, err := range d.Verify(t.Context(), c.table.Root) {
			t.Errorf("bad: %+v, %v", bad, err)
		}
	}
}

// TestUnclaimedSurvivesKill: what a killed process had written and not synced
// is found by its hash.
func TestUnclaimedSurvivesKill(t *testing.T) {
	t.Parallel()
	c := load(t, sample(t, 2))
	dir := t.TempDir()
	d, err := Open(filepath.Join(dir, "store"), Config{})
	if err != nil {
		t.Fatal(err)
	}
	opt := CreateOptions{Path: filepath.Join(dir, "out")}
	w, err := d.Create(t.Context(), c.table, c.tree, opt)
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range c.pieces[1:] {
		if err := w.Write(i+1, block); err != nil {
			t.Fatal(err)
		}
	}
	d.files.close()
	if err := d.db.Close(); err != nil {
		t.Fatal(err)
	}
	d = openDisk(t, filepath.Join(dir, "store"))
	if w, err = d.Create(t.Context(), c.table, c.tree, opt); err != nil {
		t.Fatal(err)
	}
	for i, have := range w.Have() {
		if have != (i > 0) {
			t.Errorf("piece %d: have %v", i, have)
		}
	}
}

// TestCrashBetweenRenameAndIndex: the target has its final name and the index
// does not know; the next Create completes it.
func TestCrashBetweenRenameAndIndex(t *testing.T) {
	t.Parallel()
	for _, src := range []string{sample(t, 2), filepath.Join(sample(t, 0), "large")} {
		c := load(t, src)
		dir := t.TempDir()
		d := openDisk(t, filepath.Join(dir, "store"))
		opt := CreateOptions{Path: filepath.Join(dir, "out")}
		w := mustCreate(t, d, c, opt)
		fillAll(t, w, c)
		if err := w.(*diskWriter).out.finish(); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		w = mustCreate(t, d, c, opt)
		if path, err := w.Finish(t.Context()); err != nil || path != opt.Path {
			t.Fatalf("got %q, %v", path, err)
		}
		if r, err := d.Root(c.table.Root); err != nil || r.State != Complete {
			t.Errorf("got %+v, %v", r, err)
		}
	}
}

func mustCreate(t *testing.T, d *Disk, c content, opt CreateOptions) Writer {
	t.Helper()
	w, err := d.Create(t.Context(), c.table, c.tree, opt)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func fillAll(t *testing.T, w Writer, c content) {
	t.Helper()
	for i, block := range c.pieces {
		if err := w.Write(i, block); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskFull: the error names the path and what to do, and the download goes
// on when there is space again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	c := load(t, sample(t, 2))
	dir := t.TempDir()
	d := openDisk(t, filepath.Join(dir, "store"))
	layer := newFaultLayer()
	d.layer = layer
	w := mustCreate(t, d, c, CreateOptions{Path: filepath.Join(dir, "out")})
	if err := w.Write(0, c.pieces[0]); err != nil {
		t.Fatal(err)
	}
	layer.writes = 0
	err := w.Write(1, c.pieces[1])
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), filepath.Join(dir, ".out.shoal-partial/large")) ||
		!strings.Contains(err.Error(), "free some space") {
		t.Errorf("got %v", err)
	}
	layer.writes = -1
	fillAll(t, w, c)
	if _, err := w.Finish(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestResumeDistrustsDisk: bytes that changed under a claim are fetched again.
func TestResumeDistrustsDisk(t *testing.T) {
	t.Parallel()
	c := load(t, sample(t, 2))
	dir := t.TempDir()
	d := openDisk(t, filepath.Join(dir, "store"))
	opt := CreateOptions{Path: filepath.Join(dir, "out")}
	w := mustCreate(t, d, c, opt)
	fillAll(t, w, c)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, ".out.shoal-partial/large"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("rot"), 1<<20+7); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	w = mustCreate(t, d, c, opt)
	for i, have := range w.Have() {
		if have != (i != 1) {
			t.Errorf("piece %d: have %v", i, have)
		}
	}
	if r, err := d.Root(c.table.Root); err != nil || r.Have != len(c.pieces)-1 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestTwoTargets: a root that is begun at one path and again at another takes
// along what it has, and counts each piece once.
func TestTwoTargets(t *testing.T) {
	t.Parallel()
	c := load(t, sample(t, 2))
	d := openDisk(t, t.TempDir())
	out := filepath.Join(t.TempDir(), "b")
	for i, path := range []string{filepath.Join(t.TempDir(), "a"), out, ""} {
		w := mustCreate(t, d, c, CreateOptions{Path: path})
		for piece, have := range w.Have() {
			if have != (piece < 2*i) {
				t.Errorf("target %d, piece %d: have %v", i, piece, have)
			}
		}
		for piece := range 2*i + 2 {
			if err := w.Write(piece, c.pieces[piece%len(c.pieces)]); err != nil && piece < len(c.pieces) {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		want := min(2*i+2, len(c.pieces))
		if r, err := d.Root(c.table.Root); err != nil || r.Have != want || r.State != Fetching {
			t.Errorf("target %d: got %+v, %v, want %d pieces", i, r, err, want)
		}
	}
	w := mustCreate(t, d, c, CreateOptions{Path: out})
	if got, err := w.Finish(t.Context()); err != nil || got != out {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestForeignPartial: what stands under the temporary name and is not ours is
// left alone, be it a link to somewhere else.
func TestForeignPartial(t *testing.T) {
	t.Parallel()
	c := load(t, sample(t, 1))
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := os.Mkdir(victim, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(dir, ".out.shoal-partial")); err != nil {
		t.Fatal(err)
	}
	d := openDisk(t, filepath.Join(dir, "store"))
	opt := CreateOptions{Path: filepath.Join(dir, "out")}
	w := mustCreate(t, d, c, opt)
	fillAll(t, w, c)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// The same between two runs: our directory was replaced by a link.
	ours := filepath.Join(dir, ".out.shoal-partial-2")
	if err := os.RemoveAll(ours); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, ours); err != nil {
		t.Fatal(err)
	}
	w = mustCreate(t, d, c, opt)
	fillAll(t, w, c)
	if _, err := w.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(victim); err != nil || len(left) > 0 {
		t.Errorf("written through a link: %v, %v", left, err)
	}
}

// TestLinkInTarget: a link that is put into the target while it is written is
// not written through.
func TestLinkInTarget(t *testing.T) {
	t.Parallel()
	c := load(t, sample(t, 1))
	dir := t.TempDir()
	d := openDisk(t, filepath.Join(dir, "store"))
	w := mustCreate(t, d, c, CreateOptions{Path: filepath.Join(dir, "out")})
	partial := filepath.Join(dir, ".out.shoal-partial")
	victim := filepath.Join(partial, "victim")
	write(t, victim, []byte("mine"))
	if err := os.Symlink("victim", filepath.Join(partial, "large")); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(0, c.pieces[0]); err == nil {
		t.Error("written through a link")
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != "mine" {
		t.Errorf("now %.10q, %v", data, err)
	}
}
