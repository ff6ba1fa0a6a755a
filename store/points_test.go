package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
)

// bed is what every scene begins with: a store that holds three roots, and
// content to add and to fetch.
type bed struct {
	dir                string // of the store, copied for each run
	mine, copied, read cid.Cid
	old                cid.Cid // of newTree
	newTree, large     string  // to add
	tree, file         content
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{dir: filepath.Join(t.TempDir(), "bed"), newTree: small(t, 2)}
	d, err := Open(b.dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	b.mine = mustAdd(t, d, small(t, 1), AddOptions{}).CID
	b.copied = mustAdd(t, d, small(t, 3), AddOptions{Copy: true}).CID
	read := load(t, small(t, 4))
	b.read = read.table.Root
	fetchKept(t, d, read, len(read.pieces))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	b.old = load(t, b.newTree).table.Root
	b.tree = load(t, small(t, 5))
	b.large = filepath.Join(t.TempDir(), "large")
	write(t, b.large, noise(77, 2<<20+5))
	b.file = load(t, b.large)
	return b
}

// small writes a directory with five pieces.
func small(t *testing.T, seed int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		write(t, filepath.Join(dir, "sub", fmt.Sprint("f", i)), noise(100*seed+i, 500+i))
	}
	write(t, filepath.Join(dir, "top"), noise(100*seed+9, 3000))
	if err := os.Symlink("top", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// stage is one run of a scene.
type stage struct {
	*bed
	d      *Disk
	sc     scene
	out    string // where a fetch goes
	synced int    // pieces that were claimed before the fault
	loses  []cid.Cid
}

// scene is something that a user does. It can be done again after it failed.
type scene struct {
	name  string
	prep  func(s *stage) error // before any fault
	run   func(ctx context.Context, s *stage) error
	loses func(b *bed) []cid.Cid // roots that may be gone afterwards
	want  func(b *bed) content   // the root that is complete when it is done, if any
}

var scenes = []scene{
	{name: "add", run: func(ctx context.Context, s *stage) error { return s.add(ctx, AddOptions{}) }},
	{name: "add copy", run: func(ctx context.Context, s *stage) error { return s.add(ctx, AddOptions{Copy: true}) }},
	{
		name: "get tree", run: func(ctx context.Context, s *stage) error { return s.get(ctx, s.tree, s.out) },
		want: func(b *bed) content { return b.tree },
	},
	{
		name: "get file", run: func(ctx context.Context, s *stage) error { return s.get(ctx, s.file, s.out) },
		want: func(b *bed) content { return b.file },
	},
	{
		name: "update", prep: func(s *stage) error {
			if err := os.CopyFS(s.out, os.DirFS(s.newTree)); err != nil {
				return err
			}
			_, err := s.d.Add(context.Background(), s.out, AddOptions{})
			return err
		},
		run:  func(ctx context.Context, s *stage) error { return s.get(ctx, s.tree, s.out) },
		want: func(b *bed) content { return b.tree },
	},
	{
		name: "get kept", run: func(ctx context.Context, s *stage) error { return s.get(ctx, s.tree, "") },
		want: func(b *bed) content { return b.tree },
	},
	{
		name: "read", run: func(ctx context.Context, s *stage) error { return s.reads(ctx, s.tree) },
		want: func(b *bed) content { return b.tree },
	},
	{
		name: "unshare", run: func(_ context.Context, s *stage) error { return forgotten(s.d.Unshare(s.mine)) },
		loses: func(b *bed) []cid.Cid { return []cid.Cid{b.mine} },
	},
	{
		name: "unshare copy", run: func(_ context.Context, s *stage) error { return forgotten(s.d.Unshare(s.copied)) },
		loses: func(b *bed) []cid.Cid { return []cid.Cid{b.copied} },
	},
	{
		name: "evict", run: func(_ context.Context, s *stage) error { _, err := s.d.Evict(0); return err },
		loses: func(b *bed) []cid.Cid { return []cid.Cid{b.read} },
	},
	{name: "pin", run: func(_ context.Context, s *stage) error { return s.d.Pin(s.mine) }},
}

// forgotten is no error when what should go is gone.
func forgotten(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (s *stage) add(ctx context.Context, opt AddOptions) error {
	_, err := s.d.Add(ctx, s.newTree, opt)
	return err
}

// get fetches with a Sync after every second piece.
func (s *stage) get(ctx context.Context, c content, path string) error {
	w, err := s.d.Create(ctx, c.table, c.tree, CreateOptions{Path: path, Update: s.sc.prep != nil})
	if err != nil {
		if r, rerr := s.d.Root(c.table.Root); path != "" && errors.Is(err, ErrExists) && rerr == nil && r.State == Complete {
			return nil // it was done before
		}
		return err
	}
	if err := s.fill(w, c); err != nil {
		return errors.Join(err, w.Close())
	}
	if _, err := w.Finish(ctx); err != nil {
		return errors.Join(err, w.Close())
	}
	return nil
}

func (s *stage) fill(w Writer, c content) error {
	for i, block := range c.pieces {
		if err := w.Write(i, block); err != nil {
			return err
		}
		if i%2 == 1 {
			if err := w.Sync(); err != nil {
				return err
			}
			s.synced = i + 1
		}
	}
	return nil
}

func (s *stage) reads(ctx context.Context, c content) error {
	w, err := s.d.Create(ctx, c.table, c.tree, CreateOptions{Borrow: true})
	if err != nil {
		return err
	}
	return errors.Join(s.fill(w, c), w.Close())
}

// TestFaultPoints lets every operation of every scene fail in every way (in a
// tenth of them unless SHOAL_FAULTS is all, as in scripts/crash.sh), and then
// looks at what is there, goes on, and looks again.
func TestFaultPoints(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	all := os.Getenv("SHOAL_FAULTS") == "all"
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			steps := point(t, b, sc, noFault, 0)
			if steps == 0 {
				t.Fatal("it has no operations")
			}
			t.Logf("%d operations, %d ways to fail", steps, len(faultNames))
			var wg sync.WaitGroup
			for mode := kill; mode <= roMount; mode++ {
				wg.Go(func() {
					for at := 1; at <= steps+1 && !t.Failed(); at++ { // the last is after the end
						if all || (at+3*int(mode))%10 == 0 {
							point(t, b, sc, mode, at)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// point runs a scene with a fault at one operation, and returns how many it had.
func point(t *testing.T, b *bed, sc scene, mode fault, at int) int {
	t.Helper()
	tmp := t.TempDir()
	dir := filepath.Join(tmp, "store")
	if err := os.CopyFS(dir, os.DirFS(b.dir)); err != nil {
		t.Error(err)
		return 0
	}
	what := fmt.Sprintf("%s at operation %d", faultNames[mode], at)
	s := &stage{bed: b, sc: sc, out: filepath.Join(tmp, "out")}
	if sc.loses != nil {
		s.loses = sc.loses(b)
	}
	layer := newFaultLayer()
	s.open(t, dir, osLayer{})
	if sc.prep != nil {
		if err := sc.prep(s); err != nil {
			t.Error(err)
			return 0
		}
	}
	layer.mode, layer.at, layer.grave = mode, at, t.TempDir()
	s.d.layer = layer
	err := sc.run(t.Context(), s)
	n := layer.n
	if mode == noFault {
		s.finish(t, sc, "no fault", err)
		return n
	}
	if mode <= torn {
		if err == nil && layer.n >= layer.at && mode == kill && sc.name != "evict" {
			t.Errorf("%s: no error", what)
		}
		layer.crash(t, mode != kill)
		s.d.files.close()
		if err := s.d.db.Close(); err != nil { // only so that the lock is free
			t.Error(err)
		}
	} else {
		layer.heal()
		if mode == badDisk {
			layer.restart(t)
		}
		s.conform(t, what+", healed")
		if err := s.d.Close(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	layer.revive()
	s.open(t, dir, layer)
	s.conform(t, what)
	s.recovered(t, what)
	if err == nil {
		s.done(t, sc, what)
	}
	if sc.want != nil {
		s.progress(t, what, sc.want(b))
	}
	err = sc.run(t.Context(), s)
	layer.restart(t)
	s.finish(t, sc, what, err)
	return n
}

func (s *stage) open(t *testing.T, dir string, layer fileLayer) {
	t.Helper()
	d, err := Open(dir, Config{})
	if err != nil {
		t.Error(err)
		t.FailNow()
	}
	d.db.NoSync = true // the index is as durable as it gets: its commits are whole steps here
	d.layer = layer
	s.d = d
}

// finish looks at what a scene that ended well leaves.
func (s *stage) finish(t *testing.T, sc scene, what string, err error) {
	t.Helper()
	what += ", done again"
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	s.conform(t, what)
	s.done(t, sc, what)
	if err := s.d.Close(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// recovered holds what Open promises after a crash: nothing is left to be
// deleted, and what has its final name is a complete root.
func (s *stage) recovered(t *testing.T, what string) {
	t.Helper()
	err := s.d.view(func(tx tx) error {
		return tx.in(doomedBucket).ForEach(func(k, _ []byte) error { return fmt.Errorf("%s is still to be deleted", k) })
	})
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	r, err := NewMem().Add(t.Context(), s.out, AddOptions{})
	if err != nil {
		return // it is not there
	}
	if got, err := s.d.Root(r.CID); err != nil || got.State != Complete || got.Path != s.out {
		t.Errorf("%s: what has the final name: %+v, %v", what, got, err)
	}
}

// done looks for the effect of a scene that ended well.
func (s *stage) done(t *testing.T, sc scene, what string) {
	t.Helper()
	for _, c := range s.loses {
		if _, err := s.d.Root(c); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v is still there: %v", what, c, err)
		}
	}
	if sc.want != nil {
		c := sc.want(s.bed)
		r, err := s.d.Root(c.table.Root)
		if err != nil || r.State != Complete || r.Have != len(c.pieces) {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
}

// conform holds what is there to what is promised.
func (s *stage) conform(t *testing.T, what string) {
	t.Helper()
	for bad, err := range s.d.Verify(t.Context(), cid.Undef) {
		if bad.Root.Equals(s.old) && s.sc.prep != nil && strings.HasSuffix(what, "healed") {
			continue // replaced already, which an index that takes no write cannot know
		}
		t.Errorf("%s: claimed and bad: %+v, %v", what, bad, err)
	}
	roots, err := s.d.Roots()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	complete := map[string]bool{}
	for _, r := range roots {
		complete[r.CID.String()] = r.State == Complete
		s.readAll(t, what, r)
	}
	for _, c := range []cid.Cid{s.mine, s.copied, s.read} {
		may := false
		for _, o := range s.loses {
			may = may || o.Equals(c)
		}
		if !complete[c.String()] && !may {
			t.Errorf("%s: root %v was complete before", what, c)
		}
	}
	if _, err := os.Lstat(s.out); !errors.Is(err, fs.ErrNotExist) {
		s.whole(t, what)
	}
	if n, err := s.d.Leftover(); err != nil || n > 0 {
		t.Errorf("%s: %d bytes belong to no root, %v", what, n, err)
	}
}

// readAll reads a root that is said to be complete.
func (s *stage) readAll(t *testing.T, what string, r Root) {
	t.Helper()
	tree, err := LoadTree(s.d, r.CID)
	if err != nil {
		t.Errorf("%s: tree of %v: %v", what, r.CID, err)
		return
	}
	table, err := tree.Table()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	have := 0
	for i, p := range table.Pieces {
		if _, err := s.d.ReadPiece(t.Context(), p.Key, nil); err == nil {
			have++
		} else if r.State == Complete || !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: piece %d of %v, %v: %v", what, i, r.CID, r.State, err)
		}
	}
	if have < r.Have {
		t.Errorf("%s: %v says that it has %d pieces and has %d", what, r.CID, r.Have, have)
	}
}

// whole compares what stands under the final name with what was fetched.
func (s *stage) whole(t *testing.T, what string) {
	t.Helper()
	m := NewMem()
	r, err := m.Add(t.Context(), s.out, AddOptions{})
	if err != nil {
		t.Errorf("%s: what has the final name: %v", what, err)
		return
	}
	old := s.sc.prep != nil && r.CID.Equals(s.old)
	if !old && !r.CID.Equals(s.tree.table.Root) && !r.CID.Equals(s.file.table.Root) {
		t.Errorf("%s: something else has the final name", what)
	}
}

// progress makes sure that what was claimed before is here still.
func (s *stage) progress(t *testing.T, what string, c content) {
	t.Helper()
	keys := make([]merkle.Key, s.synced)
	for i := range keys {
		keys[i] = c.table.Pieces[i].Key
	}
	for i, have := range s.d.Have(keys) {
		if !have {
			t.Errorf("%s: piece %d had been claimed", what, i)
		}
	}
}

// TestFailedSync: what a failed sync may have lost is written again by the same
// writer, and until then neither claimed nor taken for written.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	c := load(t, small(t, 6))
	for _, path := range []string{"", filepath.Join(t.TempDir(), "out")} {
		d := openDisk(t, t.TempDir())
		layer := newFaultLayer()
		d.layer = layer
		w := mustCreate(t, d, c, CreateOptions{Path: path})
		fillAll(t, w, c)
		layer.mode, layer.at = badLater, layer.n+1
		if err := w.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("Sync: %v", err)
		}
		layer.heal()
		if _, err := w.Finish(t.Context()); !errors.Is(err, ErrNotFound) {
			t.Errorf("Finish without what was lost: %v", err)
		}
		fillAll(t, w, c)
		if _, err := w.Finish(t.Context()); err != nil {
			t.Error(err)
		}
		layer.restart(t)
		for bad, err := range d.Verify(t.Context(), c.table.Root) {
			t.Errorf("%q: %+v, %v", path, bad, err)
		}
	}
}
