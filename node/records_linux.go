//go:build linux && !386 && !s390x

package node

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// leastWait is the least rest of a record that is waited for as a whole: two
// packets.
const leastWait = 2 << 10

// records is a TCP connection under TLS that costs few wake-ups.
//
// It wakes its reader for whole records: TLS gives nothing out before a record of
// up to 16 KiB is there, but would be woken for each of the dozen packets that
// bring it.
//
// And it reads and writes without telling the scheduler, as a socket that does not
// block allows: a system call of which the scheduler knows wakes its monitor thread
// when that sleeps, which then looks around every 20 us for at least a millisecond.
type records struct {
	net.Conn
	raw syscall.RawConn
	in  direction
	out direction

	// Of Read alone, which TLS calls from one goroutine at a time.
	low  int // bytes that wake the reader
	left int // bytes of the record that are still to come
	seen int // bytes of the header of the next one that have come
	head [recordHeader]byte
}

const recordHeader = 5 // type, version, length in 2 bytes

// direction is a read or a write that waits, or the last one. TLS has at most one of
// each at a time.
type direction struct {
	p   []byte
	n   int
	err error
	try func(fd uintptr) bool // made once: closures cost
}

// byRecord is c with whole records, or c itself where that cannot be done.
func byRecord(c net.Conn) net.Conn {
	tcp, ok := c.(interface {
		syscall.Conn
		SetNoDelay(bool) error // TCP
	})
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	r := &records{Conn: c, raw: raw, low: 1}
	r.in.try, r.out.try = r.tryRead, r.tryWrite
	return r
}

// Read reads what has come, as soon as it is the rest of the record.
func (r *records) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.in.p = p
	err := r.raw.Read(r.in.try)
	r.in.p = nil
	switch {
	case err != nil:
		return 0, err
	case r.in.err != nil:
		return 0, r.failed("read", r.in.err)
	case r.in.n == 0:
		return 0, io.EOF
	}
	r.follow(p[:r.in.n])
	return r.in.n, nil
}

func (r *records) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: r.LocalAddr(), Addr: r.RemoteAddr(), Err: os.NewSyscallError(op, err)}
}

// tryRead reads, or says how much to wait for.
func (r *records) tryRead(fd uintptr) bool {
	r.in.n, r.in.err = transfer(syscall.SYS_READ, fd, r.in.p)
	if r.in.err != syscall.EAGAIN {
		return true
	}
	low := 1
	if rest := min(r.left, len(r.in.p)); rest >= leastWait {
		low = rest
	}
	if low != r.low && setLow(fd, low) {
		r.low = low
	}
	return false
}

// Write writes all of p.
func (r *records) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.out.p, r.out.n = p, 0
	err := r.raw.Write(r.out.try)
	r.out.p = nil
	if err == nil && r.out.err != nil {
		err = r.failed("write", r.out.err)
	}
	return r.out.n, err
}

// tryWrite writes until nothing more goes out.
func (r *records) tryWrite(fd uintptr) bool {
	for r.out.n < len(r.out.p) {
		n, err := transfer(syscall.SYS_WRITE, fd, r.out.p[r.out.n:])
		if r.out.err = err; err != nil {
			return err != syscall.EAGAIN
		}
		r.out.n += n
	}
	return true
}

// follow notes where in a record b ends.
func (r *records) follow(b []byte) {
	for len(b) > 0 {
		if r.left > 0 {
			n := min(r.left, len(b))
			r.left, b = r.left-n, b[n:]
			continue
		}
		n := copy(r.head[r.seen:], b)
		r.seen, b = r.seen+n, b[n:]
		if r.seen == recordHeader {
			r.seen, r.left = 0, int(r.head[3])<<8|int(r.head[4])
		}
	}
}

// transfer reads or writes once on a socket that does not block.
func transfer(call, fd uintptr, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// setLow has a reader woken for so many bytes.
func setLow(fd uintptr, bytes int) bool {
	value := int32(bytes)
	_, _, errno := syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, fd, syscall.SOL_SOCKET, syscall.SO_RCVLOWAT,
		uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value), 0)
	return errno == 0
}
