package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// Config tunes a Disk. The zero value works.
type Config struct {
	// OpenFiles bounds the files held open between reads and writes; 128 if zero.
	OpenFiles int
	// LockWait is how long Open waits for another process to let go of the
	// directory; 500 ms if zero.
	LockWait time.Duration
	// Hashers is how many files or chunks are read and hashed at once by Add,
	// Verify and a resumed Create; twice the CPUs if zero, so that reading
	// overlaps with hashing.
	Hashers int
}

// Disk is the Store of a directory: DIR/index.db is the index, DIR/pieces holds
// what is kept privately. Open makes it. It starts goroutines only inside of
// calls and waits for them there.
type Disk struct {
	dir   string
	cfg   Config
	db    *bbolt.DB
	files *handles
	locs  *locations
	layer fileLayer

	cached   *cached
	evicting sync.Mutex // held by Evict

	mu     sync.Mutex
	active map[string]*diskWriter // by rootKey; nil while it is being made
	closed bool
}

var _ Store = (*Disk)(nil)

// Open opens the store in dir, which is made (mode 0700) if it is not there. On
// a file system that is mounted read-only what is there is read and verified,
// and every change is an error.
// It returns ErrLocked within Config.LockWait when another process has it.
func Open(dir string, cfg Config) (*Disk, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := makeDir(filepath.Join(dir, "pieces")); err != nil {
		return nil, err
	}
	cfg.OpenFiles = cmp.Or(cfg.OpenFiles, 128)
	cfg.LockWait = cmp.Or(cfg.LockWait, 500*time.Millisecond)
	cfg.Hashers = cmp.Or(cfg.Hashers, hashers())
	db, err := openIndex(filepath.Join(dir, "index.db"), cfg.LockWait)
	if err != nil {
		return nil, err
	}
	d := &Disk{
		dir: dir, cfg: cfg, db: db,
		files: newHandles(cfg.OpenFiles), locs: newLocations(), cached: newCached(),
		layer: osLayer{}, active: map[string]*diskWriter{},
	}
	if err = d.loadCached(); err == nil && !db.IsReadOnly() {
		err = errors.Join(d.sweep(), d.endPlans(), d.recover())
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return d, nil
}

// Close keeps what is being written for a later resume and closes the index.
func (d *Disk) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	var ws []*diskWriter
	for _, w := range d.active {
		if w != nil {
			ws = append(ws, w)
		}
	}
	d.mu.Unlock()
	var errs []error
	for _, w := range ws {
		errs = append(errs, w.Close())
	}
	if !d.db.IsReadOnly() {
		errs = append(errs, d.saveUsed())
	}
	d.files.close()
	return errors.Join(append(errs, d.db.Close())...)
}

func (d *Disk) view(fn func(tx) error) error {
	return d.db.View(func(t *bbolt.Tx) error { return fn(tx{t}) })
}

func (d *Disk) update(fn func(tx) error) error {
	var refused error // by fn, which says itself what it is about
	err := d.layer.commit(func() error {
		return d.db.Update(func(t *bbolt.Tx) error {
			refused = fn(tx{t})
			return refused
		})
	})
	if refused != nil {
		return refused
	}
	if errors.Is(err, bbolterrors.ErrDatabaseReadOnly) {
		err = readOnly
	}
	if err != nil {
		return diskErr("write index", d.db.Path(), err)
	}
	return nil
}

// Roots returns every root, in order of Added.
func (d *Disk) Roots() ([]Root, error) {
	type ordered struct {
		Root
		seq uint64
	}
	var recs []ordered
	pins := map[string]bool{}
	err := d.view(func(t tx) error {
		err := t.in(pinsBucket).ForEach(func(k, _ []byte) error {
			pins[string(k)] = true
			return nil
		})
		return errors.Join(err, t.in(rootsBucket).ForEach(func(_, v []byte) error {
			r, err := decodeRoot(v)
			recs = append(recs, ordered{d.rootOf(r, len(pins) > 0 && pins[string(rootKey(r.CID))]), r.Seq})
			return err
		}))
	})
	if err != nil {
		return nil, fmt.Errorf("list roots: %w", err)
	}
	slices.SortFunc(recs, func(a, b ordered) int { return cmp.Or(a.Added.Compare(b.Added), cmp.Compare(a.seq, b.seq)) })
	roots := make([]Root, len(recs))
	for i, r := range recs {
		roots[i] = r.Root
	}
	return roots, nil
}

// Root returns one root, or ErrNotFound.
func (d *Disk) Root(c cid.Cid) (Root, error) {
	var rec rootRec
	pinned := false
	err := d.view(func(t tx) (err error) {
		rec, err = t.root(rootKey(c))
		pinned = t.pinned(rootKey(c))
		return err
	})
	if err != nil {
		return Root{}, fmt.Errorf("root %v: %w", c, err)
	}
	return d.rootOf(rec, pinned), nil
}

// rootOf is a record with what is not in it.
func (d *Disk) rootOf(rec rootRec, pinned bool) Root {
	r := rec.root()
	r.Pinned, r.Cached = pinned, d.cached.only(rec.Places)
	return r
}

// Block returns an interior block of a held tree, or ErrNotFound. A small file
// of the legacy profile is a block that is a leaf too; that one is read from
// the file.
func (d *Disk) Block(c cid.Cid) ([]byte, error) {
	k, ok := merkle.KeyOf(c)
	if !ok || c.Type() == cid.Raw {
		return nil, fmt.Errorf("block %v: %w", c, ErrNotFound)
	}
	var data []byte
	err := d.view(func(t tx) (err error) {
		data, err = t.block(k)
		return err
	})
	if err != nil || data != nil {
		return data, err
	}
	return d.ReadPiece(context.Background(), k, nil)
}

// pathOf is where a file stands now.
func (d *Disk) pathOf(file uint64) (string, error) {
	if path := d.activePath(file); path != "" {
		return path, nil
	}
	var path string
	err := d.view(func(t tx) error {
		f, err := t.file(file)
		if err != nil {
			return err
		}
		p, err := t.place(f.Place)
		if err == nil && p.Kind == partial && isMoved(p) {
			p.Base = p.Target // and the index could not be told yet
		}
		path = d.join(p, f.Rel)
		return err
	})
	return path, err
}

// base is the path of a place.
func (d *Disk) base(p placeRec) string {
	if p.Kind == kept {
		return filepath.Join(d.dir, "pieces", p.Base)
	}
	return p.Base
}

func (d *Disk) join(p placeRec, rel string) string {
	if rel == "" {
		return d.base(p)
	}
	return filepath.Join(d.base(p), filepath.FromSlash(rel))
}

// sweep deletes the files under DIR/pieces that a crash left without a root.
func (d *Disk) sweep() error {
	var names []string
	err := d.view(func(t tx) error {
		return t.in(doomedBucket).ForEach(func(k, _ []byte) error {
			names = append(names, string(k))
			return nil
		})
	})
	if err != nil || len(names) == 0 {
		return err
	}
	return d.erase(names)
}

// erase deletes files under DIR/pieces and then forgets that they are doomed.
func (d *Disk) erase(names []string) error {
	for _, name := range names {
		path := filepath.Join(d.dir, "pieces", filepath.Base(name))
		if err := d.layer.erase(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return diskErr("delete", path, err)
		}
	}
	if dir := filepath.Join(d.dir, "pieces"); len(names) > 0 {
		if err := d.layer.syncDir(dir); err != nil { // else a file could come back that nothing knows
			return diskErr("write", dir, err)
		}
	}
	return d.update(func(t tx) error {
		for _, name := range names {
			if err := t.in(doomedBucket).Delete([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
}
