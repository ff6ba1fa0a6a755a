package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/dustin/go-humanize"
)

// TestStories plays testdata/stories: one file a story. The commands are
//
//	peer a [prefix=P] [group] [value=V]   a peer connects
//	gave a 5MiB, passed a 5MiB, queue a 2MiB, free a 1MiB, gone a
//	restore a received=1GiB sent=0MiB
//	standing a                            newcomer, outsider or insider
//	serve 4MiB [rate=10MiB] [names]       sends blocks of 64 KiB and says to whom
//	pass 10m                              time goes by
//
// serve prints who got how much in a row, or with names the totals alone.
func TestStories(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &story{l: New(Config{}, rand.New(rand.NewPCG(1, 1))), now: epoch, queued: map[PeerKey]int64{}, free: map[PeerKey]int64{}}
		datadriven.RunTest(t, path, s.run)
	})
}

type story struct {
	l      *Ledger
	now    time.Time
	queued map[PeerKey]int64
	free   map[PeerKey]int64 // of queued
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	peer, n := PeerKey(""), int64(0)
	if len(d.CmdArgs) > 0 {
		peer = PeerKey(d.CmdArgs[0].Key)
	}
	if len(d.CmdArgs) > 1 {
		n = size(d.CmdArgs[1].Key)
	}
	switch d.Cmd {
	case "peer":
		s.peer(t, d, peer)
	case "gave":
		s.l.OnReceived(s.now, peer, n)
	case "passed":
		s.l.OnPassed(s.now, peer, n)
	case "queue":
		s.l.Queue(s.now, peer, n)
		s.queued[peer] += n
	case "free":
		s.l.QueueFree(s.now, peer, n)
		s.queued[peer] += n
		s.free[peer] += n
	case "gone":
		s.l.OnGone(s.now, peer)
		delete(s.queued, peer)
	case "restore":
		var received, sent string
		d.ScanArgs(t, "received", &received)
		d.ScanArgs(t, "sent", &sent)
		s.l.Restore(peer, Balance{size(received), size(sent)})
	case "standing":
		return [...]string{"newcomer", "outsider", "insider"}[s.l.Standing(peer)] + "\n"
	case "pass":
		dt, err := time.ParseDuration(string(peer))
		if err != nil {
			t.Fatal(err)
		}
		s.now = s.now.Add(dt)
	case "serve":
		rate := "100MiB"
		d.MaybeScanArgs(t, "rate", &rate)
		return s.serve(size(string(peer)), float64(size(rate)), d.HasArg("names"))
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	return ""
}

func (s *story) peer(t *testing.T, d *datadriven.TestData, peer PeerKey) {
	var prefix string
	value := 1.0
	d.MaybeScanArgs(t, "prefix", &prefix)
	d.MaybeScanArgs(t, "value", &value)
	s.l.Prefix(peer, prefix)
	s.l.Value(peer, value)
	if d.HasArg("group") {
		s.l.Class(peer, Group)
	}
}

// serve sends bytes and tells to whom.
func (s *story) serve(bytes int64, rate float64, names bool) string {
	var who []PeerKey
	got := map[PeerKey]int64{}
	var runs []string
	var last PeerKey
	var run int64
	end := func() {
		if run > 0 {
			runs = append(runs, fmt.Sprintf("%s %s", last, text(run)))
		}
		run = 0
	}
	for bytes > 0 {
		peer, ok := s.l.Next(s.now)
		if !ok {
			break
		}
		n := min(64<<10, s.queued[peer], bytes)
		if s.free[peer] > 0 {
			s.l.UnqueueFree(s.now, peer, n)
			s.free[peer] -= n
		} else {
			s.l.Unqueue(s.now, peer, n)
		}
		s.queued[peer] -= n
		bytes -= n
		s.now = s.now.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		s.l.OnSent(s.now, peer, n)
		if peer != last {
			end()
		}
		last, run = peer, run+n
		if got[peer] == 0 {
			who = append(who, peer)
		}
		got[peer] += n
	}
	end()
	if bytes > 0 {
		runs = append(runs, "then nobody waits")
	}
	if !names {
		return strings.Join(runs, ", ") + "\n"
	}
	slices.Sort(who)
	for i, peer := range who {
		who[i] = PeerKey(fmt.Sprintf("%s %s", peer, text(got[peer])))
	}
	return fmt.Sprintln(strings.Join(strings.Fields(fmt.Sprint(who)), " "))
}

func size(s string) int64 {
	n, err := humanize.ParseBytes(s)
	if err != nil {
		return 0
	}
	return int64(n)
}

func text(n int64) string { return strings.ReplaceAll(humanize.IBytes(uint64(n)), " ", "") }
