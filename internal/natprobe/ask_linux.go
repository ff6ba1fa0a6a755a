package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"
)

// patience is longer than any round trip of the lab.
const patience = 400 * time.Millisecond

// askUDP describes the NAT as seen from UDP: mapping, filter, whether the outside
// port is the inside one, whether a packet to a port that was never used gets in,
// and whether such a packet spoils the mapping made afterwards.
func askUDP(a, b string) string {
	aa, ab, ba, bb := a+":"+portA, a+":"+portB, b+":"+portA, b+":"+portB
	c := socket(0)
	defer c.Close()
	first := ask(c, aa, "addr")
	if first == "" {
		return "udp:BLOCKED"
	}
	mapping := "EIM"
	for _, at := range []string{ab, ba, bb} {
		if ask(c, at, "addr") != first {
			mapping = "EDM"
		}
	}
	filter := "APDF" // of a socket that has spoken to aa alone
	f := socket(0)
	defer f.Close()
	ask(f, aa, "addr")
	if ask(f, aa, "from "+ab) != "" {
		filter = "ADF"
	}
	if ask(f, aa, "from "+bb) != "" {
		filter = "EIF"
	}
	ports := "ports-kept"
	if !strings.HasSuffix(first, port(c)) {
		ports = "ports-changed"
	}
	in, kept := unasked(c, aa, bb, first)
	return fmt.Sprintf("udp:%s+%s,%s,unasked-in=%d/4,kept-after=%d/4", mapping, filter, ports, in, kept)
}

// unasked has the server send to unused ports and counts what gets in, and how
// often the port then is mapped to itself all the same.
func unasked(c net.PacketConn, ask1, from, seen string) (in, kept int) {
	outside, _, _ := net.SplitHostPort(seen)
	for range 4 {
		s := socket(20000 + rand.IntN(20000))
		ask(c, ask1, "to "+outside+port(s)+" "+from)
		s.SetReadDeadline(time.Now().Add(patience / 4))
		if _, _, err := s.ReadFrom(make([]byte, 100)); err == nil {
			in++
		}
		if strings.HasSuffix(ask(s, from, "addr"), port(s)) {
			kept++
		}
		s.Close()
	}
	return in, kept
}

func socket(port int) net.PacketConn {
	c, err := net.ListenPacket("udp4", ":"+strconv.Itoa(port))
	if err != nil {
		panic(err)
	}
	return c
}

func port(c net.PacketConn) string { return fmt.Sprintf(":%d", c.LocalAddr().(*net.UDPAddr).Port) }

// ask sends twice at most; "" if no answer comes.
func ask(c net.PacketConn, at, what string) string {
	to, err := net.ResolveUDPAddr("udp4", at)
	if err != nil {
		return ""
	}
	buf := make([]byte, 100)
	for range 2 {
		c.WriteTo([]byte(what), to)
		c.SetReadDeadline(time.Now().Add(patience))
		if n, _, err := c.ReadFrom(buf); err == nil {
			return string(buf[:n])
		}
	}
	return ""
}

// askTCP does the same for TCP from a port that also listens. A filter by port
// cannot be told from a stricter one: nobody dials from a listening port here.
func askTCP(a, b string) string {
	local := 20000 + rand.IntN(20000)
	l, err := shared.Listen(context.Background(), "tcp4", ":"+strconv.Itoa(local))
	if err != nil {
		return "tcp:" + err.Error()
	}
	defer l.Close()
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			c.Close()
		}
	}()
	c, r := line(local, a+":"+portA)
	if c == nil {
		return "tcp:BLOCKED"
	}
	defer c.Close()
	first := tell(c, r, "addr")
	filter := "APDF" // first: only this address and port were spoken to
	if tell(c, r, "dial "+first+" "+a) == "ok" {
		filter = "ADF"
	}
	if tell(c, r, "dial "+first+" "+b) == "ok" {
		filter = "EIF"
	}
	mapping := "EIM"
	for _, at := range []string{a + ":" + portB, b + ":" + portA, b + ":" + portB} {
		c, r := line(local, at)
		if c == nil || tell(c, r, "addr") != first {
			mapping = "EDM"
		}
		if c != nil {
			defer c.Close()
		}
	}
	return "tcp:" + mapping + "+" + filter
}

func line(local int, at string) (net.Conn, *bufio.Reader) {
	d := net.Dialer{Timeout: 2 * time.Second, Control: shared.Control, LocalAddr: &net.TCPAddr{Port: local}}
	c, err := d.Dial("tcp4", at)
	if err != nil {
		return nil, nil
	}
	c.SetDeadline(time.Now().Add(5 * time.Second))
	return c, bufio.NewReader(c)
}

func tell(c net.Conn, r *bufio.Reader, what string) string {
	fmt.Fprintln(c, what)
	s, _ := r.ReadString('\n')
	return strings.TrimSpace(s)
}
