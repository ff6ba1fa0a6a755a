package node

import (
	"errors"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// Close ends everything in time while the node fetches and serves, and no
// goroutine outlives it. It runs alone, so that all goroutines are its own.
func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	a, b, c := start(t, upload("2MB/s")), start(t), start(t)
	data := noise(160, 8*mib)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	url := "http://127.0.0.1:9/data.bin" // nobody is there; it is not asked for an hour
	served, isServed := once()
	opt := from(a)
	opt.Output = filepath.Join(t.TempDir(), "got")
	fetch := func(n *Node, opt FetchOptions) chan error {
		done := make(chan error, 1)
		go func() {
			_, err := n.Fetch(t.Context(), target, opt)
			done <- err
		}()
		return done
	}
	atB := fetch(b, opt)
	opt = from(b)
	opt.Output = filepath.Join(t.TempDir(), "got")
	opt.Origins, opt.OriginAfter = []string{url}, time.Hour
	opt.Progress = func(p Progress) {
		if p.Have > 0 {
			isServed()
		}
	}
	atC := fetch(c, opt)
	<-served
	for name, n := range map[string]*Node{"fetching and serving": b, "fetching": c, "serving": a} {
		began := time.Now()
		must(t, n.Close())
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("Close of the node that was %s took %v", name, took)
		}
	}
	for _, done := range []chan error{atB, atC} {
		if err := <-done; err == nil || errors.Is(err, t.Context().Err()) {
			t.Errorf("a fetch of a node that was closed ended with %v", err)
		}
	}
	if _, err := b.Fetch(t.Context(), target, FetchOptions{}); err == nil {
		t.Error("Fetch works on a closed node")
	}
	must(t, b.Close())
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			var s strings.Builder
			must(t, pprof.Lookup("goroutine").WriteTo(&s, 1))
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), s.String())
		}
	}
}
