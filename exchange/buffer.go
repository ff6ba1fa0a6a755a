package exchange

import (
	"sync/atomic"

	"github.com/libp2p/go-buffer-pool"
)

// buffer is the memory of a piece, which several may read: whoever gets it, passes it
// on, or serves it. It goes back to the pool when the last of them has released it.
type buffer struct {
	bytes []byte
	users atomic.Int32
}

// newBuffer is a buffer with one user.
func newBuffer(size int) *buffer {
	b := &buffer{bytes: pool.Get(size)}
	b.users.Store(1)
	return b
}

// use adds a user. Its caller is one already.
func (b *buffer) use() { b.users.Add(1) }

// release takes a user away, who does not touch the bytes any more.
func (b *buffer) release() {
	switch n := b.users.Add(-1); {
	case n == 0:
		pool.Put(b.bytes)
		b.bytes = nil
	case n < 0:
		panic("exchange: the buffer of a piece was released twice")
	}
}
