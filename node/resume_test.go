package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
)

// interrupt fetches until some has come and cancels then. It returns the path.
func interrupt(t *testing.T, n *Node, target merkle.Target, opt FetchOptions, some int64) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opt.Output = filepath.Join(t.TempDir(), "got")
	opt.Progress = func(p Progress) {
		if p.Have >= some {
			cancel()
		}
	}
	if _, err := n.Fetch(ctx, target, opt); !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v; want context.Canceled", err)
	}
	checkNothingAt(t, opt.Output)
	return opt.Output
}

// What came before an interruption does not come again, even if the node was
// stopped meanwhile.
func TestResume(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"same node": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := noise(110, 8*mib)
			a, b := start(t, upload("4MB/s")), start(t)
			target := share(t, a, put(t, "data.bin", data), AddOptions{})
			path := interrupt(t, b, target, from(a), 4*mib)
			if restart {
				dir := b.cfg.Dir
				must(t, b.Close())
				b = start(t, func(c *Config) { c.Dir = dir })
			}
			opt := from(a)
			opt.Output = path
			r := mustGet(t, b, target, opt, data)
			if r.From.LAN.Bytes > 4*mib {
				t.Errorf("%d bytes came again, %d were here; want at most half of %d from peers", r.From.LAN.Bytes, r.From.Disk.Bytes, r.Size)
			}
		})
	}
}

// A fetch of the same root to another path takes from disk what is there.
func TestResumeElsewhere(t *testing.T) {
	t.Parallel()
	data := noise(111, 6*mib)
	a, b := start(t, upload("4MB/s")), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	interrupt(t, b, target, from(a), 3*mib)
	r := mustGet(t, b, target, from(a), data)
	if r.From.Disk.Bytes < 2*mib {
		t.Errorf("from %+v; want what was here taken from disk", r.From)
	}
}

// Version 2 starts with what version 1 left: pieces are one under any root.
func TestPiecesOfAnotherRoot(t *testing.T) {
	t.Parallel()
	data := noise(112, 4*mib)
	a, b := start(t), start(t)
	v1 := share(t, a, put(t, "v1.bin", data), AddOptions{})
	mustGet(t, b, v1, from(a), data)
	data = append(data[:3*mib:3*mib], noise(113, mib)...)
	v2 := share(t, a, put(t, "v2.bin", data), AddOptions{})
	r := mustGet(t, b, v2, from(a), data)
	if r.From.Disk.Bytes != 3*mib || r.From.LAN.Bytes != mib {
		t.Errorf("from %+v; want 3 MiB from disk and 1 MiB from the peer", r.From)
	}
}

// A partial file that was damaged meanwhile is not trusted.
func TestResumeOfDamagedPartial(t *testing.T) {
	t.Parallel()
	data := noise(114, 6*mib)
	a, b := start(t, upload("4MB/s")), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	path := interrupt(t, b, target, from(a), 3*mib)
	partials, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
	must(t, err)
	if len(partials) != 1 {
		t.Fatalf("partial files are %q; want one", partials)
	}
	f, err := os.OpenFile(partials[0], os.O_WRONLY, 0)
	must(t, err)
	for at := int64(0); at < 6*mib; at += mib {
		if _, err := f.WriteAt([]byte("damage"), at+5); err != nil {
			t.Fatal(err)
		}
	}
	must(t, f.Close())
	opt := from(a)
	opt.Output = path
	mustGet(t, b, target, opt, data)
}
