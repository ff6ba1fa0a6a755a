package dht

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// mdnsPort is mDNS's port and mdnsGroup4 and mdnsGroup6 its groups (RFC 6762).
const mdnsPort = 5353

var (
	mdnsGroup4 = net.IPv4(224, 0, 0, 251)
	mdnsGroup6 = net.ParseIP("ff02::fb")
)

// lanFace is an interface that multicast goes out on, in one family.
type lanFace struct {
	index int
	v6    bool
}

// lanPacket is one packet that came in.
type lanPacket struct {
	face lanFace
	from netip.Addr
	data []byte
}

// multicast is the network as MDNS uses it; tests have one without sockets.
type multicast interface {
	// packets is closed when the network is.
	packets() <-chan lanPacket
	// faces looks at the machine's interfaces anew and joins the group on each.
	faces() ([]lanFace, []netip.Prefix)
	send(f lanFace, b []byte) error
	close()
}

// sockets is multicast over UDP.
type sockets struct {
	loopback bool
	v4       *ipv4.PacketConn // nil if the family is not to be had
	v6       *ipv6.PacketConn
	port     int
	in       chan lanPacket
	wg       sync.WaitGroup

	sendMu sync.Mutex // keeps setDefault and the write after it together
}

// listenMDNS opens the port in both families; one is enough. The port is shared
// with the system's own responder.
func listenMDNS(port int, loopback bool) (*sockets, error) {
	// Room for a burst of answers; what does not fit is lost, as on any network.
	s := &sockets{loopback: loopback, port: port, in: make(chan lanPacket, 64)}
	// Listening on a group's address shares the port; the group is joined later.
	c4, err4 := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(224, 0, 0, 0), Port: port})
	c6, err6 := net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP("ff02::"), Port: port})
	if err4 != nil && err6 != nil {
		return nil, fmt.Errorf("open UDP port %d for mDNS: %w", port, errors.Join(err4, err6))
	}
	// What a socket option cannot do on some system shows as missing packets
	// only, and there is nothing better to do than to go on.
	if err4 == nil {
		s.v4 = ipv4.NewPacketConn(c4)
		_ = s.v4.SetControlMessage(ipv4.FlagInterface, true)
		_ = s.v4.SetMulticastLoopback(true)
		_ = s.v4.SetMulticastTTL(255)
		s.wg.Go(s.read4)
	}
	if err6 == nil {
		s.v6 = ipv6.NewPacketConn(c6)
		_ = s.v6.SetControlMessage(ipv6.FlagInterface, true)
		_ = s.v6.SetMulticastLoopback(true)
		_ = s.v6.SetMulticastHopLimit(255)
		s.wg.Go(s.read6)
	}
	return s, nil
}

// maxMDNSPacket is the largest packet that RFC 6762 allows.
const maxMDNSPacket = 9000

func (s *sockets) read4() {
	buf := make([]byte, maxMDNSPacket)
	for {
		n, cm, from, err := s.v4.ReadFrom(buf)
		if err != nil {
			return
		}
		face := lanFace{}
		if cm != nil {
			face.index = cm.IfIndex
		}
		s.deliver(face, from, buf[:n])
	}
}

func (s *sockets) read6() {
	buf := make([]byte, maxMDNSPacket)
	for {
		n, cm, from, err := s.v6.ReadFrom(buf)
		if err != nil {
			return
		}
		face := lanFace{v6: true}
		if cm != nil {
			face.index = cm.IfIndex
		}
		s.deliver(face, from, buf[:n])
	}
}

// deliver hands a copy on, or drops it when nobody keeps up.
func (s *sockets) deliver(f lanFace, from net.Addr, b []byte) {
	u, ok := from.(*net.UDPAddr)
	if !ok {
		return
	}
	p := lanPacket{face: f, from: u.AddrPort().Addr().Unmap(), data: append([]byte(nil), b...)}
	select {
	case s.in <- p:
	default:
	}
}

func (s *sockets) packets() <-chan lanPacket { return s.in }

// usable says whether multicast is wanted on i. Loopback often lacks the flag
// and carries it all the same.
func (s *sockets) usable(i net.Interface) bool {
	if i.Flags&net.FlagUp == 0 {
		return false
	}
	if i.Flags&net.FlagLoopback != 0 {
		return s.loopback
	}
	return i.Flags&net.FlagMulticast != 0
}

func (s *sockets) faces() ([]lanFace, []netip.Prefix) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, nil
	}
	var faces []lanFace
	var nets []netip.Prefix
	for _, i := range ifaces {
		addrs, err := i.Addrs()
		if err != nil || !s.usable(i) {
			continue
		}
		has4, has6 := families(addrs)
		// Joining twice fails, which is how an interface that stayed answers.
		if has4 && s.v4 != nil {
			_ = s.v4.JoinGroup(&i, &net.UDPAddr{IP: mdnsGroup4})
			faces = append(faces, lanFace{index: i.Index})
		}
		if has6 && s.v6 != nil {
			_ = s.v6.JoinGroup(&i, &net.UDPAddr{IP: mdnsGroup6})
			faces = append(faces, lanFace{index: i.Index, v6: true})
		}
		nets = append(nets, subnets(addrs)...)
	}
	return faces, nets
}

// families says which address families addrs has.
func families(addrs []net.Addr) (has4, has6 bool) {
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			is4 := n.IP.To4() != nil
			has4, has6 = has4 || is4, has6 || !is4
		}
	}
	return has4, has6
}

// send multicasts b on one interface.
func (s *sockets) send(f lanFace, b []byte) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" && f.index != 0 {
		s.setDefault(f)
	}
	var err error
	if f.v6 {
		_, err = s.v6.WriteTo(b, &ipv6.ControlMessage{IfIndex: f.index}, &net.UDPAddr{IP: mdnsGroup6, Port: s.port})
	} else {
		_, err = s.v4.WriteTo(b, &ipv4.ControlMessage{IfIndex: f.index}, &net.UDPAddr{IP: mdnsGroup4, Port: s.port})
	}
	return err
}

// setDefault chooses the interface of the next packet where a packet cannot name
// it. If that fails, the packet goes where the system thinks best.
func (s *sockets) setDefault(f lanFace) {
	i := &net.Interface{Index: f.index}
	if f.v6 {
		_ = s.v6.SetMulticastInterface(i)
	} else {
		_ = s.v4.SetMulticastInterface(i)
	}
}

// close ends the readers and waits for them.
func (s *sockets) close() {
	if s.v4 != nil {
		_ = s.v4.Close()
	}
	if s.v6 != nil {
		_ = s.v6.Close()
	}
	s.wg.Wait()
	close(s.in)
}
