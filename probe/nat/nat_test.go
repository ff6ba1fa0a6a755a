package nat_test

import (
	"net/netip"
	"testing"

	"github.com/shoal-p2p/shoal/probe/nat"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddrPort
	own, out, moved := addr("192.168.1.5:40000"), addr("11.0.0.7:40000"), addr("11.0.0.7:52111")
	both := []netip.AddrPort{out, out}
	for name, tt := range map[string]struct {
		see   nat.Observation
		want  nat.Type
		punch nat.Punch
		words string
	}{
		"nobody to ask": {nat.Observation{Local: own}, nat.Type{}, nat.PunchUnknown, "unknown"},
		"no answer at all": {nat.Observation{Local: own, Asked: 2},
			nat.Type{Mapping: nat.Blocked}, nat.None, "UDP is blocked"},
		"one answer tells nothing of the mapping": {nat.Observation{Local: own, Asked: 2, Mapped: both[:1], Unasked: nat.No, OtherPort: nat.Yes},
			nat.Type{Filtering: nat.ByAddress}, nat.PunchUnknown, "unknown"},
		"public": {nat.Observation{Local: out, Asked: 2, Mapped: both, Unasked: nat.Yes, OtherPort: nat.Yes},
			nat.Type{Mapping: nat.Direct, Filtering: nat.Open}, nat.Needless, "no NAT, open to anyone"},
		"public, seen by one": {nat.Observation{Local: out, Asked: 1, Mapped: both[:1], OtherPort: nat.Yes},
			nat.Type{Mapping: nat.Direct}, nat.AlmostAll, "no NAT, filtering unknown"},
		"firewall": {nat.Observation{Local: out, Asked: 2, Mapped: both, Unasked: nat.No, OtherPort: nat.No},
			nat.Type{Mapping: nat.Direct, Filtering: nat.ByPort}, nat.AlmostAll, "no NAT, open to exactly whom it spoke to"},
		"full cone": {nat.Observation{Local: own, Asked: 2, Mapped: both, Unasked: nat.Yes, OtherPort: nat.Yes},
			nat.Type{Mapping: nat.Independent, Filtering: nat.Open}, nat.Needless, "NAT with one outside address (cone), open to anyone"},
		"address-restricted": {nat.Observation{Local: own, Asked: 2, Mapped: both, Unasked: nat.No, OtherPort: nat.Yes},
			nat.Type{Mapping: nat.Independent, Filtering: nat.ByAddress}, nat.AlmostAll, "NAT with one outside address (cone), open to addresses it spoke to"},
		"port-restricted": {nat.Observation{Local: own, Asked: 2, Mapped: both, Unasked: nat.No, OtherPort: nat.No},
			nat.Type{Mapping: nat.Independent, Filtering: nat.ByPort}, nat.AlmostAll, "NAT with one outside address (cone), open to exactly whom it spoke to"},
		"other port not tried": {nat.Observation{Local: own, Asked: 2, Mapped: both, Unasked: nat.No},
			nat.Type{Mapping: nat.Independent, Filtering: nat.Strict}, nat.AlmostAll, "NAT with one outside address (cone), closed to strangers"},
		"symmetric": {nat.Observation{Local: own, Asked: 2, Mapped: []netip.AddrPort{out, moved}, Unasked: nat.No, OtherPort: nat.No},
			nat.Type{Mapping: nat.Dependent, Filtering: nat.ByPort}, nat.Some, "NAT with another outside address for each peer (symmetric), open to exactly whom it spoke to"},
		"a pool of outside addresses": {nat.Observation{Local: own, Asked: 2, Mapped: []netip.AddrPort{out, addr("11.0.0.8:40000")}, Unasked: nat.No, OtherPort: nat.Yes},
			nat.Type{Mapping: nat.Dependent, Filtering: nat.ByAddress}, nat.Some, "NAT with another outside address for each peer (symmetric), open to addresses it spoke to"},
	} {
		got := nat.Classify(tt.see)
		if got != tt.want || got.Punch() != tt.punch || got.String() != tt.words {
			t.Errorf("%s: got %+v, punch %v, %q; want %+v, %v, %q", name, got, got.Punch(), got, tt.want, tt.punch, tt.words)
		}
	}
}
