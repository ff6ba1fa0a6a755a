package pick

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
//	pieces 64 [size=1MiB] [started=64]    begins a download
//	peer a [path=lan|wan|relay] [rate=10MiB] [rtt=1ms] [have=all|none|0-31]
//	want all | want 3-5 [in=2s]           also: forget, done, lost, hold, unhold
//	have a 3-4, unhave a 3-4, gone a, claim a 3-4 in=5s
//	silent a, refuse a, talk a [rate=..]  how a peer behaves from now on
//	run 2s [log] [begun] [until=done]     time goes by
//
// A peer sends what it is asked in order, at its rate, a round trip later. run
// prints for each peer what came of it; with log each request and cancel, with
// begun the pieces begun, in order.
func TestStories(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &story{now: epoch, peers: map[PeerKey]*remote{}}
		datadriven.RunTest(t, path, s.run)
	})
}

// story is a swarm as seen from one download, in virtual time.
type story struct {
	p     *Picker
	now   time.Time
	began time.Time // of the present run
	peers map[PeerKey]*remote
	out   strings.Builder
	log   bool
}

// remote is a peer that answers.
type remote struct {
	key    PeerKey
	rate   float64
	rtt    time.Duration
	silent bool
	refuse bool
	queue  []pending
	last   time.Time // when the block before arrives
	bytes  int
	pieces int
	begun  []int
}

// pending is a run of blocks that a peer was asked for.
type pending struct {
	Request
	at time.Time // when it was asked
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	s.out.Reset()
	switch d.Cmd {
	case "pieces":
		s.pieces(t, d)
	case "peer", "talk", "silent", "refuse", "gone", "have", "unhave":
		s.peer(t, d, PeerKey(d.CmdArgs[0].Key))
	case "want", "forget", "done", "lost", "hold", "unhold":
		s.command(t, d)
	case "claim":
		s.claim(t, d)
	case "run":
		s.pass(t, d)
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	return s.out.String()
}

func (s *story) pieces(t *testing.T, d *datadriven.TestData) {
	n, err := strconv.Atoi(d.CmdArgs[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	size, started := "1MiB", 0
	d.MaybeScanArgs(t, "size", &size)
	d.MaybeScanArgs(t, "started", &started)
	var mebibytes int64
	d.MaybeScanArgs(t, "buffers", &mebibytes)
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = bytesOf(t, size)
	}
	s.p = New(Config{MaxStarted: started, MaxBytes: mebibytes << 20}, sizes, rand.New(rand.NewPCG(1, 1)))
}

func (s *story) peer(t *testing.T, d *datadriven.TestData, key PeerKey) {
	path, rate, rtt, have := "lan", "", "1ms", "all"
	d.MaybeScanArgs(t, "path", &path)
	d.MaybeScanArgs(t, "rate", &rate)
	d.MaybeScanArgs(t, "rtt", &rtt)
	d.MaybeScanArgs(t, "have", &have)
	r := s.peers[key]
	if r == nil {
		r = &remote{key: key, rate: 10 << 20}
		s.peers[key] = r
	}
	if rate != "" {
		r.rate = float64(bytesOf(t, rate))
	}
	switch d.Cmd {
	case "peer":
		r.rtt, _ = time.ParseDuration(rtt)
		s.p.OnPeer(s.now, key, map[string]Path{"lan": LAN, "wan": WAN, "relay": Relay}[path], r.rtt)
		if have != "none" {
			first, count := s.span(t, have)
			s.p.OnHave(s.now, key, first, count)
		}
	case "gone":
		delete(s.peers, key)
		s.p.OnGone(s.now, key)
	case "have":
		first, count := s.span(t, d.CmdArgs[1].Key)
		s.p.OnHave(s.now, key, first, count)
	case "unhave":
		first, count := s.span(t, d.CmdArgs[1].Key)
		s.p.OnUnhave(s.now, key, first, count)
	default:
		r.silent, r.refuse = d.Cmd == "silent", d.Cmd == "refuse"
		r.last = s.now
	}
}

func (s *story) command(t *testing.T, d *datadriven.TestData) {
	first, count := s.span(t, d.CmdArgs[0].Key)
	var deadline time.Time
	if in := ""; d.MaybeScanArgs(t, "in", &in) {
		after, err := time.ParseDuration(in)
		if err != nil {
			t.Fatal(err)
		}
		deadline = s.now.Add(after)
	}
	for i := first; i < first+count; i++ {
		switch d.Cmd {
		case "want":
			s.p.Want(s.now, i, deadline)
		case "forget":
			s.p.Forget(s.now, i)
		case "done":
			s.p.Done(s.now, i)
		case "lost":
			s.p.Lost(s.now, i)
		default:
			s.p.Hold(s.now, i, d.Cmd == "hold")
		}
	}
}

// claim is told by a peer that it gets pieces from far.
func (s *story) claim(t *testing.T, d *datadriven.TestData) {
	first, count := s.span(t, d.CmdArgs[1].Key)
	in := ""
	d.ScanArgs(t, "in", &in)
	after, err := time.ParseDuration(in)
	if err != nil {
		t.Fatal(err)
	}
	for i := first; i < first+count; i++ {
		s.p.OnClaim(s.now, PeerKey(d.CmdArgs[0].Key), i, s.now.Add(after))
	}
}

// pass lets time go by: it jumps to whatever comes next.
func (s *story) pass(t *testing.T, d *datadriven.TestData) {
	dur, err := time.ParseDuration(d.CmdArgs[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	s.began, s.log = s.now, d.HasArg("log")
	for _, r := range s.peers {
		r.bytes, r.pieces, r.begun = 0, 0, nil
	}
	end := s.now.Add(dur)
	for {
		s.plan()
		if s.p.Wanted() == 0 && d.HasArg("until") {
			break
		}
		next, r := end, (*remote)(nil)
		if at := s.p.Deadline(); !at.IsZero() && at.Before(next) {
			next = at
		}
		for _, q := range s.sorted() {
			if at, ok := q.arrival(s.p); ok && at.Before(next) {
				next, r = at, q
			}
		}
		if next.After(s.now) {
			s.now = next
		}
		if r != nil {
			s.deliver(r)
		} else if !s.now.Before(end) {
			break
		}
	}
	s.report(d.HasArg("begun"))
}

// plan does what the picker says.
func (s *story) plan() {
	plan := s.p.Advance(s.now)
	for _, c := range plan.Cancels {
		s.logf("cancel %s %d", c.Peer, c.Piece)
		if r := s.peers[c.Peer]; r != nil {
			r.queue = slices.DeleteFunc(r.queue, func(q pending) bool { return q.Piece == c.Piece })
		}
	}
	for _, i := range plan.Claims {
		s.logf("claim %d", i)
	}
	for _, q := range plan.Requests {
		if q.Again {
			continue // it comes without an offer
		}
		s.logf("ask %s %d: blocks %d-%d", q.Peer, q.Piece, q.First, q.First+q.Count-1)
		r := s.peers[q.Peer]
		r.queue = append(r.queue, pending{q, s.now})
		if q.First == 0 {
			r.begun = append(r.begun, q.Piece)
		}
	}
}

// arrival is when the next block of a peer comes, or its refusal.
func (r *remote) arrival(p *Picker) (time.Time, bool) {
	if r.silent || len(r.queue) == 0 {
		return time.Time{}, false
	}
	at := r.queue[0].at.Add(r.rtt)
	if r.last.After(at) {
		at = r.last
	}
	if r.refuse {
		return at, true
	}
	bytes := p.span(r.queue[0].Piece, r.queue[0].First, 1)
	return at.Add(seconds(float64(bytes) / r.rate)), true
}

func (s *story) deliver(r *remote) {
	q := &r.queue[0]
	piece, block := q.Piece, q.First
	r.last = s.now
	if r.refuse {
		r.queue = slices.DeleteFunc(r.queue, func(q pending) bool { return q.Piece == piece })
		s.logf("%s refuses %d", r.key, piece)
		s.p.OnReject(s.now, r.key, piece)
		return
	}
	q.First, q.Count = q.First+1, q.Count-1
	if q.Count == 0 {
		r.queue = r.queue[1:]
	}
	r.bytes += s.p.span(piece, block, 1)
	s.p.OnBlocks(s.now, r.key, piece, 1)
	if s.p.rest(piece, block+1) == 0 {
		r.pieces++
		s.p.OnPiece(s.now, r.key, piece, true)
	}
}

func (s *story) logf(format string, args ...any) {
	if s.log {
		fmt.Fprintf(&s.out, "%8v  %s\n", s.now.Sub(s.began).Round(time.Millisecond), fmt.Sprintf(format, args...))
	}
}

func (s *story) report(begun bool) {
	for _, r := range s.sorted() {
		state := ""
		if s.p.Snubbed(r.key) {
			state = ", snubbed"
		}
		if slices.Contains(s.p.Dead(s.now), r.key) {
			state = ", dead"
		}
		fmt.Fprintf(&s.out, "%s: %d pieces, %s%s\n", r.key, r.pieces, humanize.IBytes(uint64(r.bytes)), state)
		if begun {
			fmt.Fprintf(&s.out, "  began %v\n", r.begun)
		}
	}
	what := fmt.Sprintf("%d missing", s.p.Wanted())
	if s.p.Wanted() == 0 {
		what = "done"
	}
	fmt.Fprintf(&s.out, "%s after %v\n", what, s.now.Sub(s.began).Round(time.Millisecond))
}

func (s *story) sorted() []*remote {
	var all []*remote
	for _, r := range s.peers {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *remote) int { return cmp.Compare(a.key, b.key) })
	return all
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

func bytesOf(t *testing.T, text string) int {
	n, err := humanize.ParseBytes(text)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}
