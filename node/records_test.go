package node

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

// wires is a TCP connection, one end by records.
func wires(t *testing.T) (far, near net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if far, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	near = byRecord(c)
	t.Cleanup(func() { near.Close() })
	if _, same := near.(*net.TCPConn); same {
		t.Skip("not on", runtime.GOOS, runtime.GOARCH)
	}
	near.SetDeadline(time.Now().Add(20 * time.Second))
	far.SetDeadline(time.Now().Add(20 * time.Second))
	return far, near
}

// tlsRecord is a record with n bytes in it.
func tlsRecord(n int) []byte {
	b := make([]byte, 5+n)
	copy(b, []byte{23, 3, 3, byte(n >> 8), byte(n)})
	return b
}

// What is written comes out at the other end, both ways at once, however it is cut.
func TestRecordsCarry(t *testing.T) {
	t.Parallel()
	far, near := wires(t)
	rng := rand.New(rand.NewPCG(7, 0))
	var sent []byte
	for range 400 {
		r := tlsRecord([]int{0, 1, 40, 1208, 5000, 16401}[rng.IntN(6)])
		for i := range r[5:] {
			r[5+i] = byte(rng.Uint32())
		}
		sent = append(sent, r...)
	}
	flow := func(seed uint64, from, to net.Conn, done chan<- error) {
		rng := rand.New(rand.NewPCG(seed, 1))
		go func() {
			for b := sent; len(b) > 0; {
				n, err := from.Write(b[:min(len(b), 1+rng.IntN(40_000))])
				if err != nil {
					return // the reader tells
				}
				b = b[n:]
			}
		}()
		got, buf := []byte{}, make([]byte, 40_000)
		cuts := rand.New(rand.NewPCG(seed, 2))
		for len(got) < len(sent) {
			n, err := to.Read(buf[:1+cuts.IntN(len(buf))])
			if got = append(got, buf[:n]...); err != nil {
				done <- err
				return
			}
		}
		if !bytes.Equal(got, sent) {
			done <- errors.New("other bytes came out")
			return
		}
		done <- nil
	}
	done := make(chan error, 2)
	go flow(1, far, near, done)
	go flow(2, near, far, done)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A record that comes in many packets wakes its reader twice, not for each, and what
// is small and comes after it at once.
func TestRecordsWake(t *testing.T) {
	t.Parallel()
	far, near := wires(t)
	go func() {
		for r := tlsRecord(16_401); len(r) > 0; time.Sleep(2 * time.Millisecond) {
			n := min(len(r), 1448)
			far.Write(r[:n])
			r = r[n:]
		}
		far.Write(tlsRecord(30))
	}()
	buf := make([]byte, 40_000)
	for i, size := range []int{5 + 16_401, 5 + 30} {
		reads := 0
		for got := 0; got < size; reads++ {
			n, err := near.Read(buf[:size-got])
			if got += n; err != nil {
				t.Fatal(err)
			}
		}
		if most := []int{4, 1}[i]; reads > most {
			t.Errorf("%d bytes took %d reads, want at most %d", size, reads, most)
		}
	}
}

// Who waits for the rest of a record is told when none comes.
func TestRecordsEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(far, near net.Conn) error{
		"closed by the peer": func(far, _ net.Conn) error { far.Close(); return io.EOF },
		"closed here":        func(_, near net.Conn) error { near.Close(); return net.ErrClosed },
		"time is over": func(_, near net.Conn) error {
			near.SetReadDeadline(time.Now())
			return os.ErrDeadlineExceeded
		},
	} {
		far, near := wires(t)
		far.Write(tlsRecord(16_401)[:3000])
		got := 0
		want := make(chan error, 1)
		buf := make([]byte, 20_000)
		for {
			n, err := near.Read(buf)
			if got += n; err != nil {
				if w := <-want; !errors.Is(err, w) || got != 3000 {
					t.Errorf("%s: %v after %d bytes, want %v after 3000", name, err, got, w)
				}
				break
			}
			if got == 3000 {
				time.AfterFunc(20*time.Millisecond, func() { want <- end(far, near) })
			}
		}
	}
}

// A peer that takes nothing holds up a write until its time is over, and no longer.
func TestRecordsFull(t *testing.T) {
	t.Parallel()
	_, near := wires(t)
	near.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	sent := 0
	for {
		n, err := near.Write(make([]byte, 1<<20))
		if sent += n; err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) || n == 1<<20 {
				t.Errorf("%v after %d bytes of a write, want a time-out", err, n)
			}
			return
		}
		if sent > 1<<30 {
			t.Fatal("a gigabyte was taken by nobody")
		}
	}
}
