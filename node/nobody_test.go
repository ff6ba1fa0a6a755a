package node

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
)

// orphan is content that nobody has.
func orphan() merkle.Target {
	return merkle.Target{Root: merkle.UnixFSv0.Leaf([]byte("nobody has this")).CID}
}

func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	n := start(t)
	var words []string
	_, err := get(t, n, orphan(), FetchOptions{
		Timeout:  5 * time.Second, // the words must have come by then
		Progress: func(p Progress) { words = append(words, p.Waiting) },
	})
	e := as[*UnavailableError](t, err)
	if !strings.Contains(e.Hint, "shoal share") {
		t.Errorf("hint %q does not say what to do", e.Hint)
	}
	found := false
	for _, w := range words {
		found = found || strings.HasPrefix(w, "nobody to ask: ") && strings.HasSuffix(w, "or give --bootstrap, --peer or --origin.")
	}
	if !found {
		t.Errorf("nobody said that there is nobody to ask: %q", words)
	}
}

// One peer is there and has nothing: it is named.
func TestPeersThatHaveNothing(t *testing.T) {
	t.Parallel()
	a := start(t)
	b := start(t)
	opt := from(a)
	opt.Timeout = 2 * time.Second
	_, err := get(t, b, orphan(), opt)
	e := as[*UnavailableError](t, err)
	if len(e.Tried) != 1 || !strings.Contains(e.Tried[0], a.ID()) || !strings.Contains(e.Tried[0], "does not have") {
		t.Errorf("tried %q; want %s, which does not have it", e.Tried, a.ID())
	}
}

// A peer that is not there any more is named, with what happened.
func TestPeerThatIsGone(t *testing.T) {
	t.Parallel()
	a := start(t)
	opt := from(a)
	must(t, a.Close())
	opt.Timeout = 2 * time.Second
	_, err := get(t, start(t), orphan(), opt)
	e := as[*UnavailableError](t, err)
	if len(e.Tried) != 1 || !strings.Contains(e.Tried[0], a.ID()) || !strings.Contains(e.Tried[0], "refused") {
		t.Errorf("tried %q; want %s and that the connection was refused", e.Tried, a.ID())
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	a, b := start(t, upload("200kB/s")), start(t)
	target := share(t, a, put(t, "data.bin", noise(40, 4*mib)), AddOptions{})
	opt := from(a)
	opt.Deadline = 3 * time.Second // long enough for the tree, on any machine
	_, err := get(t, b, target, opt)
	e := as[*UnavailableError](t, err)
	if !strings.Contains(e.Why, "3s") {
		t.Errorf("%v does not name the deadline", e)
	}
	if len(e.Tried) != 1 || !strings.HasSuffix(e.Tried[0], "did not send it in time") {
		t.Errorf("tried %q; want that the peer has it", e.Tried)
	}
}

// Cancelling ends a fetch at once and leaves nothing but what a resume needs.
func TestCancel(t *testing.T) {
	t.Parallel()
	a, b := start(t, upload("1MB/s")), start(t)
	target := share(t, a, put(t, "data.bin", noise(41, 4*mib)), AddOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opt := from(a)
	opt.Output = filepath.Join(t.TempDir(), "got")
	opt.Progress = func(p Progress) {
		if p.Size > 0 {
			cancel()
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := b.Fetch(ctx, target, opt)
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v; want context.Canceled", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still fetching")
	}
	checkNothingAt(t, opt.Output)
	left, err := filepath.Glob(filepath.Join(filepath.Dir(opt.Output), "*"))
	must(t, err)
	for _, f := range left {
		if !strings.Contains(filepath.Base(f), "got") {
			t.Errorf("left behind: %s", f)
		}
	}
	s, err := b.Status(t.Context())
	must(t, err)
	if len(s.Roots) != 1 || s.Roots[0].State != "waiting" {
		t.Errorf("roots %+v; want one that waits for a resume", s.Roots)
	}
}

// Who wants few words is told when the reason to wait changes, and of nothing else.
func TestTerse(t *testing.T) {
	t.Parallel()
	data := noise(97, 2*mib)
	a, b := start(t, upload("2MB/s")), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	opt := from(a)
	opt.Terse = true
	last, calls := "nothing yet", 0
	opt.Progress = func(p Progress) {
		if calls++; p.Waiting == last {
			t.Errorf("told again of %q, with %d bytes", p.Waiting, p.Have)
		}
		last = p.Waiting
	}
	mustGet(t, b, target, opt, data)
	t.Logf("%d calls", calls)
}
