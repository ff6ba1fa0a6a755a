package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
)

// output is where a diskWriter puts pieces: a target, or a file of pieces in
// the store's own directory.
type output interface {
	// put writes a leaf block and says where it can be read.
	put(piece int, block []byte) ([]located, error)
	// sync makes the bytes of files durable. After an unsynced error nobody can
	// tell what of them is: see spoil.
	sync(files []uint64) error
	// spoil makes what was put at ls wrong, or forgets it.
	spoil(ls []located)
	// finish makes all durable and gives it its final name.
	finish() error
	// stand is where a file is.
	stand(file uint64) string
	close()
}

// diskWriter is the Writer of Disk.
//
// A piece is pending from Write until Sync has made its bytes durable and put
// its place in the index, which is the claim; between the two it can be read all
// the same. A resumed Create hashes what is claimed, and what was written and
// not claimed, so that a disk that lost or changed bytes costs a fetch and never
// a wrong file.
type diskWriter struct {
	d     *Disk
	key   []byte // rootKey
	table *merkle.Table
	out   output
	place uint64
	rec   placeRec
	start []bool // what Have tells

	// resumed: place was found and not made
	resumed bool
	whole   bool    // CreateOptions.Whole became the target
	borrow  bool    // see CreateOptions
	update  *update // nil if nothing is replaced

	// turn is held by Sync, Finish and Close.
	turn     sync.Mutex
	finished bool
	closed   bool

	mu       sync.Mutex
	written  []bool
	left     int             // pieces not written
	borrowed int             // of those written: stand under other roots
	lenders  map[uint64]bool // files of pieces that have some of those, and that are nowhere else
	pending  []located
	dirty    map[uint64]struct{} // files written to since the last Sync
}

// Have tells which pieces were here at the start.
func (w *diskWriter) Have() []bool { return w.start }

// Write puts a verified leaf block at every place of the piece. A piece that
// is here already is left as it is.
func (w *diskWriter) Write(piece int, block []byte) error {
	if piece < 0 || piece >= len(w.table.Pieces) {
		return fmt.Errorf("write piece %d of %d: %w", piece, len(w.table.Pieces), ErrNotFound)
	}
	w.mu.Lock()
	here, closed := w.written[piece], w.pending == nil
	w.mu.Unlock()
	if closed && (!here || w.borrow) { // what came twice may come after Finish
		return fmt.Errorf("write piece %d: the writer is closed", piece)
	}
	if key := w.table.Pieces[piece].Key; here && w.borrow && !w.d.Have([]merkle.Key{key})[0] {
		w.returned(key) // the other root was forgotten, or its file changed
	} else if here {
		return nil
	}
	ls, err := w.out.put(piece, block)
	if err != nil {
		return err
	}
	w.note(piece, ls)
	return nil
}

// note records that a piece is written and not yet claimed.
func (w *diskWriter) note(piece int, ls []located) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.written[piece] || w.pending == nil {
		return
	}
	w.written[piece] = true
	w.left--
	w.pending = append(w.pending, ls...)
	for _, l := range ls {
		w.dirty[l.file] = struct{}{}
	}
	if len(ls) > 0 {
		w.d.locs.putLive(ls[0])
	}
}

// take hands over what is pending; giveBack undoes it.
func (w *diskWriter) take() (claims []located, files []uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	claims, w.pending = w.pending, []located{}
	for file := range w.dirty {
		files = append(files, file)
	}
	clear(w.dirty)
	return claims, files
}

func (w *diskWriter) giveBack(claims []located, files []uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = append(claims, w.pending...)
	for _, file := range files {
		w.dirty[file] = struct{}{}
	}
}

// Sync makes what was written durable and then claims it in the index.
func (w *diskWriter) Sync() error {
	w.turn.Lock()
	defer w.turn.Unlock()
	if w.finished || w.closed {
		return nil
	}
	return w.flush()
}

// flush is Sync with turn held.
func (w *diskWriter) flush() error {
	claims, files := w.take()
	if len(claims) == 0 && len(files) == 0 {
		return nil
	}
	err := w.out.sync(files)
	if w.distrust(err, claims) {
		return err
	}
	if err == nil {
		err = w.d.update(func(t tx) error { return w.claim(t, claims) })
	}
	if err != nil {
		w.giveBack(claims, files)
		return err
	}
	w.d.locs.dropLive(claims)
	return nil
}

// unsynced is a failed sync. The system may have dropped what it could not
// write and call it clean: the next sync would succeed, and reads find the bytes
// in memory until the machine restarts. (As PostgreSQL found in 2018: "fsync
// failure", LWN 752063.)
type unsynced struct{ error }

func (u unsynced) Unwrap() error { return u.error }

// distrust takes back what was written since the last Sync, if err says that it
// may be lost. It is fetched and written again then, also by a later Create,
// which finds what is spoiled by its hash. TestFaultPoints drives it.
func (w *diskWriter) distrust(err error, claims []located) bool {
	if _, failed := errors.AsType[unsynced](err); !failed {
		return false
	}
	w.out.spoil(claims)
	w.d.locs.dropLive(claims)
	lost := make(map[merkle.Key]bool, len(claims))
	for _, l := range claims {
		lost[l.key] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, p := range w.table.Pieces {
		if lost[p.Key] && w.written[i] {
			w.written[i] = false
			w.left++
		}
	}
	return true
}

// claim puts leaves in the index and counts them.
func (w *diskWriter) claim(t tx, claims []located) error {
	r, err := t.root(w.key)
	if err != nil {
		return err
	}
	counted := make(map[merkle.Key]bool, len(claims))
	for _, l := range claims {
		if !counted[l.key] {
			counted[l.key] = true
			held, err := t.holds(r, l.key)
			if err != nil {
				return err
			}
			if !held {
				r.Have++
			}
		}
		if t.in(filesBucket).Get(num(l.file)) != nil {
			continue
		}
		rec := fileRec{Place: w.place, Rel: w.rel(l.file)}
		if err := t.in(filesBucket).Put(num(l.file), rec.append(nil)); err != nil {
			return err
		}
	}
	if err := t.putLeaves(claims); err != nil {
		return err
	}
	if w.rec.Kind == kept {
		if err := t.growCached(w.rec.First, payload(claims)); err != nil {
			return err
		}
		if w.borrow && r.State == Fetching && r.Have == r.Pieces && w.owned() {
			r.State = Complete
		}
	}
	return t.putRoot(w.key, r)
}

// payload is how many bytes leaves take.
func payload(ls []located) (bytes int64) {
	for _, l := range ls {
		bytes += int64(l.loc.Payload)
	}
	return bytes
}

// owned tells whether all pieces are written and none is another root's.
func (w *diskWriter) owned() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left+w.borrowed == 0
}

// rel is the path of a file below the place.
func (w *diskWriter) rel(file uint64) string {
	if w.rec.Kind == kept {
		return ""
	}
	return w.table.Entries[file-w.rec.First].Path
}

// Finish makes all durable, gives it its final name and indexes it there.
func (w *diskWriter) Finish(ctx context.Context) (string, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	if w.finished {
		return w.rec.Target, nil
	}
	if w.closed {
		return "", fmt.Errorf("finish %v: the writer is closed", w.table.Root)
	}
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	w.mu.Lock()
	left := w.left + w.borrowed
	w.mu.Unlock()
	if left > 0 {
		return "", fmt.Errorf("finish %v: %d of %d pieces are not here: %w", w.table.Root, left, len(w.table.Pieces), ErrNotFound)
	}
	if err := w.settle(ctx); err != nil {
		if claims, files := w.take(); !w.distrust(err, claims) {
			w.giveBack(claims, files)
		}
		return "", err
	}
	claims, files := w.take()
	states := w.states()
	if err := w.d.update(func(t tx) error { return w.complete(t, claims, states) }); err != nil {
		w.giveBack(claims, files)
		return "", err
	}
	w.finished = true
	err := w.retire()
	w.release(claims)
	return w.rec.Target, err
}

// states reads the state of each file under its final name.
func (w *diskWriter) states() map[uint64]state {
	m := map[uint64]state{}
	if w.rec.Kind == kept {
		return m
	}
	for i := range w.table.Entries {
		if w.table.Entries[i].Type != merkle.File {
			continue
		}
		file := w.rec.First + uint64(i)
		s, err := stateAt(w.out.stand(file))
		if err != nil {
			s = state{} // no file is ever in this state, so Add will read it
		}
		m[file] = s
	}
	return m
}

// complete indexes the finished root.
func (w *diskWriter) complete(t tx, claims []located, states map[uint64]state) error {
	r, err := t.root(w.key)
	if err != nil {
		return err
	}
	if err := t.putLeaves(claims); err != nil {
		return err
	}
	if w.rec.Kind == kept {
		if err := t.growCached(w.rec.First, payload(claims)); err != nil {
			return err
		}
	}
	now := time.Now().UnixNano()
	for i := range w.table.Entries {
		file := w.rec.First + uint64(i)
		s, ok := states[file]
		if !ok {
			continue
		}
		rec := fileRec{Place: w.place, Rel: w.rel(file), State: s, At: now}
		if err := t.in(filesBucket).Put(num(file), rec.append(nil)); err != nil {
			return err
		}
	}
	p := w.rec
	if p.Kind == partial {
		if err := t.in(basesBucket).Delete(baseKey(p, w.place)); err != nil {
			return err
		}
		p.Kind, p.Base = inPlace, p.Target
		if err := t.putPlace(w.place, p); err != nil {
			return err
		}
	}
	r.Path, r.State, r.Have, r.Pieces = p.Target, Complete, len(w.table.Pieces), len(w.table.Pieces)
	return t.putRoot(w.key, r)
}

// Close keeps what is written for a later resume. After Finish it does nothing.
func (w *diskWriter) Close() error {
	w.turn.Lock()
	defer w.turn.Unlock()
	if w.finished || w.closed {
		return nil
	}
	err := w.flush()
	w.closed = true
	claims, _ := w.take()
	if k, ok := w.out.(*keptOutput); ok && w.borrow && !w.resumed && k.unused() && err == nil {
		k.close()
		if _, err = w.d.forgetPlaceIf(w.table.Root, w.place, false, unpinned); errors.Is(err, ErrPinned) {
			err = nil // meanwhile
		}
	}
	w.release(claims)
	return err
}

// release ends the writing: handles are closed, so that a finished program can
// be run, and the root can be created again.
func (w *diskWriter) release(claims []located) {
	w.mu.Lock()
	w.pending = nil
	w.mu.Unlock()
	w.d.leave(w.key)
	w.d.locs.dropLive(claims)
	w.d.locs.purge()
	w.out.close()
}

// returned takes back that a piece is here under another root.
func (w *diskWriter) returned(key merkle.Key) {
	w.lost(key)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.borrowed--
}

// lost takes back that a piece is written, because it no longer reads back.
func (w *diskWriter) lost(key merkle.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, p := range w.table.Pieces {
		if p.Key == key && w.written[i] {
			w.written[i] = false
			w.left++
			return
		}
	}
}
