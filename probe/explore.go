package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/shoal-p2p/shoal/internal/route"
	"github.com/shoal-p2p/shoal/probe/nat"
)

// Patience of an asker.
const (
	firstTry  = 300 * time.Millisecond // beside the round trip; doubled for each of the further tries
	tries     = 3
	packetsIn = packets*packetGap + 600*time.Millisecond // for what was asked to arrive, beside the round trip
	maxHelp   = 4                                        // peers that are asked by UDP
)

// Usable tells whether a peer can help to Explore: it says that it is open, and
// has an address for UDP.
func (t *Talk) Usable() bool {
	return t.Open && t.UDP.IsValid() && !route.Circuit(t.stream.Conn().RemoteMultiaddr())
}

// Explore sends and awaits packets on a new socket with the help of peers, each
// at another address, and returns what was seen; see nat.Classify. Peers that are
// not Usable are passed over; two are needed for all of it. It takes up to 5 s.
func Explore(ctx context.Context, nw Network, talks []*Talk) (nat.Observation, error) {
	var o nat.Observation
	helpers := distinct(talks)
	if len(helpers) == 0 {
		return o, nil
	}
	if nw == nil {
		nw = UDP{}
	}
	c, err := nw.Listen()
	if err != nil {
		return o, fmt.Errorf("open a UDP socket: %w", err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
		if from, err := nw.Source(helpers[0].UDP); err == nil {
			o.Local = netip.AddrPortFrom(from, uint16(a.Port))
		}
	}
	e := explorer{c: c, o: &o}
	err = e.run(helpers)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return o, err
}

// distinct are the usable peers, one of each address.
func distinct(talks []*Talk) []*Talk {
	seen := map[netip.Addr]bool{}
	var out []*Talk
	for _, t := range talks {
		if t.Usable() && !seen[t.UDP.Addr()] && len(out) < maxHelp {
			seen[t.UDP.Addr()] = true
			out = append(out, t)
		}
	}
	return out
}

type explorer struct {
	c net.PacketConn
	o *nat.Observation
}

// run asks the first peer that answers for the outside address, then those that
// the socket has not sent to yet for a packet to it, then the first one for a
// packet from another port, and the others at last where they see the socket.
func (e *explorer) run(helpers []*Talk) error {
	first := -1
	for i, t := range helpers {
		at, err := e.echo(t)
		if err != nil {
			return err
		}
		if at.IsValid() {
			first = i
			e.o.Mapped = append(e.o.Mapped, at)
			break
		}
	}
	if first < 0 {
		return nil
	}
	to, rest := e.o.Mapped[0], helpers[first+1:]
	var err error
	for _, t := range rest {
		if e.o.Unasked, err = e.sent(t, send{to: to}); err != nil {
			return err
		}
		if e.o.Unasked != nat.Unknown {
			break
		}
	}
	if e.o.OtherPort, err = e.sent(helpers[first], send{to: to, other: true}); err != nil {
		return err
	}
	for _, t := range rest {
		at, err := e.echo(t)
		if err != nil {
			return err
		}
		if at.IsValid() {
			e.o.Mapped = append(e.o.Mapped, at)
			break
		}
	}
	return nil
}

// echo asks a peer by UDP where it sees the socket; zero if it does not answer.
func (e *explorer) echo(t *Talk) (netip.AddrPort, error) {
	e.o.Asked++
	ask := appendPacket(nil, packet{kind: packetAsk, token: t.token})
	wait := firstTry
	for range tries {
		if _, err := e.c.WriteTo(ask, net.UDPAddrFromAddrPort(t.UDP)); err != nil && errors.Is(err, net.ErrClosed) {
			return netip.AddrPort{}, err // else it is as good as lost: no route, or refused by a firewall here
		}
		p, err := e.await(packetAnswer, t.token, t.RTT+wait)
		if err != nil || p.kind != 0 {
			return p.seen, err
		}
		wait *= 2
	}
	return netip.AddrPort{}, nil
}

// sent asks a peer for packets and tells whether one came.
func (e *explorer) sent(t *Talk, s send) (nat.Answer, error) {
	_, _ = rand.Read(s.token[:]) // never fails
	status, err := t.request(s)
	if err != nil || status != Sending {
		return nat.Unknown, nil // the peer does not help, which is no fault of ours
	}
	p, err := e.await(packetSent, s.token, t.RTT+packetsIn)
	switch {
	case err != nil:
		return nat.Unknown, err
	case p.kind == 0:
		return nat.No, nil
	}
	return nat.Yes, nil
}

// await reads until the packet is there; the zero packet when it does not come.
func (e *explorer) await(kind byte, of token, patience time.Duration) (packet, error) {
	if err := e.c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return packet{}, err
	}
	buf := make([]byte, packetSize+1)
	for {
		n, _, err := e.c.ReadFrom(buf)
		if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
			return packet{}, nil
		}
		if errors.Is(err, net.ErrClosed) {
			return packet{}, err
		}
		if err != nil {
			continue // an ICMP error of an earlier packet
		}
		if p, ok := parsePacket(buf[:n]); ok && p.kind == kind && p.token == of {
			return p, nil
		}
	}
}
