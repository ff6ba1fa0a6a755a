package exchange

import (
	"container/list"
	"sync"

	"github.com/libp2p/go-buffer-pool"
	"github.com/shoal-p2p/shoal/merkle"
)

// pieceCache keeps the verified pieces that were served last, so that a piece
// that goes out in small requests, or to many peers, is read and hashed once.
type pieceCache struct {
	mu    sync.Mutex
	size  int
	byKey map[merkle.Key]*cached
	order *list.List // of *cached, used last in front; only those not in use may go
}

type cached struct {
	key   merkle.Key
	data  []byte
	err   error
	users int
	gone  bool          // not in byKey any more
	ready chan struct{} // closed when data or err is set
	elem  *list.Element
}

func newPieceCache(size int) *pieceCache {
	return &pieceCache{size: size, byKey: map[merkle.Key]*cached{}, order: list.New()}
}

// get returns the piece, read once however many ask at a time. The caller
// calls release when it has done with the bytes.
func (c *pieceCache) get(key merkle.Key, read func(buf []byte) ([]byte, error)) (data []byte, release func(), err error) {
	c.mu.Lock()
	e := c.byKey[key]
	if e != nil {
		e.users++
		c.order.MoveToFront(e.elem)
		c.mu.Unlock()
		<-e.ready
	} else {
		e = &cached{key: key, users: 1, ready: make(chan struct{})}
		e.elem = c.order.PushFront(e)
		c.byKey[key] = e
		c.evict()
		c.mu.Unlock()
		buf := pool.Get(1 << 20)
		e.data, e.err = read(buf)
		if e.err != nil || cap(e.data) == 0 || &e.data[:1][0] != &buf[:1][0] {
			pool.Put(buf) // the piece did not fit, or there is none
		}
		close(e.ready)
	}
	if e.err != nil {
		c.remove(key)
		c.release(e)
		return nil, nil, e.err
	}
	return e.data, func() { c.release(e) }, nil
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
	if e.users == 0 {
		Release(e.data)
		e.data = nil
	}
}

func (c *pieceCache) release(e *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users--
	if e.users == 0 && e.gone {
		Release(e.data)
		e.data = nil
	}
	c.evict()
}

// remove drops a piece, because it was withdrawn.
func (c *pieceCache) remove(key merkle.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil {
		c.forget(e)
	}
}
