package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

// stay is the value of --seed: whether, and for how long, a get goes on serving
// what it has fetched. With neither copies nor time it stays until interrupted.
type stay struct {
	on     bool
	copies float64       // stay until so many were sent; 0 for no such end
	time   time.Duration // stay for so long; 0 for no such end
}

// Set reads what stands behind --seed=; the flag package says "true" for a
// bare --seed.
func (s *stay) Set(text string) error {
	if on, err := strconv.ParseBool(text); err == nil && len(text) > 1 { // 1 is a ratio
		*s = stay{on: on}
		return nil
	}
	if copies, err := strconv.ParseFloat(text, 64); err == nil && copies > 0 && !math.IsInf(copies, 0) {
		*s = stay{on: true, copies: copies}
		return nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		*s = stay{on: true, time: d}
		return nil
	}
	return fmt.Errorf("say how many copies, such as 1.5, or how long, such as 30m, or nothing")
}

func (s *stay) String() string { return "" }

// IsBoolFlag lets the flag stand without a value.
func (s *stay) IsBoolFlag() bool { return true }

// stayFlag is --seed. Unlike that of other flags, its value may be left out, and
// so never is the next word.
type stayFlag struct{ cli.GenericFlag }

func newStayFlag(s *stay) *stayFlag {
	return &stayFlag{cli.GenericFlag{Name: "seed", Value: s, Usage: "stay and serve: so many copies (1.5), so long (30m), else until Ctrl-C"}}
}

func (f *stayFlag) TakesValue() bool { return false }

// Optional is what the value may look like.
func (f *stayFlag) Optional() string { return "RATIO|DURATION" }

// shared tells whether a get's content is still served when it has it; it is in
// the JSON of get.
type shared struct {
	By     string  `json:"by"`               // node: the running one, for as long as it runs; get: this command; none
	For    float64 `json:"for_s,omitempty"`  // seconds that this command stays; 0: no such end
	Copies float64 `json:"copies,omitempty"` // copies after which it ends; 0: no such end
}

// of says who shares when a get in session sess is done.
func (s *stay) of(sess *session) shared {
	switch {
	case sess.running:
		return shared{By: "node"}
	case !s.on:
		return shared{By: "none"}
	}
	return shared{By: "get", For: s.time.Seconds(), Copies: s.copies}
}

// sharedLine is the last of the closing words of a get: whether, and how long,
// others can still have it from here.
func sharedLine(s shared, size64 int64) string {
	switch {
	case s.By == "node":
		return "shared on by the running node, for as long as it runs"
	case s.By == "none":
		return "no longer shared: no node runs here; 'shoal node' goes on with it, --seed stays"
	case s.Copies > 0:
		return fmt.Sprintf("seeding until %s copies (%s) are sent (or Ctrl-C)", copies(s.Copies), size(int64(s.Copies*float64(size64))))
	case s.For > 0:
		return fmt.Sprintf("seeding for %v (or until Ctrl-C)", time.Duration(s.For*float64(time.Second)))
	}
	return "seeding until interrupted (Ctrl-C)"
}

func copies(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// seed stays as long as s says, and tells then what was sent.
func seed(ctx context.Context, sh *shell, sess *session, s stay, r *node.Result) error {
	if err := announceNode(ctx, sh, sess); err != nil {
		return err
	}
	sh.say("%s", sharedLine(s.of(sess), r.Size))
	began := time.Now()
	var err error
	switch {
	case s.copies > 0:
		err = seedCopies(ctx, sess, s.copies, r)
	case s.time > 0:
		pause(ctx, s.time)
	default:
		<-ctx.Done()
	}
	if err != nil {
		return err
	}
	sent, err := sentOf(context.WithoutCancel(ctx), sess, r.CID)
	if err != nil {
		return err
	}
	line := "no longer shared: sent " + size(sent)
	if r.Size > 0 {
		line += fmt.Sprintf(" (%.2f copies)", float64(sent)/float64(r.Size))
	}
	sh.say("%s, stayed %s", line, seconds(time.Since(began).Seconds()))
	return nil
}

// lastFrames is how long what was sent last gets to arrive.
const lastFrames = time.Second

// seedCopies waits until enough of r was sent, or ctx ends. A status costs more
// the more roots there are, so it is asked for less often then.
func seedCopies(ctx context.Context, sess *session, copies float64, r *node.Result) error {
	for ctx.Err() == nil {
		asked := time.Now()
		sent, err := sentOf(ctx, sess, r.CID)
		if err != nil {
			return err
		}
		if float64(sent) >= copies*float64(r.Size) {
			pause(ctx, lastFrames)
			break
		}
		pause(ctx, max(250*time.Millisecond, 50*time.Since(asked)))
	}
	return nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// sentOf is what was sent of a root since the node started.
func sentOf(ctx context.Context, sess *session, cid string) (int64, error) {
	st, err := sess.Status(ctx)
	if err != nil {
		return 0, err
	}
	for _, r := range st.Roots {
		if sameRoot(r.CID, cid) {
			return r.Sent, nil
		}
	}
	return 0, nil
}
