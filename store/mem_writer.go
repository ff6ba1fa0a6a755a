package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
)

// Create opens root for writing. Its pieces are held as they are written; the
// target is written by Finish.
func (m *Mem) Create(ctx context.Context, table *merkle.Table, tree []merkle.Block, opt CreateOptions) (Writer, error) {
	if err := hostRules.check(table.Entries); err != nil {
		return nil, fmt.Errorf("create %v: %w", table.Root, err)
	}
	if opt.Path != "" {
		if !filepath.IsAbs(opt.Path) {
			return nil, fmt.Errorf("create %v: path %q is not absolute", table.Root, opt.Path)
		}
		if err := absent(opt.Path); err != nil {
			return nil, err
		}
	}
	w, err := m.newWriter(table, tree, opt)
	if err != nil {
		return nil, fmt.Errorf("create %v: %w", table.Root, err)
	}
	if err := w.use(ctx, opt.Using); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range table.Pieces {
		w.start = append(w.start, w.r.have[p.Key])
	}
	return w, nil
}

// newWriter takes a root for writing, with the pieces that are here.
func (m *Mem) newWriter(table *merkle.Table, tree []merkle.Block, opt CreateOptions) (*memWriter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.begin(Root{
		CID: table.Root, Name: nameOf(table.Root, opt), Path: clean(opt.Path),
		Size: table.Size, Pieces: len(table.Pieces), Added: time.Now(),
	}, tree)
	if r.busy {
		return nil, ErrBusy
	}
	r.busy = true
	w := &memWriter{m: m, r: r, table: table, path: clean(opt.Path)}
	for i, p := range table.Pieces {
		if b := m.pieces[p.Key]; b != nil {
			m.hold(r, p.Key, b.data)
		} else if b := table.Loaded(i); b != nil {
			m.hold(r, p.Key, b)
		}
	}
	return w, nil
}

// use holds the pieces that are in files named by the user.
func (w *memWriter) use(ctx context.Context, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	var missing []int
	for i, p := range w.table.Pieces {
		if !w.r.have[p.Key] { // nobody else writes yet
			missing = append(missing, i)
		}
	}
	q := newQuarry(w.table, missing)
	q.layer, q.write = osLayer{}, w.Write
	q.left = func() bool { return true }
	return q.search(ctx, paths, hashers(), func(string) knownFile { return knowsNothing })
}

// nameOf is what status shows of a root that is fetched.
func nameOf(c cid.Cid, opt CreateOptions) string {
	if opt.Name == "" && opt.Path != "" {
		return filepath.Base(opt.Path)
	}
	return cmp.Or(opt.Name, c.String())
}

// memWriter is the Writer of Mem.
type memWriter struct {
	m     *Mem
	r     *memRoot
	table *merkle.Table
	path  string
	start []bool
	done  bool // guarded by m.mu
}

// Have tells which pieces were here at the start.
func (w *memWriter) Have() []bool { return w.start }

// Write keeps a verified leaf block.
func (w *memWriter) Write(piece int, block []byte) error {
	if piece < 0 || piece >= len(w.table.Pieces) {
		return fmt.Errorf("write piece %d of %d: %w", piece, len(w.table.Pieces), ErrNotFound)
	}
	if _, _, err := bounds(w.table.Pieces[piece], block); err != nil {
		return err
	}
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if w.done {
		return fmt.Errorf("write piece %d: the writer is closed", piece)
	}
	w.m.hold(w.r, w.table.Pieces[piece].Key, block)
	return nil
}

// Sync does nothing: memory is as durable as it gets.
func (w *memWriter) Sync() error { return nil }

// Finish writes the target.
func (w *memWriter) Finish(ctx context.Context) (string, error) {
	w.m.mu.Lock()
	left, done := len(w.table.Pieces)-w.r.Have, w.done
	w.m.mu.Unlock()
	if done {
		return w.path, nil
	}
	if left > 0 {
		return "", fmt.Errorf("finish %v: %d of %d pieces are not here: %w", w.table.Root, left, len(w.table.Pieces), ErrNotFound)
	}
	if w.path != "" {
		if err := w.export(ctx); err != nil {
			return "", err
		}
	}
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	w.r.State, w.r.Path = Complete, w.path
	w.done, w.r.busy = true, false
	return w.path, nil
}

// export writes the root to its path.
func (w *memWriter) export(ctx context.Context) error {
	if err := absent(w.path); err != nil {
		return err
	}
	t, err := makeTarget(w.table, w.path, osLayer{})
	if err != nil {
		return err
	}
	t.files = newHandles(16)
	defer t.close()
	if _, err := t.prepare(); err != nil {
		return errors.Join(err, t.remove())
	}
	var block []byte
	for i, p := range w.table.Pieces {
		if block, err = w.m.ReadPiece(ctx, p.Key, block); err == nil {
			_, err = t.put(i, block)
		}
		if err != nil {
			return errors.Join(err, t.remove())
		}
	}
	if err := t.finish(); err != nil {
		if t.renamed {
			return err
		}
		return errors.Join(err, t.remove())
	}
	return nil
}

// Close lets go of the root; what is written stays.
func (w *memWriter) Close() error {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if !w.done {
		w.done, w.r.busy = true, false
	}
	return nil
}
