package exchange

import (
	"container/list"
	"fmt"
	"sync"

	"github.com/shoal-p2p/shoal/merkle"
)

// pieceCache keeps the verified pieces that were served last, so that a piece
// that goes out in small requests, or to many peers, is read and hashed once.
type pieceCache struct {
	mu    sync.Mutex
	size  int
	byKey map[merkle.Key]*cached
	order *list.List // of *cached, used last in front
}

// cached is a piece. It uses its buffer until the last of release and forget.
type cached struct {
	key   merkle.Key
	data  []byte // what the reader gave: buf, or memory of its own
	buf   *buffer
	err   error
	users int
	gone  bool          // not in byKey any more
	ready chan struct{} // closed when data or err is set
	elem  *list.Element

	missing uint32 // blocks that have not come, one bit each, of a piece that was lent; guarded by its sender's Session.mu
}

func newPieceCache(size int) *pieceCache {
	return &pieceCache{size: size, byKey: map[merkle.Key]*cached{}, order: list.New()}
}

// get returns the size bytes of a piece, read once however many ask at a time.
// The caller calls release when it has done with the bytes.
func (c *pieceCache) get(p merkle.Piece, read func(buf []byte) ([]byte, error)) (data []byte, release func(), err error) {
	c.mu.Lock()
	e := c.byKey[p.Key]
	if e != nil {
		e.users++
		c.order.MoveToFront(e.elem)
		c.mu.Unlock()
		<-e.ready
	} else {
		e = &cached{key: p.Key, users: 1, buf: newBuffer(p.Size), ready: make(chan struct{})}
		e.elem = c.order.PushFront(e)
		c.byKey[p.Key] = e
		c.evict()
		c.mu.Unlock()
		if e.data, e.err = read(e.buf.bytes); e.err == nil && len(e.data) != p.Size {
			e.err = fmt.Errorf("read piece %v: %d bytes, want %d", p.Key, len(e.data), p.Size)
		}
		close(e.ready)
	}
	if e.err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.forget(e) // whoever asks next tries again
		c.unuse(e)
		return nil, nil, e.err
	}
	return e.data, func() { c.release(e) }, nil
}

// lent is a piece that is coming into b, of which blocks are missing, one bit each. It
// is in nobody's way until adopt; the caller calls release when it has done with it.
func lent(p merkle.Piece, b *buffer, missing uint32) *cached {
	b.use()
	return &cached{key: p.Key, users: 1, buf: b, data: b.bytes, ready: closed, gone: true, missing: missing}
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// adopt keeps a piece that was lent, and is whole and verified.
func (c *pieceCache) adopt(e *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[e.key] == nil && e.gone {
		e.gone = false
		e.elem = c.order.PushFront(e)
		c.byKey[e.key] = e
		c.evict()
	}
}

// use keeps the bytes of a piece that was lent until release.
func (c *pieceCache) use(e *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users++
}

// evict drops the pieces used longest ago, past the size, that nobody uses.
func (c *pieceCache) evict() {
	for at := c.order.Back(); at != nil && c.order.Len() > c.size; {
		e, prev := at.Value.(*cached), at.Prev()
		if e.users == 0 {
			c.forget(e)
		}
		at = prev
	}
}

// forget takes e out; its buffer goes back when nobody uses it.
func (c *pieceCache) forget(e *cached) {
	if e.gone {
		return
	}
	e.gone = true
	delete(c.byKey, e.key)
	c.order.Remove(e.elem)
	c.free(e)
}

func (c *pieceCache) release(e *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unuse(e)
	c.evict()
}

func (c *pieceCache) unuse(e *cached) {
	e.users--
	c.free(e)
}

// free gives the buffer back if e is out of the cache and out of use.
func (c *pieceCache) free(e *cached) {
	if e.gone && e.users == 0 {
		e.buf.release()
		e.buf, e.data = nil, nil
	}
}

// remove drops a piece, because it was withdrawn.
func (c *pieceCache) remove(key merkle.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil {
		c.forget(e)
	}
}

// clear drops all pieces, at the end.
func (c *pieceCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.byKey {
		c.forget(e)
	}
}
