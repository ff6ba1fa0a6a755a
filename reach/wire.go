package reach

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/reach/plan"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	maxMessage = 4 << 10
	maxAddrs   = 24
	nonceSize  = 16
)

// message is what two nodes tell each other to meet: each its offer, then the
// caller when to try.
type message struct {
	addrs   []ma.Multiaddr // where to dial the sender
	outside []netip.Addr   // where the sender was seen
	side    plan.Side
	nonce   []byte // of the sender's search; 16 bytes or none
	try     uint64 // 0: an offer; n: the n-th attempt begins
	client  bool   // of an attempt: the caller is the client
	search  bool   // of an attempt: it is a search
}

// Fields of a message.
const (
	fieldAddr, fieldOutside, fieldUDP, fieldTCP, fieldHard = 1, 2, 3, 4, 5
	fieldNonce, fieldTry, fieldClient, fieldSearch         = 6, 7, 8, 9
)

func (m message) append(b []byte) []byte {
	text := func(n protowire.Number, v []byte) {
		b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
	}
	number := func(n protowire.Number, v uint64) {
		if v != 0 {
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
		}
	}
	for _, a := range m.addrs[:min(len(m.addrs), maxAddrs)] {
		text(fieldAddr, a.Bytes())
	}
	for _, a := range m.outside[:min(len(m.outside), maxAddrs)] {
		text(fieldOutside, a.AsSlice())
	}
	number(fieldUDP, uint64(m.side.UDP))
	number(fieldTCP, uint64(m.side.TCP))
	number(fieldHard, protowire.EncodeBool(m.side.Hard))
	if len(m.nonce) > 0 {
		text(fieldNonce, m.nonce)
	}
	number(fieldTry, m.try)
	number(fieldClient, protowire.EncodeBool(m.client))
	number(fieldSearch, protowire.EncodeBool(m.search))
	return b
}

var errMessage = errors.New("malformed message")

func parse(b []byte) (message, error) {
	var m message
	for len(b) > 0 {
		n, t, size := protowire.ConsumeTag(b)
		if size < 0 {
			return m, errMessage
		}
		b = b[size:]
		var err error
		switch t {
		case protowire.BytesType:
			v, size := protowire.ConsumeBytes(b)
			if size < 0 {
				return m, errMessage
			}
			b, err = b[size:], m.text(n, v)
		case protowire.VarintType:
			v, size := protowire.ConsumeVarint(b)
			if size < 0 {
				return m, errMessage
			}
			b, err = b[size:], m.number(n, v)
		default:
			size := protowire.ConsumeFieldValue(n, t, b)
			if size < 0 {
				return m, errMessage
			}
			b = b[size:]
		}
		if err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m *message) text(n protowire.Number, v []byte) error {
	switch n {
	case fieldAddr:
		a, err := ma.NewMultiaddrBytes(v)
		if err != nil || len(m.addrs) >= maxAddrs {
			return fmt.Errorf("%w: address", errMessage)
		}
		m.addrs = append(m.addrs, a)
	case fieldOutside:
		a, ok := netip.AddrFromSlice(v)
		if !ok || len(m.outside) >= maxAddrs {
			return fmt.Errorf("%w: outside address", errMessage)
		}
		m.outside = append(m.outside, a)
	case fieldNonce:
		if len(v) != nonceSize {
			return fmt.Errorf("%w: nonce", errMessage)
		}
		m.nonce = append([]byte(nil), v...)
	}
	return nil
}

func (m *message) number(n protowire.Number, v uint64) error {
	switch n {
	case fieldUDP, fieldTCP:
		if v > uint64(plan.Differs) {
			return fmt.Errorf("%w: mapping", errMessage)
		}
		if n == fieldUDP {
			m.side.UDP = plan.Mapping(v)
		} else {
			m.side.TCP = plan.Mapping(v)
		}
	case fieldHard:
		m.side.Hard = v != 0
	case fieldTry:
		if v > 100 {
			return fmt.Errorf("%w: attempt", errMessage)
		}
		m.try = v
	case fieldClient:
		m.client = v != 0
	case fieldSearch:
		m.search = v != 0
	}
	return nil
}

func write(w io.Writer, m message) error {
	b := m.append(nil)
	_, err := w.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...))
	return err
}

func read(r *bufio.Reader) (message, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return message{}, err
	}
	if n > maxMessage {
		return message{}, fmt.Errorf("%w: %d bytes", errMessage, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return message{}, err
	}
	return parse(b)
}
