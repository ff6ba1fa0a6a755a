package dht

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

func named(t testing.TB, name string) cid.Cid {
	t.Helper()
	sum, err := mh.Sum([]byte(name), mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, sum)
}

// TestSchedule runs the stories in testdata/schedule. Commands:
//
//	add NAME... | add many=N     roots to announce
//	remove NAME...
//	again                        everything is due once more
//	wait for=D                   time passes
//	advance [most=N]             what to announce now; N is 8 if not given
//	done NAME... | failed NAME... | nobody NAME...   results
//
// The answer to each is what advance gave, and when there is more to do.
func TestSchedule(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/schedule", func(t *testing.T, path string) {
		now := time.Unix(1_000_000, 0)
		s := newSchedule(22*time.Hour, nil)
		names := make(map[string]string)
		root := func(name string) cid.Cid {
			c := named(t, name)
			names[c.KeyString()] = name
			return c
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var roots []cid.Cid
			for _, a := range d.CmdArgs {
				if len(a.Vals) == 0 {
					roots = append(roots, root(a.Key))
				}
			}
			out := ""
			switch d.Cmd {
			case "add":
				many := 0
				d.MaybeScanArgs(t, "many", &many)
				for i := range many {
					roots = append(roots, root(fmt.Sprintf("r%d", i)))
				}
				s.add(now, roots)
			case "remove":
				s.remove(roots)
			case "again":
				s.again(now)
			case "wait":
				var by string
				d.ScanArgs(t, "for", &by)
				step, err := time.ParseDuration(by)
				if err != nil {
					d.Fatalf(t, "%v", err)
				}
				now = now.Add(step)
			case "advance":
				most := 8
				d.MaybeScanArgs(t, "most", &most)
				var got []string
				for _, c := range s.advance(now, most) {
					got = append(got, names[c.KeyString()])
				}
				if len(got) > 8 {
					got = append(got[:0:0], fmt.Sprintf("%d roots", len(got)))
				}
				out = "announce [" + strings.Join(got, " ") + "] "
			case "done", "failed", "nobody":
				err := map[string]error{"failed": errors.New("broken"), "nobody": fmt.Errorf("x: %w", ErrNoPeers)}[d.Cmd]
				for _, r := range roots {
					s.finished(now, r, err)
				}
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

// Renewals drift apart, and never come later than the interval.
func TestScheduleJitter(t *testing.T) {
	t.Parallel()
	s := newSchedule(22*time.Hour, rand.New(rand.NewPCG(1, 2)))
	now := time.Unix(1_000_000, 0)
	different := make(map[time.Time]bool)
	for i := range 50 {
		r := named(t, fmt.Sprint(i))
		s.add(now, []cid.Cid{r})
		s.advance(now, 1)
		s.finished(now, r, nil)
		due := s.roots[string(r.Hash())].due
		if wait := due.Sub(now); wait > 22*time.Hour || wait < 22*time.Hour*9/10 {
			t.Errorf("renewal after %v", wait)
		}
		different[due] = true
	}
	if len(different) < 40 {
		t.Errorf("50 renewals at %d times", len(different))
	}
}
