package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// Content reads one file of a root. Reads block until the bytes are verified;
// nothing else is ever returned. It is an io.ReadSeeker and io.ReaderAt, so
// http.ServeContent and archive readers work on it. ReadAt may be called from
// many goroutines; Read and Seek share one position. Close it.
type Content struct {
	n    *Node
	from attempt
	ctx  context.Context
	size int64

	// in guards d, which is the download of the file itself: its table's one
	// entry. Another takes its place when that yields to a Fetch.
	in     sync.Mutex
	d      *download
	closed bool

	mu  sync.Mutex // of readers
	pos int64
	at  int // piece in buf, -1 for none
	buf []byte
	pay []byte // payload within buf
}

// readAhead is how many pieces beyond the one that is read are wanted: what a
// 1 Gbit/s path carries in 0.1 s is 12 MB.
const readAhead = 16

// want asks the loop for pieces in the order of need, and waits for the first.
type want struct {
	first    int   // the one that is waited for
	ahead    []int // that may be wanted soon
	deadline time.Time
	ready    chan struct{}
}

// wantDone takes back a want that nobody waits for any more.
type wantDone struct{ w *want }

func (w *want) got(piece int) {
	if piece == w.first {
		close(w.ready)
	}
}

// onWant marks pieces as wanted, with deadlines one after the other.
func (d *download) onWant(now time.Time, w *want) {
	if d.have.Has(w.first) {
		close(w.ready)
	} else {
		d.wanting[w.first] = append(d.wanting[w.first], w)
		d.useful = now // the clock of "nothing useful" starts with the need
	}
	for i, piece := range append([]int{w.first}, w.ahead...) {
		if !d.have.Has(piece) {
			at := w.deadline.Add(time.Duration(i) * 100 * time.Millisecond)
			d.picker.Want(now, piece, at)
			d.policy.Want(now, piece, at)
		}
	}
}

func (d *download) onWantDone(ev *wantDone) {
	ws := d.wanting[ev.w.first]
	for i, w := range ws {
		if w == ev.w {
			d.wanting[ev.w.first] = append(ws[:i:i], ws[i+1:]...)
		}
	}
	if len(d.wanting[ev.w.first]) == 0 {
		delete(d.wanting, ev.w.first)
	}
}

// Size is the length of the file in bytes.
func (c *Content) Size() int64 { return c.size }

// Name is the file's name.
func (c *Content) Name() string { return c.download().name() }

func (c *Content) download() *download {
	c.in.Lock()
	defer c.in.Unlock()
	return c.d
}

// Read reads on from the position.
func (c *Content) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.readAt(p, c.pos)
	c.pos += int64(n)
	return n, err
}

// Seek sets the position.
func (c *Content) Seek(offset int64, whence int) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += c.pos
	case io.SeekEnd:
		offset += c.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	c.pos = offset
	return offset, nil
}

// ReadAt reads len(p) bytes from off, or to the end with io.EOF.
func (c *Content) ReadAt(p []byte, off int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := 0
	for total < len(p) {
		n, err := c.readAt(p[total:], off+int64(total))
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// readAt reads what one span has from off on.
func (c *Content) readAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= c.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	t := c.download().table
	e := &t.Entries[0]
	i := t.PieceAt(0, off)
	span := e.Spans[i]
	if span.Piece < 0 {
		return copy(p, span.Inline[off-span.Offset:]), nil
	}
	if err := c.load(e, i); err != nil {
		return 0, err
	}
	return copy(p, c.pay[off-span.Offset:]), nil
}

// lost says that a piece which was here cannot be read any more: the user's
// file that held it has changed, or another root was evicted.
type lost struct{ piece int }

// onLost has a piece fetched again.
func (d *download) onLost(now time.Time, ev lost) {
	if d.phase != fetching || !d.have.Remove(ev.piece) {
		return
	}
	d.picker.Lost(now, ev.piece)
	d.policy.Lost(now, ev.piece)
	d.covered -= d.weight(ev.piece)
	if !d.demand {
		d.lacking++
	}
}

// maxLosses bounds how often a reader waits for a piece that is lost again.
const maxLosses = 3

// load waits for the piece of a span and reads it.
func (c *Content) load(e *merkle.Entry, span int) error {
	piece := e.Spans[span].Piece
	if c.at == piece {
		return nil
	}
	for losses := 0; ; losses++ {
		if err := c.await(e, span); err != nil {
			return err
		}
		d := c.download()
		p := d.table.Pieces[piece]
		block, err := (*library)(c.n).ReadPiece(c.ctx, p.Key, c.buf)
		if (errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrNotFound)) && losses < maxLosses && !d.gone() {
			d.send(c.ctx, lost{piece})
			continue
		}
		if err != nil {
			return fmt.Errorf("read piece %d: %w", piece, err)
		}
		from, to, err := merkle.Unframe(p.Key, block)
		if err != nil {
			return err
		}
		c.at, c.buf, c.pay = piece, block, block[from:to]
		return nil
	}
}

// await waits for the piece of a span, and has those after it fetched.
func (c *Content) await(e *merkle.Entry, span int) error {
	piece := e.Spans[span].Piece
	var ahead []int
	for _, s := range e.Spans[span+1 : min(len(e.Spans), span+1+readAhead)] {
		if s.Piece >= 0 {
			ahead = append(ahead, s.Piece)
		}
	}
	for {
		d := c.download()
		w := &want{first: piece, ahead: ahead, deadline: time.Now().Add(time.Second), ready: make(chan struct{})}
		d.send(c.ctx, w)
		select {
		case <-w.ready:
			return nil
		case <-d.left:
		case <-c.ctx.Done():
			d.send(context.Background(), &wantDone{w})
			return c.ctx.Err()
		}
		switch {
		case d.err == nil: // the Fetch that it shared has ended: all is in the store
			return nil
		case !c.from.again(d) && (d.demand || c.ctx.Err() != nil || c.n.ctx.Err() != nil):
			return d.err // but another's failure is not ours
		}
		if err := c.reopen(); err != nil {
			return err
		}
	}
}

// reopen goes on in another download, because the one that was read has yielded.
func (c *Content) reopen() error {
	d, err := c.n.read(c.ctx, c.from)
	if err != nil {
		return err
	}
	c.in.Lock()
	old, closed := d, c.closed
	if !closed {
		old, c.d = c.d, d
	}
	c.in.Unlock()
	c.n.release(old)
	if closed {
		return fs.ErrClosed
	}
	return nil
}

// Close ends the reader's part. What was read stays in the node's directory.
// Later calls do nothing.
func (c *Content) Close() error {
	c.in.Lock()
	d, closed := c.d, c.closed
	c.closed = true
	c.in.Unlock()
	if !closed {
		c.n.release(d)
	}
	return nil
}
