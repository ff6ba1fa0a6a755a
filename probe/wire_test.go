package probe

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// The vectors of PROTOCOL.md.
func TestVectors(t *testing.T) {
	t.Parallel()
	of := token{0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xb0}
	at := netip.MustParseAddrPort("11.0.0.7:40001")
	l := look{open: true, clock: time.UnixMilli(1_700_000_000_000), token: of, seen: ma.StringCast("/ip4/11.0.0.7/udp/40001/quic-v1")}
	for name, tt := range map[string]struct {
		got  []byte
		want string
	}{
		"look":       {appendMessage(nil, kindLook, nil), "0101"},
		"look reply": {appendMessage(nil, kindLook, appendLook(nil, l)), "2501010000018bcfe56800a1a2a3a4a5a6a7a8a9aaabacadaeafb0040b0000079102" + "9c41cd03"},
		"send":       {appendMessage(nil, kindSend, appendSend(nil, send{other: true, to: at, token: of})), "24020100000000000000000000ffff0b0000079c41a1a2a3a4a5a6a7a8a9aaabacadaeafb0"},
		"answer": {appendPacket(nil, packet{kind: packetAnswer, token: of, seen: at}),
			"0a73686f616c02a1a2a3a4a5a6a7a8a9aaabacadaeafb000000000000000000000ffff0b0000079c41" + "0000000000000000000000000000000000000000000000"},
	} {
		if got := hex.EncodeToString(tt.got); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(appendMessage(nil, kindLook, nil))
	f.Add([]byte{0})
	f.Add([]byte{5, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, body, err := readMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		if again := appendMessage(nil, kind, body); !bytes.HasPrefix(b, again) {
			t.Errorf("%x was read as %x", b, again)
		}
	})
}

func FuzzLook(f *testing.F) {
	f.Add(appendLook(nil, look{open: true, clock: time.UnixMilli(-1), seen: ma.StringCast("/ip4/1.2.3.4/tcp/5")}))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseLook(b)
		if err != nil {
			return
		}
		again, err := parseLook(appendLook(nil, l))
		if err != nil || again.open != l.open || !again.clock.Equal(l.clock) || again.token != l.token || !again.seen.Equal(l.seen) {
			t.Errorf("%x was read as %+v, and that as %+v, %v", b, l, again, err)
		}
	})
}

func FuzzSend(f *testing.F) {
	f.Add(appendSend(nil, send{to: netip.MustParseAddrPort("[2001:db8::1]:65535")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseSend(b); err == nil && !bytes.Equal(appendSend(nil, s), b) {
			t.Errorf("%x was read as %+v", b, s)
		}
	})
}

func FuzzPacket(f *testing.F) {
	f.Add(appendPacket(nil, packet{kind: packetAnswer, seen: netip.MustParseAddrPort("1.2.3.4:5")}))
	f.Add(appendPacket(nil, packet{kind: packetAsk}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := parsePacket(b); ok && !bytes.Equal(appendPacket(nil, p), b) {
			t.Errorf("%x was read as %+v", b, p)
		}
	})
}

// FuzzPacketFields: what is written is read back, and is no QUIC packet.
func FuzzPacketFields(f *testing.F) {
	f.Add(uint8(packetAnswer), []byte("0123456789abcdef"), uint32(1), uint16(2))
	f.Fuzz(func(t *testing.T, kind uint8, of []byte, ip uint32, port uint16) {
		p := packet{kind: kind}
		copy(p.token[:], of)
		if kind == packetAnswer {
			p.seen = netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)}), port)
		}
		b := appendPacket(nil, p)
		got, ok := parsePacket(b)
		if ok != (kind >= packetAsk && kind <= packetSent) || ok && got != p {
			t.Errorf("%+v came back as %+v, %v", p, got, ok)
		}
		if b[0]&0xc0 != 0 || b[0] < 4 {
			t.Errorf("the first byte %x is one of QUIC or STUN", b[0])
		}
	})
}
