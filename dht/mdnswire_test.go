package dht

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const testService = "_shoal._udp.local."

func addrInfo(t testing.TB, id string, addrs ...string) peer.AddrInfo {
	t.Helper()
	p, err := peer.Decode(id)
	if err != nil {
		t.Fatal(err)
	}
	info := peer.AddrInfo{ID: p}
	for _, a := range addrs {
		info.Addrs = append(info.Addrs, ma.StringCast(a))
	}
	return info
}

const testID = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo"

// The layout of the question as RFC 1035 has it, byte for byte.
func TestMDNSQueryGolden(t *testing.T) {
	t.Parallel()
	got, err := mdnsQuery(testService)
	if err != nil {
		t.Fatal(err)
	}
	const want = "000000000001000000000000" + "065f73686f616c" + "045f756470" + "056c6f63616c" + "00" + "000c0001"
	if hex.EncodeToString(got) != want {
		t.Errorf("question\n%x\nwant\n%s", got, want)
	}
	heard, err := parseMDNS(got, testService, nil)
	if err != nil || !heard.asked {
		t.Errorf("parsed as %+v, %v", heard, err)
	}
	if heard, _ := parseMDNS(got, "_other._udp.local.", nil); heard.asked {
		t.Error("a question for another service was taken")
	}
}

func TestMDNSAnswer(t *testing.T) {
	t.Parallel()
	full := addrInfo(t, testID, "/ip4/192.168.1.5/tcp/7461", "/ip4/8.8.8.8/tcp/7461", "/ip4/11.0.0.7/udp/7461/quic-v1",
		"/ip6/fe80::1/tcp/7461", "/dns4/example.com/tcp/7461")
	near := addrInfo(t, testID, "/ip4/192.168.1.5/tcp/7461", "/ip4/11.0.0.7/udp/7461/quic-v1", "/ip6/fe80::1/tcp/7461")
	b, err := mdnsAnswer(testService, "abc", full, 120)
	if err != nil {
		t.Fatal(err)
	}
	heard, err := parseMDNS(b, testService, []netip.Prefix{netip.MustParsePrefix("11.0.0.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	if len(heard.here) != 1 || !reflect.DeepEqual(heard.here[0], near) {
		t.Errorf("heard %v, want the near addresses of %v", heard.here, near)
	}
	if !bytes.Contains(b, []byte("dnsaddr=/ip4/192.168.1.5/tcp/7461/p2p/"+testID)) {
		t.Error("the address is not a dnsaddr string")
	}
	b, err = mdnsAnswer(testService, "abc", near, 0)
	if err != nil {
		t.Fatal(err)
	}
	heard, err = parseMDNS(b, testService, nil)
	if err != nil || len(heard.here) != 0 || len(heard.gone) != 1 || heard.gone[0] != near.ID {
		t.Errorf("goodbye parsed as %+v, %v", heard, err)
	}
}

// However many addresses there are, the packet fits a frame.
func TestMDNSAnswerFits(t *testing.T) {
	t.Parallel()
	many := addrInfo(t, testID)
	for i := range 200 {
		many.Addrs = append(many.Addrs, ma.StringCast(fmt.Sprintf("/ip4/10.0.0.%d/udp/7461/quic-v1", i)))
	}
	b, err := mdnsAnswer(testService, strings.Repeat("x", 63), many, 120)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 1280 {
		t.Errorf("the answer has %d bytes", len(b))
	}
	heard, err := parseMDNS(b, testService, nil)
	if err != nil || len(heard.here) != 1 || len(heard.here[0].Addrs) < 5 {
		t.Errorf("parsed as %+v, %v", heard, err)
	}
	if _, err := mdnsAnswer(testService, "abc", addrInfo(t, testID), 120); err == nil {
		t.Error("an answer without addresses was made")
	}
}

// What a stranger sends neither panics nor exceeds the limits, and what is taken
// from it can be said again.
func FuzzParseMDNS(f *testing.F) {
	q, _ := mdnsQuery(testService)
	a, _ := mdnsAnswer(testService, "abc", addrInfo(f, testID, "/ip4/192.168.1.5/tcp/7461", "/ip6/fd00::1/udp/1/quic-v1"), 120)
	f.Add(q)
	f.Add(a)
	f.Add(a[:len(a)-3])
	f.Fuzz(func(t *testing.T, b []byte) {
		heard, err := parseMDNS(b, testService, nil)
		if err != nil {
			return
		}
		if len(heard.here)+len(heard.gone) > maxMDNSPeers {
			t.Fatalf("%d peers from one packet", len(heard.here)+len(heard.gone))
		}
		for _, p := range heard.here {
			if len(p.Addrs) == 0 || len(p.Addrs) > maxMDNSAddrs || p.ID == "" {
				t.Fatalf("took %v", p)
			}
			again, err := mdnsAnswer(testService, "abc", p, 120)
			if err != nil {
				continue // longer than a TXT string may be
			}
			back, err := parseMDNS(again, testService, nil)
			if err != nil || len(back.here) != 1 || back.here[0].ID != p.ID {
				t.Fatalf("%v came back as %v, %v", p, back, err)
			}
		}
	})
}
