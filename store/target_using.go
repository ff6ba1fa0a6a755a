package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/shoal-p2p/shoal/merkle"
	"golang.org/x/sync/errgroup"
)

// Limits of the search for pieces in files that the user names.
const (
	runBytes     = 8 << 20 // of a file that one worker reads at a time, so that disks are read in order
	runStretches = 256     // leaves in it at most
	maxCuts      = 4       // leaf sizes a file is cut at; a tree of more is of no known tool
	minCut       = 4 << 10 // leaves of longer files below it are not looked for
	maxFrames    = 8       // of one leaf size; known tools make one or two
)

// quarry is what is looked for in files that the user names: missing pieces of
// a root. A file is cut where the root's own leaves are cut, and what is hashed
// is only what has the length of a missing piece. Nothing of a file is kept but
// the run that a worker reads, and what is written was hashed in memory, so it
// does not matter whether a file changes meanwhile.
type quarry struct {
	layer  fileLayer
	wanted map[merkle.Key]int // the missing pieces
	frames map[int][]leafKind // by bytes of payload
	cuts   []int64            // leaf sizes of files with more than one leaf, most used first
	odd    map[string][]stretch
	write  func(piece int, block []byte) error
	left   func() bool // whether any is still missing
}

// leafKind is what a leaf has beside its payload.
type leafKind struct {
	codec          byte
	prefix, suffix string
}

// stretch is a run of bytes of a file.
type stretch struct {
	off int64
	n   int
}

// run is a part of a file that one worker looks at.
type run struct {
	path      string
	stretches []stretch
}

func newQuarry(table *merkle.Table, missing []int) *quarry {
	q := &quarry{wanted: make(map[merkle.Key]int, len(missing)), frames: map[int][]leafKind{}, odd: map[string][]stretch{}}
	for _, i := range missing {
		p := table.Pieces[i]
		q.wanted[p.Key] = i
		prefix, suffix := p.Frame()
		k := leafKind{p.Key[0], string(prefix), string(suffix)}
		if have := q.frames[p.Payload]; !slices.Contains(have, k) && len(have) < maxFrames &&
			len(prefix)+p.Payload+len(suffix) == p.Size {
			q.frames[p.Payload] = append(have, k)
		}
	}
	uses := map[int64]int{}
	for i := range table.Entries {
		e := &table.Entries[i]
		switch leaf, even := evenCut(table, e); {
		case len(e.Spans) < 2:
		case even:
			uses[leaf] += len(e.Spans)
		default:
			q.odd[e.Path] = stretchesOf(table, e)
		}
	}
	for leaf := range uses {
		if leaf >= minCut {
			q.cuts = append(q.cuts, leaf)
		}
	}
	slices.SortFunc(q.cuts, func(a, b int64) int {
		if uses[a] != uses[b] {
			return uses[b] - uses[a]
		}
		return int(b - a)
	})
	q.cuts = q.cuts[:min(len(q.cuts), maxCuts)]
	return q
}

// evenCut tells whether all leaves of a file but the last have one size.
func evenCut(table *merkle.Table, e *merkle.Entry) (leaf int64, even bool) {
	for i, s := range e.Spans {
		if s.Piece < 0 {
			return 0, false
		}
		if i == 0 {
			leaf = int64(table.Pieces[s.Piece].Payload)
		}
		if s.Offset != int64(i)*leaf {
			return 0, false
		}
	}
	return leaf, leaf > 0
}

// stretchesOf are the leaves of a file that is cut at its own places.
func stretchesOf(table *merkle.Table, e *merkle.Entry) []stretch {
	var out []stretch
	for _, s := range e.Spans {
		if s.Piece >= 0 {
			out = append(out, stretch{s.Offset, table.Pieces[s.Piece].Payload})
		}
	}
	return out
}

// each calls fn with what is worth hashing of a file: rel is its path below
// what the user named. fn returns false to stop.
func (q *quarry) each(rel string, size int64, fn func(stretch) bool) {
	some := func(e stretch) bool {
		return e.off+int64(e.n) > size || q.frames[e.n] == nil || fn(e)
	}
	if size > 0 && size <= merkle.MaxLeaf && !some(stretch{0, int(size)}) {
		return
	}
	for _, leaf := range q.cuts {
		if size <= leaf {
			continue // it is one leaf, and done
		}
		for off := int64(0); off < size; off += leaf {
			if !some(stretch{off, int(min(leaf, size-off))}) {
				return
			}
		}
	}
	for _, e := range q.odd[rel] {
		if !some(e) {
			return
		}
	}
}

// search looks through files and directories, links below them not followed.
// One that cannot be opened is an error; what is below it and cannot be read is
// passed over, since what it holds can be fetched. known tells which leaves of a
// file need no reading, because the index has them.
func (q *quarry) search(ctx context.Context, paths []string, workers int, known func(base string) knownFile) error {
	runs := make(chan run)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(runs)
		for _, path := range paths {
			if err := q.walk(ctx, path, runs, known); err != nil {
				return err
			}
		}
		return nil
	})
	for range workers {
		g.Go(func() error {
			buf := make([]byte, merkle.MaxLeaf)
			for r := range runs {
				if ctx.Err() != nil || !q.left() {
					continue // so that the walk can end
				}
				if err := q.look(ctx, r, buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// walk sends the runs of all files at and below path.
func (q *quarry) walk(ctx context.Context, path string, runs chan<- run, known func(string) knownFile) error {
	base, err := filepath.EvalSymlinks(path)
	if err != nil {
		return diskErr("use", path, err)
	}
	indexed := known(path)
	return filepath.WalkDir(base, func(at string, e fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && at == base:
			return diskErr("use", path, err)
		case err != nil:
			return nil // below it something else may be readable
		case !q.left():
			return filepath.SkipAll
		case !e.Type().IsRegular():
			return nil
		}
		rel, err := filepath.Rel(base, at)
		if err != nil {
			return nil
		}
		if rel = filepath.ToSlash(rel); rel == "." {
			rel = ""
		}
		return q.cut(ctx, at, rel, indexed, runs)
	})
}

// cut sends the runs of one file.
func (q *quarry) cut(ctx context.Context, path, rel string, indexed knownFile, runs chan<- run) error {
	s, err := stateAt(path)
	if err != nil || !s.regular {
		return nil
	}
	next, bytes := run{path: path}, 0
	send := func() bool {
		if len(next.stretches) == 0 {
			return true
		}
		select {
		case runs <- next:
			next, bytes = run{path: path}, 0
			return true
		case <-ctx.Done():
			return false
		}
	}
	has := indexed(rel, s)
	q.each(rel, s.Size, func(e stretch) bool {
		if has(e, q.frames[e.n]) {
			return true
		}
		next.stretches = append(next.stretches, e)
		if bytes += e.n; bytes >= runBytes || len(next.stretches) >= runStretches {
			return q.left() && send()
		}
		return true
	})
	if !send() {
		return context.Cause(ctx)
	}
	return nil
}

// look hashes a run and writes what is wanted. What cannot be read is passed over.
func (q *quarry) look(ctx context.Context, r run, buf []byte) error {
	f, err := openRead(r.path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if s, err := stateOf(f); err != nil || !s.regular {
		return nil
	}
	if len(r.stretches) > 1 {
		readAhead(f)
	}
	for _, e := range r.stretches {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := q.layer.readAt(f, buf[:e.n], e.off); err != nil {
			return nil
		}
		if err := q.match(buf[:e.n]); err != nil {
			return err
		}
	}
	return nil
}

// match writes payload if it is a missing piece's.
func (q *quarry) match(payload []byte) error {
	for _, k := range q.frames[len(payload)] {
		h := sha256.New()
		h.Write([]byte(k.prefix))
		h.Write(payload)
		h.Write([]byte(k.suffix))
		key := merkle.Key{k.codec}
		h.Sum(key[1:1])
		piece, ok := q.wanted[key]
		if !ok {
			continue
		}
		block := payload
		if k.prefix != "" || k.suffix != "" {
			block = bytes.Join([][]byte{[]byte(k.prefix), payload, []byte(k.suffix)}, nil)
		}
		if err := q.write(piece, block); err != nil {
			return err
		}
	}
	return nil
}

// use brings over the pieces that are in files named by the user.
func (w *diskWriter) use(ctx context.Context, paths []string) error {
	missing := w.missing()
	if len(missing) == 0 {
		return nil
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			return diskErr("use", path, err)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	q := newQuarry(w.table, missing)
	q.layer, q.write = w.d.layer, w.Write
	q.left = func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.left > 0
	}
	return q.search(ctx, paths, w.d.cfg.Hashers, w.d.knownBelow)
}
