package peers

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
//	crowd [want=N] [most=N] [atonce=N] [candidates=N]   begins
//	found a b c [named|near|worked]                     candidates
//	fail a, gone a, forget a
//	join a [lan|relay] [rtt=D]                          a peer
//	moved a 3MiB                                        so much in all
//	pass 1m                                             time goes by
//
// Each prints what there is to do then. a..d stands for a, b, c, d.
func TestStories(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &story{now: time.Unix(1_700_000_000, 0)}
		datadriven.RunTest(t, path, s.run)
	})
}

type story struct {
	c   *Crowd
	now time.Time
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	var names []Key
	how, path, trip := Told, WAN, 20*time.Millisecond
	var bytes int64
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "named", "near", "worked":
			how = map[string]How{"named": Named, "near": Near, "worked": Worked}[a.Key]
		case "lan":
			path = LAN
		case "relay":
			path = Relay
		case "rtt":
			trip, _ = time.ParseDuration(a.Vals[0])
		case "want", "most", "atonce", "candidates":
		default:
			if n, err := humanize.ParseBytes(a.Key); err == nil && d.Cmd == "moved" {
				bytes = int64(n)
				continue
			}
			names = append(names, span(a.Key)...)
		}
	}
	switch d.Cmd {
	case "crowd":
		var cfg Config
		d.MaybeScanArgs(t, "want", &cfg.Want)
		d.MaybeScanArgs(t, "most", &cfg.Most)
		d.MaybeScanArgs(t, "atonce", &cfg.AtOnce)
		d.MaybeScanArgs(t, "candidates", &cfg.Candidates)
		s.c = New(cfg, rand.New(rand.NewPCG(1, 2)))
		return ""
	case "pass":
		dt, err := time.ParseDuration(string(names[0]))
		if err != nil {
			t.Fatal(err)
		}
		s.now = s.now.Add(dt)
	}
	for _, key := range names {
		switch d.Cmd {
		case "found":
			s.c.OnFound(s.now, key, how)
		case "fail":
			s.c.OnFailed(s.now, key)
		case "join":
			s.c.OnPeer(s.now, key, path, trip)
		case "gone":
			s.c.OnGone(s.now, key)
		case "forget":
			s.c.Forget(key)
		case "moved":
			s.c.OnMoved(s.now, key, bytes)
		case "pass":
		default:
			t.Fatalf("unknown command %s", d.Cmd)
		}
	}
	return s.plan()
}

func (s *story) plan() string {
	p := s.c.Advance(s.now)
	var words []string
	for what, keys := range map[string][]Key{"dial": p.Dial, "drop": p.Drop} {
		if len(keys) > 12 {
			words = append(words, fmt.Sprintf("%s %d", what, len(keys)))
		} else if len(keys) > 0 {
			words = append(words, fmt.Sprint(what, " ", strings.Trim(fmt.Sprint(keys), "[]")))
		}
	}
	slices.Sort(words)
	words = append(words, fmt.Sprintf("%d peers", s.c.Live()))
	if at := s.c.Deadline(); !at.IsZero() {
		words = append(words, "again in "+at.Sub(s.now).String())
	}
	return strings.Join(words, "; ") + "\n"
}

// span is a..d as a, b, c, d, and p3..p5 as p3, p4, p5.
func span(s string) []Key {
	from, to, ok := strings.Cut(s, "..")
	if !ok {
		return []Key{Key(s)}
	}
	var a, b int
	var out []Key
	if _, err := fmt.Sscanf(from+" "+to, "p%d p%d", &a, &b); err == nil {
		for ; a <= b; a++ {
			out = append(out, Key(fmt.Sprintf("p%02d", a)))
		}
		return out
	}
	for c := from[0]; c <= to[0]; c++ {
		out = append(out, Key(c))
	}
	return out
}

// Whatever comes, the books are right: nobody is dialled twice at once, there
// are never more than Most for whom we asked, and memory is bounded.
func TestBooks(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		c := New(Config{Want: 6, Most: 9, AtOnce: 3, Candidates: 20}, rng)
		now := time.Unix(1_700_000_000, 0)
		asked := map[Key]bool{}
		for range 400 {
			now = now.Add(time.Duration(rng.IntN(5000)) * time.Millisecond)
			key := Key(fmt.Sprint("p", rng.IntN(40)))
			switch rng.IntN(7) {
			case 0, 1:
				c.OnFound(now, key, How(rng.IntN(4)))
			case 2:
				c.OnFailed(now, key)
				delete(asked, key)
			case 3:
				if !c.Full() {
					c.OnPeer(now, key, Path(rng.IntN(3)), 0)
					delete(asked, key)
				}
			case 4:
				c.OnGone(now, key)
			case 5:
				c.OnMoved(now, key, rng.Int64N(1<<30))
			case 6:
				c.Forget(key)
				delete(asked, key)
			}
			plan := c.Advance(now)
			for _, key := range plan.Dial {
				if asked[key] {
					t.Fatalf("%s is dialled twice", key)
				}
				asked[key] = true
			}
			live, busy := 0, 0
			for _, m := range c.all {
				switch m.state {
				case peer:
					live++
				case dialling:
					busy++
				}
			}
			if live != c.live || busy != c.busy || busy > 3 || live > 9 || len(c.all) > 20+9+3 {
				t.Fatalf("%d live of %d, %d busy of %d, %d known", c.live, live, c.busy, busy, len(c.all))
			}
			if again := c.Advance(now); len(again.Dial)+len(again.Drop) > 0 {
				t.Fatalf("a second call gives %+v", again)
			}
		}
	}
}
