package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/shoal-p2p/shoal/internal/route"
)

// Talk is a conversation with one peer. One owner; Close it.
type Talk struct {
	Peer  peer.ID
	Local ma.Multiaddr  // this end of the connection
	Seen  ma.Multiaddr  // this end as the peer sees it
	Open  bool          // the peer says that anyone's packets reach it
	Ahead time.Duration // of the peer's clock to ours, give or take RTT/2 and a millisecond
	RTT   time.Duration // of the one question
	UDP   netip.AddrPort

	stream network.Stream
	token  token
	stop   func() bool
}

// replyTimeout is how long a peer may take for a reply.
const replyTimeout = 3 * time.Second

// Ask opens a conversation with a connected peer. ctx bounds all of it.
func Ask(ctx context.Context, h host.Host, prefix string, p peer.ID) (*Talk, error) {
	ctx = network.WithNoDial(network.WithAllowLimitedConn(ctx, "probe"), "probe")
	st, err := h.NewStream(ctx, p, Protocol(prefix))
	if err != nil {
		return nil, fmt.Errorf("ask %v what it sees: %w", p, err)
	}
	conn := st.Conn()
	t := &Talk{Peer: p, Local: conn.LocalMultiaddr(), stream: st, stop: context.AfterFunc(ctx, func() { _ = st.Reset() })}
	if err := t.look(); err != nil {
		t.Close()
		return nil, fmt.Errorf("ask %v what it sees: %w", p, err)
	}
	t.UDP = udpOf(conn.RemoteMultiaddr(), h.Peerstore().Addrs(p))
	return t, nil
}

// Close ends the conversation.
func (t *Talk) Close() {
	t.stop()
	_ = t.stream.Reset()
}

func (t *Talk) look() error {
	sent := time.Now()
	body, err := t.exchange(kindLook, nil)
	if err != nil {
		return err
	}
	t.RTT = time.Since(sent)
	l, err := parseLook(body)
	if err != nil {
		return err
	}
	t.Seen, t.Open, t.token = l.seen, l.open, l.token
	t.Ahead = l.clock.Sub(sent.Add(t.RTT / 2))
	return nil
}

// exchange sends a request and reads the reply.
func (t *Talk) exchange(kind byte, body []byte) ([]byte, error) {
	if err := t.stream.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return nil, err
	}
	if _, err := t.stream.Write(appendMessage(nil, kind, body)); err != nil {
		return nil, err
	}
	got, reply, err := readMessage(t.stream)
	if err == nil && got != kind {
		err = errMessage
	}
	return reply, err
}

// request asks for packets.
func (t *Talk) request(s send) (Status, error) {
	reply, err := t.exchange(kindSend, appendSend(nil, s))
	if err == nil && len(reply) != 1 {
		err = errMessage
	}
	if err != nil {
		return Unavailable, err
	}
	return Status(reply[0]), nil
}

// udpOf is where a peer receives UDP by IPv4: of the addresses that it tells, the
// one on the machine that we are connected to, else the first public one.
func udpOf(remote ma.Multiaddr, told []ma.Multiaddr) netip.AddrPort {
	ip, _ := addrPortOf(remote) // none: no address is on that machine
	var found netip.AddrPort
	for _, a := range told {
		if _, err := a.ValueForProtocol(ma.P_QUIC_V1); err != nil || route.Circuit(a) {
			continue
		}
		at, err := addrPortOf(a)
		switch {
		case err != nil || !at.Addr().Is4():
		case at.Addr() == ip.Addr():
			return at
		case !found.IsValid() && manet.IsPublicAddr(a):
			found = at
		}
	}
	return found
}

// addrPortOf is the IP address and port that a multiaddr begins with.
func addrPortOf(a ma.Multiaddr) (netip.AddrPort, error) {
	_, hostPort, err := manet.DialArgs(a)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ap, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

// UDP is the system's network.
type UDP struct{}

// Listen implements Network.
func (UDP) Listen() (net.PacketConn, error) { return net.ListenUDP("udp4", nil) }

// Source implements Network. Nothing is sent for it.
func (UDP) Source(to netip.AddrPort) (netip.Addr, error) {
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	a, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}, errors.New("no address")
	}
	return a.AddrPort().Addr().Unmap(), nil
}
