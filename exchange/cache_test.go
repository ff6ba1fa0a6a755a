package exchange

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-buffer-pool"
	"github.com/shoal-p2p/shoal/merkle"
)

func pieceNamed(i byte) merkle.Piece { return merkle.Piece{Key: merkle.Key{0x55, i}, Size: 1000} }

// fills is a reader that fills the buffer it is given with one byte.
func fills(b byte) func([]byte) ([]byte, error) {
	return func(buf []byte) ([]byte, error) {
		for i := range buf {
			buf[i] = b
		}
		return buf, nil
	}
}

// However many ask at once, a piece is read once, and stays while it is used.
func TestCacheReadsOnce(t *testing.T) {
	t.Parallel()
	c := newPieceCache(2)
	var reads atomic.Int32
	var wg sync.WaitGroup
	for i := range 32 {
		p := pieceNamed(byte(i % 2))
		wg.Go(func() {
			for range 50 {
				data, release, err := c.get(p, func(buf []byte) ([]byte, error) {
					reads.Add(1)
					return fills(p.Key[1])(buf)
				})
				if err != nil || len(data) != 1000 || data[0] != p.Key[1] || data[999] != p.Key[1] {
					t.Errorf("piece %d: %d bytes, %v", p.Key[1], len(data), err)
					return
				}
				release()
			}
		})
	}
	wg.Wait()
	if n := reads.Load(); n != 2 {
		t.Errorf("%d reads of two pieces", n)
	}
}

// The cache keeps as many as it may, those used last; a piece in use is kept
// beyond that, and its bytes do not change under the user.
func TestCacheEvicts(t *testing.T) {
	t.Parallel()
	c := newPieceCache(2)
	held, release, err := c.get(pieceNamed(0), fills(0xaa))
	if err != nil {
		t.Fatal(err)
	}
	for i := range byte(20) {
		_, r, err := c.get(pieceNamed(1+i), fills(i))
		if err != nil {
			t.Fatal(err)
		}
		r()
		if n := c.order.Len(); n > 3 || n != len(c.byKey) {
			t.Fatalf("%d in order, %d by key", n, len(c.byKey))
		}
	}
	for _, b := range held {
		if b != 0xaa {
			t.Fatal("the bytes of a piece in use changed")
		}
	}
	e := c.byKey[pieceNamed(0).Key]
	c.remove(pieceNamed(0).Key) // withdrawn while it is in use
	if e.buf == nil {
		t.Error("the buffer of a piece in use went back to the pool")
	}
	release()
	if e.buf != nil || e.data != nil {
		t.Error("the buffer did not go back to the pool")
	}
	c.clear()
	if len(c.byKey) != 0 || c.order.Len() != 0 {
		t.Error("clear left something")
	}
}

// A read that failed is told to all who waited for it, and tried again by the next.
func TestCacheErrors(t *testing.T) {
	t.Parallel()
	c := newPieceCache(4)
	broken := errors.New("disk")
	started, goOn := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _, err := c.get(pieceNamed(1), func(buf []byte) ([]byte, error) {
			close(started)
			<-goOn
			return buf, broken
		})
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
	<-started
	e := c.byKey[pieceNamed(1).Key]
	for range 3 {
		wg.Go(func() {
			if _, _, err := c.get(pieceNamed(1), fills(9)); err != nil && !errors.Is(err, broken) {
				t.Errorf("got %v", err)
			}
		})
	}
	close(goOn)
	wg.Wait()
	if e.users != 0 || e.buf != nil || !e.gone {
		t.Errorf("left of the failed read: %+v", e)
	}
	data, release, err := c.get(pieceNamed(1), fills(7))
	if err != nil || (data[0] != 7 && data[0] != 9) {
		t.Fatalf("the next read: %v", err)
	}
	release()
	if _, _, err := c.get(pieceNamed(2), func(buf []byte) ([]byte, error) { return buf[:10], nil }); err == nil {
		t.Error("a piece of the wrong length passes")
	}
}

// Memory that is the library's own is never given to the pool.
func TestCacheForeignMemory(t *testing.T) {
	t.Parallel()
	c := newPieceCache(0)
	own := make([]byte, 1000)
	data, release, err := c.get(pieceNamed(1), func([]byte) ([]byte, error) { return own, nil })
	if err != nil || &data[0] != &own[0] {
		t.Fatal(err)
	}
	release()
	for range 16 {
		if b := pool.Get(512); &b[0] == &own[0] {
			t.Fatal("the library's memory went to the pool")
		}
	}
	if len(c.byKey) != 0 {
		t.Error("a cache of no size keeps a piece")
	}
}
