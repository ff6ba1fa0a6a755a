package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Each address of the server answers on two ports.
const portA, portB = "3478", "3479"

// The wire, a datagram or a line each:
//
//	addr              the address that the asker seems to have
//	from SRC          the same, but sent from SRC, one of the server's sockets (UDP)
//	to DST SRC        a datagram from SRC to DST, then "sent" to the asker (UDP)
//	dial DST IP       a connection from a fresh port of IP to DST; "ok" or "no" (TCP)

// serve answers until it is killed; it says "up" when it listens.
func serve(a, b string) error {
	socks := map[string]net.PacketConn{}
	var lines []net.Listener
	for _, ip := range []string{a, b} {
		for _, port := range []string{portA, portB} {
			at := net.JoinHostPort(ip, port)
			c, err := net.ListenPacket("udp4", at)
			if err != nil {
				return err
			}
			socks[at] = c
			l, err := shared.Listen(context.Background(), "tcp4", at)
			if err != nil {
				return err
			}
			lines = append(lines, l)
		}
	}
	for _, c := range socks {
		go serveUDP(c, socks)
	}
	for _, l := range lines {
		go serveTCP(l)
	}
	fmt.Println("up")
	select {}
}

func serveUDP(c net.PacketConn, socks map[string]net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		seen := []byte(from.String())
		switch f := strings.Fields(string(buf[:n])); {
		case len(f) == 1 && f[0] == "addr":
			c.WriteTo(seen, from)
		case len(f) == 2 && f[0] == "from" && socks[f[1]] != nil:
			socks[f[1]].WriteTo(seen, from)
		case len(f) == 3 && f[0] == "to" && socks[f[2]] != nil:
			if to, err := net.ResolveUDPAddr("udp4", f[1]); err == nil {
				socks[f[2]].WriteTo([]byte("unasked"), to)
			}
			c.WriteTo([]byte("sent"), from)
		}
	}
}

func serveTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for s := bufio.NewScanner(c); s.Scan(); {
				switch f := strings.Fields(s.Text()); {
				case len(f) == 1 && f[0] == "addr":
					fmt.Fprintln(c, c.RemoteAddr())
				case len(f) == 3 && f[0] == "dial":
					fmt.Fprintln(c, dialBack(f[1], f[2]))
				}
			}
		}()
	}
}

// dialBack says whether to can be reached from a fresh port of ip.
func dialBack(to, ip string) string {
	d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	c, err := d.Dial("tcp4", to)
	if err != nil {
		return "no"
	}
	c.Close()
	return "ok"
}

// shared listens and dials by ports that others use too, as libp2p does.
var shared = net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
	e := c.Control(func(fd uintptr) {
		if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}
	})
	if e != nil {
		return e
	}
	return err
}}
