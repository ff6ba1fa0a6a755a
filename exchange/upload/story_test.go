package upload

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// TestStories plays testdata/stories: one file a story, at a line of 2 MiB/s and 10 ms.
// The commands are
//
//	peer a [place=P]                   a peer connects, of the address P
//	ask a first=0 [count=N] [free]     it asks for pieces of 1 MiB
//	gave a, has a piece=7, refused a   it gives us a block, tells of a piece, refuses one
//	run 2s                             time passes; prints how many MiB each was sent
func TestStories(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &story{newLine(2<<20, 10*time.Millisecond)}
		s.size = 16 * block
		datadriven.RunTest(t, path, s.run)
	})
}

type story struct{ *line }

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	who := PeerKey(d.CmdArgs[0].Key)
	var place string
	first, count, piece := 0, 1, 0
	d.MaybeScanArgs(t, "place", &place)
	d.MaybeScanArgs(t, "first", &first)
	d.MaybeScanArgs(t, "count", &count)
	d.MaybeScanArgs(t, "piece", &piece)
	switch d.Cmd {
	case "peer":
		s.u.OnPeer(s.now, who, ledger.Balance{})
		s.u.OnPlace(who, place)
		s.u.Ledger().Prefix(who, place)
	case "ask":
		for i := range count {
			s.u.Queue(s.now, who, Part{Root: 1, Piece: first + i, Count: 16, Size: 16 * block, Free: d.HasArg("free")})
		}
	case "gave":
		s.u.OnReceived(s.now, who, block)
	case "has":
		s.u.OnHave(s.now, who, 1, piece, 1)
	case "refused":
		s.u.OnRefused(s.now, who)
	case "run":
		return s.serve(t, string(who))
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	return ""
}

// serve passes time and says what went out meanwhile.
func (s *story) serve(t *testing.T, text string) string {
	dt, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	clear(s.got)
	s.line.run(s.now.Add(dt))
	var parts []string
	for _, who := range slices.Sorted(maps.Keys(s.got)) {
		parts = append(parts, fmt.Sprintf("%s %.1f", who, float64(s.got[who])/(1<<20)))
	}
	return strings.Join(parts, ", ") + "\n"
}
