package policy

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/dustin/go-humanize"
)

// TestStories plays testdata/stories: one file a story. The commands are
//
//	new [class=interactive|background|economy] [pieces=64] [after=4s] [target=1MiB]
//	want all | want 3-5 in=2s             also: done, lost
//	peer a [count=3], gone a, looked 2
//	holders 0-9 n=1, asked 3, unasked 3   0 of a 5 that no holder is left
//	claim a 3-10 for=2s
//	origin rate=20MiB [rtt=30ms]          how the origin answers from now on
//	origin down=10s                       it cannot be asked for so long
//	origin fails                          from now on
//	swarm rate=2MiB                       peers bring what they hold, at this rate in all
//	run 2s [log] [until=done]             time goes by
//
// run prints the bytes by reason and from peers, and what the policy waits for;
// with log each request.
func TestStories(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &story{now: epoch}
		datadriven.RunTest(t, path, s.run)
	})
}

// story is the rest of a download, in virtual time.
type story struct {
	p       *Policy
	now     time.Time
	size    int
	rate    float64 // of the origin, over all requests
	rtt     time.Duration
	fails   bool
	flights []*landing
	swarm   float64 // bytes/s that peers bring
	brought float64 // bytes of the next piece from them
	got     map[Reason]int
	peers   int // pieces they brought
	out     strings.Builder
}

// landing is a request in flight.
type landing struct {
	Spend
	began time.Time
	bytes float64 // that came of its next piece
	next  int
	told  time.Time // when others were told of it
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	s.out.Reset()
	switch d.Cmd {
	case "new":
		s.begin(t, d)
	case "want", "done", "lost", "holders", "asked", "unasked":
		s.pieces(t, d)
	case "peer", "gone", "looked", "claim":
		s.others(t, d)
	case "origin":
		s.origin(t, d)
	case "swarm":
		s.swarm = float64(bytesOf(t, arg(t, d, "rate", "0B")))
	case "run":
		s.pass(t, d)
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	return s.out.String()
}

func (s *story) begin(t *testing.T, d *datadriven.TestData) {
	n, err := strconv.Atoi(arg(t, d, "pieces", "64"))
	if err != nil {
		t.Fatal(err)
	}
	s.size = 1 << 20
	s.rate, s.rtt = 20<<20, 30*time.Millisecond
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = s.size
	}
	s.p = New(Config{
		Class:       map[string]Class{"background": Background, "economy": Economy}[arg(t, d, "class", "")],
		OriginAfter: duration(t, arg(t, d, "after", "0s")),
		Target:      float64(bytesOf(t, arg(t, d, "target", "0B"))),
	}, sizes, "self", rand.New(rand.NewPCG(1, 1)))
}

func (s *story) pieces(t *testing.T, d *datadriven.TestData) {
	first, count := s.span(t, d.CmdArgs[0].Key)
	n, err := strconv.Atoi(arg(t, d, "n", "1"))
	if err != nil {
		t.Fatal(err)
	}
	var deadline time.Time
	if in := arg(t, d, "in", ""); in != "" {
		deadline = s.now.Add(duration(t, in))
	}
	for i := first; i < first+count; i++ {
		switch d.Cmd {
		case "want":
			s.p.Want(s.now, i, deadline)
		case "done":
			s.p.Done(s.now, i)
		case "lost":
			s.p.Lost(s.now, i)
		case "holders":
			s.p.OnHolders(s.now, i, n)
		default:
			s.p.OnAsked(s.now, i, d.Cmd == "asked")
		}
	}
}

func (s *story) others(t *testing.T, d *datadriven.TestData) {
	who := d.CmdArgs[0].Key
	switch d.Cmd {
	case "peer":
		n, _ := strconv.Atoi(arg(t, d, "count", "0"))
		s.p.OnPeer(s.now, who)
		s.p.OnCount(s.now, who, n)
	case "gone":
		s.p.OnGone(s.now, who)
	case "looked":
		n, _ := strconv.Atoi(who)
		s.p.OnLooked(s.now, n)
	case "claim":
		first, count := s.span(t, d.CmdArgs[1].Key)
		for i := first; i < first+count; i++ {
			s.p.OnClaim(s.now, who, i, s.now.Add(duration(t, arg(t, d, "for", "2s"))))
		}
	}
}

func (s *story) origin(t *testing.T, d *datadriven.TestData) {
	if down := arg(t, d, "down", ""); down != "" {
		s.p.OnOriginDown(s.now, s.now.Add(duration(t, down)))
		return
	}
	s.fails = d.HasArg("fails")
	s.rate = float64(bytesOf(t, arg(t, d, "rate", "20MiB")))
	s.rtt = duration(t, arg(t, d, "rtt", "30ms"))
}

// pass lets time go by in steps of at most 10 ms.
func (s *story) pass(t *testing.T, d *datadriven.TestData) {
	began, end := s.now, s.now.Add(duration(t, d.CmdArgs[0].Key))
	s.got, s.peers = map[Reason]int{}, 0
	for {
		for _, sp := range s.p.Advance(s.now) {
			s.flights = append(s.flights, &landing{Spend: sp, began: s.now, next: sp.First})
			if d.HasArg("log") {
				fmt.Fprintf(&s.out, "%8v  %s %d-%d\n", s.now.Sub(began).Round(time.Millisecond), sp.Reason, sp.First, sp.First+sp.Count-1)
			}
		}
		if !s.now.Before(end) || s.p.missing.len == 0 && d.HasArg("until") {
			break
		}
		step := s.now.Add(10 * time.Millisecond)
		if at := s.p.Deadline(); !at.IsZero() && at.Before(step) {
			step = at
		}
		if step.After(end) {
			step = end
		}
		dt := step.Sub(s.now).Seconds()
		s.now = step
		s.land(dt)
		s.bring(dt)
	}
	s.report(began)
}

// land has the origin send for a while: its rate is shared by all requests.
func (s *story) land(dt float64) {
	sending := 0
	for _, f := range s.flights {
		if s.now.Sub(f.began) > s.rtt {
			sending++
		}
	}
	for _, f := range slices.Clone(s.flights) {
		if s.now.Sub(f.began) <= s.rtt {
			continue
		}
		if s.fails {
			s.end(f, false)
			continue
		}
		f.bytes += s.rate * dt / float64(sending)
		for ; f.bytes >= float64(s.size) && f.next < f.First+f.Count; f.next++ {
			f.bytes -= float64(s.size)
			s.got[f.Reason]++
			s.p.OnOriginPiece(s.now, f.next)
			s.p.Done(s.now, f.next)
		}
		if f.next == f.First+f.Count {
			s.end(f, true)
		}
	}
}

func (s *story) end(f *landing, ok bool) {
	s.flights = slices.DeleteFunc(s.flights, func(g *landing) bool { return f == g })
	bytes := (f.next - f.First) * s.size
	s.p.OnOriginRate(s.now, float64(bytes)/s.now.Sub(f.began).Seconds(), s.rtt)
	s.p.OnOrigin(s.now, f.First, f.Count, ok, int64(bytes))
}

// bring has peers deliver pieces that they hold, the lowest first.
func (s *story) bring(dt float64) {
	s.brought += s.swarm * dt
	for i := s.p.missing.next(0); i >= 0 && s.brought >= float64(s.size); i = s.p.missing.next(i + 1) {
		if s.p.pieces[i].holders == 0 || s.p.pieces[i].flying {
			continue
		}
		s.brought -= float64(s.size)
		s.peers++
		s.p.OnBytes(s.now, int64(s.size))
		s.p.Done(s.now, i)
	}
	s.brought = min(s.brought, float64(s.size))
}

func (s *story) report(began time.Time) {
	var parts []string
	for _, why := range []Reason{Start, Inject, Due, Stall, Deficit, Tail} {
		if n := s.got[why]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", why, n))
		}
	}
	if s.peers > 0 {
		parts = append(parts, fmt.Sprintf("peers %d", s.peers))
	}
	if len(parts) == 0 {
		parts = []string{"nothing"}
	}
	fmt.Fprintf(&s.out, "%s; ", strings.Join(parts, ", "))
	next, code := s.p.Why(s.now)
	if code == Idle {
		fmt.Fprintf(&s.out, "done after %v\n", s.now.Sub(began).Round(time.Millisecond))
		return
	}
	fmt.Fprintf(&s.out, "%d missing: %s", s.p.missing.len, code)
	if !next.IsZero() {
		fmt.Fprintf(&s.out, " for %v", next.Sub(s.now).Round(time.Millisecond))
	}
	s.out.WriteString("\n")
}

// span reads "all", "7" or "3-5".
func (s *story) span(t *testing.T, text string) (first, count int) {
	if text == "all" {
		return 0, len(s.p.pieces)
	}
	a, b, ok := strings.Cut(text, "-")
	if !ok {
		b = a
	}
	first, err1 := strconv.Atoi(a)
	last, err2 := strconv.Atoi(b)
	if err := cmp.Or(err1, err2); err != nil {
		t.Fatal(err)
	}
	return first, last - first + 1
}

func arg(t *testing.T, d *datadriven.TestData, key, otherwise string) string {
	d.MaybeScanArgs(t, key, &otherwise)
	return otherwise
}

func duration(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func bytesOf(t *testing.T, text string) int {
	n, err := humanize.ParseBytes(text)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}
