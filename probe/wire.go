package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// Limits of the wire.
const (
	maxMessage  = 255 // bytes of a message on a stream, its length not counted
	maxRequests = 8   // on one stream
	packetSize  = 64  // bytes of a packet, both ways
	tokenSize   = 16
	minPort     = 1024 // that a packet is sent to
)

// The requests, and the replies to them.
const (
	kindLook = 1 // what do you see?
	kindSend = 2 // send me a packet
)

// Status is the answer to a request for a packet.
type Status uint8

// The statuses.
const (
	Sending     Status = iota
	NotYours           // the address is not the one that the connection comes from, or its port is too low
	TooOften           // ask later
	Unavailable        // no socket to send from
)

type token [tokenSize]byte

// look is the reply to kindLook.
type look struct {
	open  bool      // packets to the port of QUIC arrive there
	clock time.Time // of the replier, in milliseconds
	token token     // for packets to it
	seen  ma.Multiaddr
}

// send is the request for packets.
type send struct {
	other bool // from another port than that of QUIC
	to    netip.AddrPort
	token token // they carry it
}

var errMessage = errors.New("not a message of the probe protocol")

// appendMessage writes a message with its length before it.
func appendMessage(b []byte, kind byte, body []byte) []byte {
	b = append(b, byte(1+len(body)), kind)
	return append(b, body...)
}

// readMessage reads a message of 1 to 255 bytes.
func readMessage(r io.Reader) (kind byte, body []byte, err error) {
	var n [1]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return 0, nil, err
	}
	if n[0] == 0 {
		return 0, nil, fmt.Errorf("%w: it is empty", errMessage)
	}
	b := make([]byte, n[0])
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, nil, fmt.Errorf("%w: it ends early: %w", errMessage, err)
	}
	return b[0], b[1:], nil
}

// lookHead is what stands before the address.
const lookHead = 1 + 8 + tokenSize

func appendLook(b []byte, l look) []byte {
	b = append(b, flag(l.open))
	b = binary.BigEndian.AppendUint64(b, uint64(l.clock.UnixMilli()))
	b = append(b, l.token[:]...)
	return append(b, l.seen.Bytes()...)
}

func parseLook(b []byte) (look, error) {
	if len(b) <= lookHead || b[0] > 1 {
		return look{}, errMessage
	}
	seen, err := ma.NewMultiaddrBytes(b[lookHead:])
	if err != nil {
		return look{}, fmt.Errorf("%w: %w", errMessage, err)
	}
	l := look{open: b[0] == 1, clock: time.UnixMilli(int64(binary.BigEndian.Uint64(b[1:]))), seen: seen}
	copy(l.token[:], b[9:])
	return l, nil
}

const sendSize = 1 + 16 + 2 + tokenSize

func appendSend(b []byte, s send) []byte {
	b = append(b, flag(s.other))
	b = appendAddrPort(b, s.to)
	return append(b, s.token[:]...)
}

func parseSend(b []byte) (send, error) {
	if len(b) != sendSize || b[0] > 1 {
		return send{}, errMessage
	}
	s := send{other: b[0] == 1, to: parseAddrPort(b[1:])}
	copy(s.token[:], b[19:])
	return s, nil
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// appendAddrPort writes 16 bytes, IPv4 mapped into IPv6, and the port.
func appendAddrPort(b []byte, a netip.AddrPort) []byte {
	ip := a.Addr().As16()
	return binary.BigEndian.AppendUint16(append(b, ip[:]...), a.Port())
}

func parseAddrPort(b []byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[:16])).Unmap(), binary.BigEndian.Uint16(b[16:]))
}

// The packets.
const (
	packetAsk    = 1 // with the receiver's token: where do you see me?
	packetAnswer = 2 // with the same token, and the address
	packetSent   = 3 // with the asker's token: what was asked for over the stream
)

// packet is one UDP packet. Its first byte has neither of the bits that QUIC
// packets have, and is no STUN, so that they can share a socket (RFC 9443).
type packet struct {
	kind  byte
	token token
	seen  netip.AddrPort // of packetAnswer; else zero
}

var packetMagic = [6]byte{0x0a, 's', 'h', 'o', 'a', 'l'}

func appendPacket(b []byte, p packet) []byte {
	from := len(b)
	b = append(append(b, packetMagic[:]...), p.kind)
	b = append(b, p.token[:]...)
	if p.seen.IsValid() {
		b = appendAddrPort(b, p.seen)
	}
	return append(b, make([]byte, packetSize-(len(b)-from))...)
}

func parsePacket(b []byte) (packet, bool) {
	if len(b) != packetSize || [6]byte(b[:6]) != packetMagic || b[6] < packetAsk || b[6] > packetSent {
		return packet{}, false
	}
	p := packet{kind: b[6]}
	copy(p.token[:], b[7:])
	rest := b[7+tokenSize:]
	if p.kind == packetAnswer {
		p.seen = parseAddrPort(rest)
		rest = rest[18:]
	}
	for _, pad := range rest {
		if pad != 0 {
			return packet{}, false
		}
	}
	return p, true
}
