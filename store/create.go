package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
)

// Create opens root for writing, new or resumed, and brings over the pieces
// that are here under other roots or in files that the user names.
func (d *Disk) Create(ctx context.Context, table *merkle.Table, tree []merkle.Block, opt CreateOptions) (Writer, error) {
	if err := hostRules.check(table.Entries); err != nil {
		return nil, fmt.Errorf("create %v: %w", table.Root, err)
	}
	if opt.Path != "" && !filepath.IsAbs(opt.Path) {
		return nil, fmt.Errorf("create %v: path %q is not absolute", table.Root, opt.Path)
	}
	opt.Path = clean(opt.Path)
	if opt.Update {
		if err := d.endPlans(); err != nil {
			return nil, fmt.Errorf("create %v: %w", table.Root, err)
		}
	}
	key := rootKey(table.Root)
	if err := d.enter(key); err != nil {
		return nil, fmt.Errorf("create %v: %w", table.Root, err)
	}
	w := d.emptyWriter(table, opt)
	if opt.Update && opt.Path != "" {
		done, err := w.beginUpdate(ctx, &opt)
		if done != nil || err != nil {
			return done, err
		}
	}
	if err := w.open(tree, opt); err != nil {
		d.leave(key)
		return nil, err
	}
	d.mu.Lock()
	d.active[string(key)] = w
	d.mu.Unlock()
	if err := w.fill(ctx, opt.Using); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// enter takes a root for writing: ErrBusy when somebody has it.
func (d *Disk) enter(key []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errors.New("the store is closed")
	}
	if _, taken := d.active[string(key)]; taken {
		return ErrBusy
	}
	d.active[string(key)] = nil
	return nil
}

func (d *Disk) leave(key []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.active, string(key))
}

// writerOf is the active writer of a file, nil if there is none.
func (d *Disk) writerOf(file uint64) *diskWriter {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.active {
		if w != nil && file >= w.rec.First && file-w.rec.First < w.rec.Count {
			return w
		}
	}
	return nil
}

// activePath is where a file that is being written stands, "" if it is not.
func (d *Disk) activePath(file uint64) string {
	if w := d.writerOf(file); w != nil {
		return w.out.stand(file)
	}
	return ""
}

func (d *Disk) forgetWritten(at located) {
	if w := d.writerOf(at.file); w != nil {
		w.lost(at.key)
	}
}

func (d *Disk) emptyWriter(table *merkle.Table, opt CreateOptions) *diskWriter {
	return &diskWriter{
		d: d, key: rootKey(table.Root), table: table, borrow: opt.Borrow && opt.Path == "",
		written: make([]bool, len(table.Pieces)), left: len(table.Pieces),
		pending: []located{}, dirty: map[uint64]struct{}{},
	}
}

// open makes or finds the output and the records of a root.
func (w *diskWriter) open(tree []merkle.Block, opt CreateOptions) error {
	if err := w.find(opt); err != nil {
		return err
	}
	err := w.d.update(func(t tx) error { return w.begin(t, tree, opt) })
	if err == nil && w.rec.Kind == kept && !w.resumed {
		w.d.cached.add(w.rec.First, w.place, time.Now().UnixNano())
	}
	if err == nil {
		return nil
	}
	w.out.close()
	if t, ok := w.out.(*target); ok && !w.resumed {
		err = errors.Join(err, t.remove()) // nobody would know of it
	}
	return err
}

// find resumes the output of an earlier Create of this root and path, or makes one.
func (w *diskWriter) find(opt CreateOptions) error {
	kind := partial
	if opt.Path == "" {
		kind = kept
	}
	err := w.d.view(func(t tx) error {
		r, err := t.root(w.key)
		if err != nil {
			return err
		}
		for _, n := range r.Places {
			p, err := t.place(n)
			if err != nil {
				return err
			}
			if p.Kind == kind && p.Target == opt.Path {
				w.place, w.rec = n, p
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if kind == kept {
		return w.findKept()
	}
	return w.findTarget(opt)
}

func clean(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Clean(path)
}

func (w *diskWriter) findTarget(opt CreateOptions) error {
	if w.place != 0 {
		t, found, err := resumeTarget(w.table, w.rec, w.d.layer)
		if err != nil {
			return err
		}
		if found {
			if !t.renamed && w.update == nil {
				if err := absent(opt.Path); err != nil {
					return err
				}
			}
			t.files, w.out, w.resumed = w.d.files, t, true
			return nil
		}
		if _, err := w.d.forgetPlace(w.table.Root, w.place, true); err != nil {
			return err
		}
		w.place = 0
	}
	if w.update == nil {
		if err := absent(opt.Path); err != nil {
			return err
		}
	}
	t, err := makeTarget(w.table, opt.Path, w.d.layer)
	if err != nil {
		return err
	}
	if opt.Whole != "" {
		if w.whole, err = t.takeWhole(opt.Whole); err != nil {
			return errors.Join(diskErr("create", t.partial, err), t.remove())
		}
	}
	t.files, w.out = w.d.files, t
	w.rec = placeRec{
		Root: w.key, Kind: partial, Base: t.partial, Target: opt.Path,
		Dev: t.made.Dev, Ino: t.made.Ino, Perm: uint32(t.perm),
	}
	return nil
}

// begin writes the records of a root that is being fetched.
func (w *diskWriter) begin(t tx, tree []merkle.Block, opt CreateOptions) error {
	r, isNew, err := t.begin(w.table.Root)
	if err != nil {
		return err
	}
	if isNew || r.State == Fetching && !opt.Borrow {
		r.Name, r.Path = nameOf(w.table.Root, opt), opt.Path
		r.Size, r.Pieces, r.State = w.table.Size, len(w.table.Pieces), Fetching
	}
	if w.place == 0 {
		if err := w.newPlace(t, &r); err != nil {
			return err
		}
	}
	switch out := w.out.(type) {
	case *target:
		out.first = w.rec.First
	case *keptOutput:
		out.first = w.rec.First
	}
	skip := map[merkle.Key]bool{}
	for i, p := range w.table.Pieces {
		if w.table.Loaded(i) != nil {
			skip[p.Key] = true
		}
	}
	if err := t.putTree(w.key, cidsOf(tree), blockMap(tree, skip)); err != nil {
		return err
	}
	return t.putRoot(w.key, r)
}

func (w *diskWriter) newPlace(t tx, r *rootRec) error {
	var err error
	if w.rec.Kind == kept {
		if w.place, w.rec, err = t.own(r, w.rec.Base); err != nil {
			return err
		}
		return t.putCached(w.rec.First, cachedRec{Place: w.place, Used: time.Now().UnixNano()})
	}
	w.place, w.rec, err = t.newPlace(w.rec, len(w.table.Entries))
	r.Places = append(r.Places, w.place)
	return err
}

// fill writes what needs no peer and finds what is here.
func (w *diskWriter) fill(ctx context.Context, using []string) error {
	if t, ok := w.out.(*target); ok {
		wrote, err := t.prepare()
		if err != nil {
			return err
		}
		w.mu.Lock()
		for _, entry := range wrote {
			w.dirty[t.first+uint64(entry)] = struct{}{}
		}
		w.mu.Unlock()
		if w.whole {
			w.noteAll(t)
		}
	}
	if err := w.resume(ctx); err != nil {
		return err
	}
	for i := range w.table.Pieces {
		if block := w.table.Loaded(i); block != nil {
			if err := w.Write(i, block); err != nil {
				return err
			}
		} else if w.table.Pieces[i].Size == 0 {
			if err := w.Write(i, nil); err != nil {
				return err
			}
		}
	}
	if err := w.bringOver(ctx); err != nil {
		return err
	}
	if err := w.use(ctx, using); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.start = slices.Clone(w.written) // who reads may take one back meanwhile
	return nil
}

// noteAll records that all pieces are written, by who wrote the target.
func (w *diskWriter) noteAll(t *target) {
	for i, p := range w.table.Pieces {
		prefix, suffix := frame(p.Key, p.Payload, p.Size)
		w.note(i, t.places(i, prefix, suffix))
	}
}

// missing lists the pieces that are not written.
func (w *diskWriter) missing() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	var is []int
	for i, here := range w.written {
		if !here {
			is = append(is, i)
		}
	}
	return is
}

// bringOver copies the pieces that other roots, or other places of this one,
// have. They are hashed as they are read.
func (w *diskWriter) bringOver(ctx context.Context) error {
	missing := w.missing()
	keys := make([]merkle.Key, len(missing))
	for i, piece := range missing {
		keys[i] = w.table.Pieces[piece].Key
	}
	var here []int
	for i, have := range w.d.Have(keys) {
		if have {
			here = append(here, missing[i])
		}
	}
	if w.borrow {
		return w.lend(here)
	}
	return each(ctx, w.d.cfg.Hashers, here, func(piece int, buf []byte) error {
		block, err := w.d.ReadPiece(ctx, w.table.Pieces[piece].Key, buf)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			return nil // it is fetched then
		}
		return w.Write(piece, block)
	})
}

// keptOutput is a file of pieces as the output of a writer.
type keptOutput struct {
	*keptFile
	table *merkle.Table
	first uint64
}

func (k *keptOutput) put(piece int, block []byte) ([]located, error) {
	p := k.table.Pieces[piece]
	from, to, err := bounds(p, block)
	if err != nil {
		return nil, err
	}
	at, err := k.keptFile.put(p.Key, clone(block[:from]), block[from:to], clone(block[to:]))
	return []located{{p.Key, k.first, at}}, err
}

func (k *keptOutput) sync([]uint64) error { return k.durable() }
func (k *keptOutput) finish() error       { return k.durable() }
func (k *keptOutput) stand(uint64) string { return k.file.Name() }
func (k *keptOutput) close() {
	k.d.files.dropRange(k.first, 1)
	_ = k.file.Close() // errors of writing come from durable
}

// findKept resumes the file of pieces of this root or makes one.
func (w *diskWriter) findKept() error {
	if w.place != 0 {
		f, err := os.OpenFile(w.d.keptPath(w.rec.Base), os.O_RDWR, 0)
		if err == nil {
			k := &keptFile{d: w.d, name: w.rec.Base, file: f, placed: map[merkle.Key]location{}, owned: true}
			w.out, w.resumed = &keptOutput{keptFile: k, table: w.table, first: w.rec.First}, true
			return nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return diskErr("open", w.d.keptPath(w.rec.Base), err)
		}
		if _, err := w.d.forgetPlace(w.table.Root, w.place, true); err != nil {
			return err
		}
		w.place = 0
	}
	k, err := w.d.newKept()
	if err != nil {
		return err
	}
	w.rec = placeRec{Root: w.key, Kind: kept, Base: k.name}
	w.out = &keptOutput{keptFile: k, table: w.table}
	return nil
}
