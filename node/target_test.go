package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/store"
)

func TestTargetExists(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", noise(120, 1000)), AddOptions{})
	opt := from(a)
	opt.Output = put(t, "mine", []byte("mine"))
	if _, err := b.Fetch(t.Context(), target, opt); !errors.Is(err, store.ErrExists) {
		t.Errorf("error is %v; want store.ErrExists", err)
	}
	if got, err := os.ReadFile(opt.Output); err != nil || string(got) != "mine" {
		t.Errorf("the file that was there is %q, %v", got, err)
	}
}

// Where nothing can be written, the error is the disk's and comes at once.
func TestTargetCannotBeWritten(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", noise(121, 2*mib)), AddOptions{})
	dir := filepath.Join(t.TempDir(), "locked")
	must(t, os.Mkdir(dir, 0o555))
	opt := from(a)
	opt.Output = filepath.Join(dir, "got")
	if os.Geteuid() == 0 { // root writes everywhere but below a file
		opt.Output = filepath.Join(put(t, "file", nil), "got")
	}
	_, err := b.Fetch(t.Context(), target, opt)
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("error is %T (%v); want the disk's", err, err)
	}
}

// Two fetches of one root to two paths: the second takes it from disk.
func TestTwoTargets(t *testing.T) {
	t.Parallel()
	data := noise(122, 4*mib)
	a, b := start(t, upload("2MB/s")), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	begun, hasBegun := once()
	opt := from(a)
	opt.Progress = func(p Progress) {
		if p.Have > 0 {
			hasBegun()
		}
	}
	first := begin(t, b, target, opt)
	<-begun
	opt = from(a)
	opt.Timeout = time.Second // begins when the first has ended
	second := begin(t, b, target, opt)
	r, err := first()
	must(t, err)
	checkFile(t, r, data)
	r, err = second()
	must(t, err)
	checkFile(t, r, data)
	if r.From.Disk.Bytes != r.Size {
		t.Errorf("the second came from %+v; want all from disk", r.From)
	}
}

// Two fetches of one root to one path cannot both be right.
func TestSameTargetTwice(t *testing.T) {
	t.Parallel()
	data := noise(123, 4*mib)
	a, b := start(t, upload("4MB/s")), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	begun, hasBegun := once()
	opt := from(a)
	opt.Output = filepath.Join(t.TempDir(), "got")
	opt.Progress = func(Progress) { hasBegun() }
	first := begin(t, b, target, opt)
	<-begun
	opt.Progress = nil
	if _, err := b.Fetch(t.Context(), target, opt); !errors.Is(err, store.ErrBusy) {
		t.Errorf("error is %v; want store.ErrBusy", err)
	}
	r, err := first()
	must(t, err)
	checkFile(t, r, data)
}

// A second fetch that waits for the first ends with its own context or deadline.
func TestWaitForOtherHasDeadline(t *testing.T) {
	t.Parallel()
	b := start(t)
	begun, hasBegun := once()
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := b.Fetch(ctx, orphan(), FetchOptions{Progress: func(Progress) { hasBegun() }})
		first <- err
	}()
	<-begun
	_, err := get(t, b, orphan(), FetchOptions{Deadline: time.Second})
	as[*UnavailableError](t, err)
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first ended with %v; want context.Canceled", err)
	}
}

func TestDirectoryInUse(t *testing.T) {
	t.Parallel()
	a := start(t)
	n, err := Start(t.Context(), a.cfg)
	if !errors.Is(err, store.ErrLocked) {
		t.Errorf("error is %v; want store.ErrLocked", err)
	}
	if n != nil {
		t.Error("a node was returned with the error")
	}
}
