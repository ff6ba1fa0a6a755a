package reach

import (
	"bytes"
	"net/netip"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/reach/plan"
)

func FuzzMessage(f *testing.F) {
	full := message{
		addrs:   []ma.Multiaddr{ma.StringCast("/ip4/11.0.0.1/udp/7461/quic-v1"), ma.StringCast("/ip6/2a00::1/tcp/7461")},
		outside: []netip.Addr{netip.MustParseAddr("11.0.0.1"), netip.MustParseAddr("2a00::1")},
		side:    plan.Side{UDP: plan.Kept, TCP: plan.Differs, Hard: true},
		nonce:   bytes.Repeat([]byte{7}, nonceSize), try: 3, client: true, search: true,
	}
	f.Add([]byte{})
	f.Add(full.append(nil))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			return
		}
		once := m.append(nil)
		again, err := parse(once)
		if err != nil {
			t.Fatalf("what was written does not parse: %v", err)
		}
		if twice := again.append(nil); !bytes.Equal(once, twice) {
			t.Fatalf("%x became %x", once, twice)
		}
	})
}
