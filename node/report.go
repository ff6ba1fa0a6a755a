package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/cdnfallback/policy"
)

const (
	reportEvery = 200 * time.Millisecond
	rateTau     = 2 * time.Second // of the smoothed rate: the short horizon of the reference parameters
	sayNobody   = 3 * time.Second // without anybody to ask
	sayWaiting  = time.Second     // without a useful byte
)

// countdown is the part of a waiting line that changes by itself.
var countdown = regexp.MustCompile(` in \d+ s`)

// reporting is what the caller was told last. Owned by run.
type reporting struct {
	last    time.Time
	at      time.Time // of bytes
	bytes   int64
	rate    float64
	waiting string
	since   time.Time // waiting has been the same
	code    string
}

// report tells the caller how things stand, and returns when to do so again.
func (d *download) report(now time.Time, force bool) time.Time {
	t := &d.tell
	words, code := d.waiting(now)
	changed := countdown.ReplaceAllString(words, "") != countdown.ReplaceAllString(t.waiting, "")
	if changed { // a countdown alone is no news
		t.waiting, t.code, t.since = words, code, now
	}
	if !force && !changed && now.Sub(t.last) < reportEvery {
		return t.last.Add(reportEvery)
	}
	have := d.count.bytes() + d.trees.streamed
	if dt := now.Sub(t.at); !t.at.IsZero() && dt > 0 {
		fresh := max(float64(have-t.bytes), 0) / dt.Seconds()
		t.rate += (fresh - t.rate) * (1 - math.Exp(-dt.Seconds()/rateTau.Seconds()))
	}
	t.last, t.at, t.bytes = now, now, have
	p := d.progress()
	d.n.note(d, p, t)
	if d.opt.Progress != nil && (changed || !d.opt.Terse) {
		d.opt.Progress(p)
	}
	if d.lacking == 0 && d.phase == fetching {
		return time.Time{}
	}
	return now.Add(reportEvery)
}

func (d *download) progress() Progress {
	p := Progress{
		CID: d.target.Root.String(), Name: d.name(), Have: d.covered, Rate: d.tell.rate,
		Peers: d.livePeers(), From: d.count.from, Waiting: d.tell.waiting,
	}
	if d.table != nil {
		p.Size = d.table.Size
	} else {
		p.Have = d.trees.streamed
	}
	return p
}

// name is what the content is called: the end of the path, else the target's
// base, else the CID.
func (d *download) name() string {
	if d.target.Path != "" {
		return path.Base(d.target.Path)
	}
	return cmp.Or(d.opt.Name, d.target.Root.String())
}

// waiting says in words why nothing moves, and a code for it; "" while bytes come.
func (d *download) waiting(now time.Time) (words, code string) {
	idle := now.Sub(d.useful)
	if d.phase == creating && idle >= sayWaiting && len(d.opt.Using) > 0 {
		return "waiting: looking for pieces in " + count(len(d.opt.Using), "path") + " given with --using", "using"
	}
	if d.phase >= creating && d.phase != fetching || idle < sayWaiting {
		return "", ""
	}
	if d.phase == fetching && d.demand && len(d.wanting) == 0 {
		return "", ""
	}
	next, soon := d.nextOrigin(now)
	if d.look.found() == 0 && len(d.peers) == 0 && len(d.origins) == 0 {
		if len(d.n.bootstrap()) == 0 && idle >= sayNobody {
			return d.n.nobodyToAsk(), "nobody"
		}
		if idle < sayNobody {
			return "", "looking"
		}
	}
	var parts []string
	found, failed := d.candidates()
	switch live := d.livePeers(); {
	case live > 0 && d.table == nil:
		parts, code = append(parts, fmt.Sprintf("%s, none has sent the tree yet", count(live, "peer"))), "no-tree"
	case live > 0:
		parts, code = append(parts, fmt.Sprintf("%s connected, none has what is missing or sends it", count(live, "peer"))), "stalled"
	case found > 0:
		s := count(found, "provider") + " found, none answered"
		if failed != "" {
			s += " (" + failed + ")"
		}
		parts, code = append(parts, s), "stalled"
	case d.look.err != nil:
		parts, code = append(parts, d.look.err.Error()), "looking"
	default:
		parts, code = append(parts, "no provider found yet"), "looking"
	}
	if next != "" {
		parts = append(parts, next)
		if soon {
			code = "origin"
		}
	}
	return "waiting: " + strings.Join(parts, "; "), code
}

// nextOrigin says what will happen with the origins.
func (d *download) nextOrigin(now time.Time) (words string, soon bool) {
	var bad []string
	for _, s := range d.origins {
		switch {
		case s.useless && s.err != nil:
			bad = append(bad, s.err.Error())
		case now.Before(s.backoff.Until()):
			return fmt.Sprintf("%v; trying %s again in %s", s.err, s.o.Host(), seconds(s.backoff.Until().Sub(now))), true
		case d.policy != nil:
			switch at, code := d.policy.Why(now); {
			case code == policy.Grace && at.After(now):
				return fmt.Sprintf("using %s in %s", s.o.Host(), seconds(at.Sub(now))), true
			case code == policy.Spent:
				return fmt.Sprintf("--origin-copies is used up: using %s in %s", s.o.Host(), seconds(at.Sub(now))), true
			}
			return "using " + s.o.Host(), true
		case d.originTooSoon(now):
			return "using " + s.o.Host() + " later", true
		default:
			return "asking " + s.o.Host(), true
		}
	}
	return strings.Join(bad, "; "), false
}

func seconds(d time.Duration) string { return fmt.Sprintf("%d s", int(math.Ceil(d.Seconds()))) }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// candidates counts the providers found, and says what became of those that
// did not answer.
func (d *download) candidates() (found int, failed string) {
	by := map[candidateState]int{}
	for _, c := range d.look.seen {
		by[c.state]++
	}
	var parts []string
	if n := by[timedOut]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d timed out", n))
	}
	if n := by[refused]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d refused", n))
	}
	return len(d.look.seen), strings.Join(parts, ", ")
}

func (t *tally) liarList() []string {
	var out []string
	for _, who := range slices.Sorted(maps.Keys(t.liars)) {
		out = append(out, who+": "+t.liars[who])
	}
	return out
}

// gaveUp is the error with which a download ends when nothing valid came in time.
func (d *download) gaveUp(now time.Time) error {
	if d.phase == creating && (d.opt.Deadline == 0 || now.Sub(d.started) < d.opt.Deadline) {
		return nil
	}
	if d.phase == finishing || (d.demand && len(d.wanting) == 0 && d.phase == fetching) {
		return nil
	}
	var why string
	switch {
	case d.opt.Deadline > 0 && now.Sub(d.started) >= d.opt.Deadline:
		why = fmt.Sprintf("not done within %v", d.opt.Deadline)
	case now.Sub(d.useful) >= d.timeout():
		why = fmt.Sprintf("no useful byte for %v", d.timeout())
	case d.relaysSpent(now).After(d.useful.Add(d.timeout())):
		why = "whoever has it is reached over a relay that carries no more for this pair"
	case !d.noMoreSources(now):
		return nil
	}
	if d.onlyLies() {
		return &VerificationError{Root: d.target.Root, Why: "the only sources that answered gave what does not match", Liars: d.count.liarList()}
	}
	if why != "" {
		return d.unavailable(why)
	}
	return nil
}

// noMoreSources reports whether every source is used up and the search for
// others has ended once.
func (d *download) noMoreSources(now time.Time) bool {
	if d.livePeers() > 0 || d.look.running || d.look.dialing > 0 || now.Sub(d.useful) < sayNobody {
		return false
	}
	for _, s := range d.origins {
		if !s.useless {
			return false
		}
	}
	return true
}

// onlyLies reports whether somebody was caught lying and nobody else answered.
func (d *download) onlyLies() bool {
	for _, r := range d.peers {
		if r.opened && !r.missing && r.strikes == 0 {
			return false
		}
	}
	for s := range d.count.origins {
		if d.count.lies[s] == 0 {
			return false
		}
	}
	for _, peers := range d.count.peers {
		for id := range peers {
			if d.count.liars[id.String()] == "" {
				return false
			}
		}
	}
	return len(d.count.liars) > 0
}

func (d *download) timeout() time.Duration {
	if d.opt.Timeout > 0 {
		return d.opt.Timeout
	}
	return 2 * time.Minute
}

// unavailable names every source that was tried.
func (d *download) unavailable(why string) error {
	e := &UnavailableError{Root: d.target.Root, Why: why, Liars: d.count.liarList()}
	for _, id := range slices.Sorted(maps.Keys(d.look.seen)) {
		e.Tried = append(e.Tried, fmt.Sprintf("%v: %s", id, d.became(id)))
	}
	for _, s := range d.origins {
		if s.err != nil {
			e.Tried = append(e.Tried, s.err.Error())
		} else {
			e.Tried = append(e.Tried, fmt.Sprintf("origin %s: nothing useful in time", s.o.Host()))
		}
	}
	switch {
	case !d.relaysSpent(time.Now()).IsZero():
		e.Hint = "give --origin, or try again later: what is here stays"
	case len(e.Tried) == 0:
		e.Hint = "ask the sender for the link ('shoal share' prints it), or give --bootstrap, --peer or --origin"
	}
	return e
}

// became says what became of a provider.
func (d *download) became(id peer.ID) string {
	c := d.look.seen[id]
	switch {
	case !d.n.barren(id).IsZero():
		return "the relay to it carries no more"
	case errors.Is(c.err, context.DeadlineExceeded):
		return "timed out"
	case c.err != nil:
		return undialled(c.err)
	case c.state != answered || d.peers[id] == nil:
		return "no answer"
	case d.table == nil:
		return "sent no tree that is of use"
	}
	r := d.peers[id]
	lacks := func(i int) bool { return !d.have.Has(i) }
	if r.all || slices.ContainsFunc(slices.Collect(r.have.All()), lacks) {
		return "has what is missing and did not send it in time"
	}
	return "has nothing that is missing"
}
