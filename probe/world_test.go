package probe

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/probe/nat"
)

// world is an internet of UDP sockets in memory, some of them behind a box.
type world struct {
	mu    sync.Mutex
	socks map[netip.AddrPort]*sock // that are reached directly
	boxes map[netip.Addr]*box      // by outside address
	sent  int                      // packets
}

func newWorld() *world {
	return &world{socks: map[netip.AddrPort]*sock{}, boxes: map[netip.Addr]*box{}}
}

// box is a NAT or a firewall as RFC 4787 describes them.
type box struct {
	w         *world
	outside   netip.Addr
	mapping   nat.Mapping
	filtering nat.Filtering
	next      uint16
	out       map[[2]netip.AddrPort]netip.AddrPort // inside and, if it depends, to whom
	in        map[netip.AddrPort]*sock             // by outside address
	spoken    map[[2]netip.AddrPort]bool           // outside address, to whom
}

func (w *world) box(outside string, m nat.Mapping, f nat.Filtering) *box {
	b := &box{
		w: w, outside: netip.MustParseAddr(outside), mapping: m, filtering: f, next: 50000,
		out: map[[2]netip.AddrPort]netip.AddrPort{}, in: map[netip.AddrPort]*sock{}, spoken: map[[2]netip.AddrPort]bool{},
	}
	w.boxes[b.outside] = b
	return b
}

// leave gives the outside address of a packet, and remembers where it went.
func (b *box) leave(s *sock, to netip.AddrPort) netip.AddrPort {
	key := [2]netip.AddrPort{s.local}
	if b.mapping == nat.Dependent {
		key[1] = to
	}
	at, ok := b.out[key]
	if !ok {
		port := b.next
		if b.next++; b.mapping == nat.Direct {
			port = s.local.Port()
		}
		at = netip.AddrPortFrom(b.outside, port)
		b.out[key], b.in[at] = at, s
	}
	b.spoken[[2]netip.AddrPort{at, to}] = true
	return at
}

// enter gives the socket that a packet reaches, nil for none.
func (b *box) enter(from, to netip.AddrPort) *sock {
	spoken := false
	for key := range b.spoken {
		if key[0] == to && (key[1] == from || b.filtering == nat.ByAddress && key[1].Addr() == from.Addr()) {
			spoken = true
		}
	}
	if b.mapping == nat.Blocked || b.filtering != nat.Open && !spoken {
		return nil
	}
	return b.in[to]
}

// machine is a Network with an address of its own, behind a box if there is one.
type machine struct {
	w    *world
	addr netip.Addr
	box  *box
	next *uint16
}

func (w *world) host(addr string, b *box) machine {
	next := uint16(40000)
	return machine{w, netip.MustParseAddr(addr), b, &next}
}

func (h machine) Listen() (net.PacketConn, error) {
	*h.next++
	return h.bind(*h.next), nil
}

func (h machine) Source(netip.AddrPort) (netip.Addr, error) { return h.addr, nil }

func (h machine) bind(port uint16) *sock {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	s := &sock{h: h, local: netip.AddrPortFrom(h.addr, port), packets: make(chan letter, 64), closed: make(chan struct{})}
	if h.box == nil {
		h.w.socks[s.local] = s
	}
	return s
}

type letter struct {
	from netip.AddrPort
	data []byte
}

// sock is a socket. Its owner reads and sets deadlines from one goroutine.
type sock struct {
	h       machine
	local   netip.AddrPort
	packets chan letter
	closed  chan struct{}
	once    sync.Once
	until   time.Time
}

// packets is how many were sent so far.
func (w *world) packets() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

func (s *sock) WriteTo(b []byte, to net.Addr) (int, error) {
	at, w := to.(*net.UDPAddr).AddrPort(), s.h.w
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	from := s.local
	if s.h.box != nil {
		from = s.h.box.leave(s, at)
	}
	dest := w.socks[at]
	if behind := w.boxes[at.Addr()]; behind != nil {
		dest = behind.enter(from, at)
	}
	if dest != nil && len(dest.packets) < cap(dest.packets) {
		dest.packets <- letter{from, append([]byte(nil), b...)}
	}
	return len(b), nil
}

func (s *sock) ReadFrom(b []byte) (int, net.Addr, error) {
	var late <-chan time.Time
	if !s.until.IsZero() {
		t := time.NewTimer(time.Until(s.until))
		defer t.Stop()
		late = t.C
	}
	select {
	case l := <-s.packets:
		return copy(b, l.data), net.UDPAddrFromAddrPort(l.from), nil
	case <-s.closed:
		return 0, nil, net.ErrClosed
	case <-late:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (s *sock) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *sock) LocalAddr() net.Addr                { return net.UDPAddrFromAddrPort(s.local) }
func (s *sock) SetDeadline(t time.Time) error      { return s.SetReadDeadline(t) }
func (s *sock) SetReadDeadline(t time.Time) error  { s.until = t; return nil }
func (s *sock) SetWriteDeadline(t time.Time) error { return nil }
