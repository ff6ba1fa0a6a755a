package dht

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// TestSightings runs the stories in testdata/sightings, in which peer IDs are
// single letters and this node is m. Commands:
//
//	heard ID addr=N     ID says that it is at address N
//	gone ID
//	connect ID | disconnect ID
//	wait for=D
//	advance             whom to dial now
//
// The answer to each is what advance gave, and when there is more to do.
func TestSightings(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/sightings", func(t *testing.T, path string) {
		now := time.Unix(1_000_000, 0)
		s := newSightings("m")
		connected := make(map[peer.ID]bool)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var id peer.ID
			if len(d.CmdArgs) > 0 {
				id = peer.ID(d.CmdArgs[0].Key)
			}
			out := ""
			switch d.Cmd {
			case "heard":
				n := 1
				d.MaybeScanArgs(t, "addr", &n)
				a := ma.StringCast(fmt.Sprintf("/ip4/10.0.0.%d/tcp/1", n))
				s.onHeard(now, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{a}})
			case "gone":
				s.onGone(id)
			case "connect", "disconnect":
				connected[id] = d.Cmd == "connect"
			case "wait":
				var by string
				d.ScanArgs(t, "for", &by)
				step, err := time.ParseDuration(by)
				if err != nil {
					d.Fatalf(t, "%v", err)
				}
				now = now.Add(step)
			case "advance":
				var got []string
				for _, p := range s.advance(now, func(p peer.ID) bool { return connected[p] }) {
					got = append(got, string(p.ID)+"@"+p.Addrs[0].String())
				}
				out = "dial [" + strings.Join(got, " ") + "] "
			default:
				d.Fatalf(t, "unknown command %q", d.Cmd)
			}
			next := "never"
			if at := s.deadline(); !at.IsZero() {
				next = max(0, at.Sub(now)).String()
			}
			return out + "next=" + next + "\n"
		})
	})
}

// A flood of peers leaves the ones heard last.
func TestSightingsBounded(t *testing.T) {
	t.Parallel()
	s := newSightings("m")
	now := time.Unix(1_000_000, 0)
	const n = maxSightings + 500
	for i := range n {
		s.onHeard(now.Add(time.Duration(i)), peer.AddrInfo{ID: peer.ID(fmt.Sprint(i))})
	}
	if len(s.peers) != maxSightings {
		t.Errorf("%d peers are remembered, want %d", len(s.peers), maxSightings)
	}
	now = now.Add(n)
	nobody := func(peer.ID) bool { return false }
	if got := len(s.advance(now.Add(time.Second), nobody)); got != sightingBurst {
		t.Errorf("%d dials in a second, want %d", got, sightingBurst)
	}
	if got := s.advance(now.Add(time.Second), nobody); len(got) != 0 {
		t.Errorf("%d more dials in the same second", len(got))
	}
	if at := s.deadline(); !at.Equal(now.Add(2 * time.Second)) {
		t.Errorf("the others are due at %v", at)
	}
	if s.seen(now, "0") || !s.seen(now, peer.ID(fmt.Sprint(n-1))) {
		t.Error("the wrong ones were forgotten")
	}
}
