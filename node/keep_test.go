package node

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{
		"": -1, "off": 0, "unlimited": noRoomLimit, "20GB": 20e9, "1.5 TiB": 3 << 39, "512": 512, "7kib": 7 << 10, "3mb": 3e6,
	} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"0", "0GB", "-1GB", "GB", "1 furlong", "9999999TB", "1e3", "10%"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("%q: got %d, want an error", s, got)
		}
	}
}

// read reads all of a file as Cat does.
func read(t *testing.T, n *Node, target merkle.Target, opt FetchOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, n.Cat(t.Context(), target, 0, -1, &b, opt))
	return b.Bytes()
}

// keptFiles counts what a node keeps below its directory.
func keptFiles(t *testing.T, n *Node) int {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(n.cfg.Dir, "pieces"))
	must(t, err)
	return len(files)
}

// What was read once is read again with nobody there, and goes when it is collected.
func TestReadTwice(t *testing.T) {
	t.Parallel()
	data := noise(400, 3*mib+5)
	a := start(t)
	b := start(t, through(a))
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	if got := read(t, b, target, from(a)); !bytes.Equal(got, data) {
		t.Error("the first read is wrong")
	}
	announced := func() bool { at, _ := b.announcer.Announced(target.Root); return !at.IsZero() }
	soon(t, "what was read is announced", announced)
	must(t, a.Close())
	if got := read(t, b, target, FetchOptions{}); !bytes.Equal(got, data) {
		t.Error("the second read is wrong")
	}
	s, err := b.Status(t.Context())
	must(t, err)
	if len(s.Roots) != 1 || !s.Roots[0].Cached || s.Roots[0].State != "complete" {
		t.Errorf("status %+v", s.Roots)
	}
	all, err := b.Collect(t.Context())
	must(t, err)
	if len(all.Freed) != 1 || all.Freed[0].CID != target.Root.String() || all.Bytes != int64(len(data)) || keptFiles(t, b) != 0 {
		t.Errorf("collected %+v, %d files left", all, keptFiles(t, b))
	}
	if s, err = b.Status(t.Context()); err != nil || len(s.Roots) != 0 || announced() {
		t.Errorf("status %+v, %v; announced %v", s.Roots, err, announced())
	}
}

// A part that was read is kept as a part; the rest comes from elsewhere.
func TestReadPart(t *testing.T) {
	t.Parallel()
	data := noise(401, 40*mib)
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	c, err := b.Open(t.Context(), target, from(a))
	must(t, err)
	_, err = io.ReadFull(c, make([]byte, mib))
	must(t, err)
	must(t, c.Close())
	u, err := b.store.Usage()
	must(t, err)
	if u.Cached < mib || u.Cached >= int64(len(data)) {
		t.Errorf("%d bytes are kept of 1 MiB that was read and %d ahead", u.Cached, readAhead*mib)
	}
	r := mustGet(t, b, target, from(a), data)
	if r.From.Disk.Bytes != u.Cached {
		t.Errorf("%d bytes from disk, %d were kept", r.From.Disk.Bytes, u.Cached)
	}
	if _, err := b.Collect(t.Context()); err != nil || keptFiles(t, b) != 0 {
		t.Errorf("%v, %d files left beside the user's", err, keptFiles(t, b))
	}
	must(t, b.Verify(t.Context(), target.Root.String(), func(bad Bad) { t.Errorf("%+v", bad) }))
}

// What is read of the user's own files is not copied; when the file changes
// under the reader, what is lost comes from a peer.
func TestReadOwn(t *testing.T) {
	t.Parallel()
	data := noise(402, 3*mib)
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	mine := put(t, "mine.bin", data)
	share(t, b, mine, AddOptions{})
	if got := read(t, b, target, FetchOptions{}); !bytes.Equal(got, data) || keptFiles(t, b) != 0 {
		t.Errorf("%d files kept of what the user has", keptFiles(t, b))
	}
	_, url := origin(t, "data.bin", data, nil)
	for i, opt := range []FetchOptions{from(a), {Origins: []string{url}}} {
		share(t, b, mine, AddOptions{})
		c, err := b.Open(t.Context(), target, opt)
		must(t, err)
		must(t, os.WriteFile(mine, noise(403, 3*mib), 0o644))
		got, err := io.ReadAll(c)
		must(t, err)
		must(t, c.Close())
		if !bytes.Equal(got, data) {
			t.Errorf("source %d: wrong bytes after the file changed", i)
		}
		must(t, os.WriteFile(mine, data, 0o644))
		if _, err := b.Collect(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// What was only read is held to its limit, the rest of the node's directory is not.
func TestRoom(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t, func(c *Config) { c.StoreMax = "5MiB" })
	private, err := b.Add(t.Context(), put(t, "private", noise(404, 2*mib)), AddOptions{Copy: true})
	must(t, err)
	var targets []merkle.Target
	for i := range 3 {
		targets = append(targets, share(t, a, put(t, "data", noise(405+uint64(i), 2*mib)), AddOptions{}))
		read(t, b, targets[i], from(a))
	}
	if _, err := b.store.Root(targets[0].Root); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the first: %v, want it evicted", err)
	}
	for _, target := range targets[1:] {
		if _, err := b.store.Root(target.Root); err != nil {
			t.Error(err)
		}
	}
	must(t, b.Verify(t.Context(), private.CID, func(bad Bad) { t.Errorf("%+v", bad) }))
}

// Pin fetches what is not here, and keeps it until Unpin.
func TestPin(t *testing.T) {
	t.Parallel()
	data := noise(410, 2*mib+1)
	a, b := start(t), start(t, func(c *Config) { c.StoreMax = "off" })
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	root := target.Root.String()
	opt := from(a)
	opt.Output = filepath.Join(t.TempDir(), "out")
	p, err := b.Pin(t.Context(), target, opt)
	checkNothingAt(t, opt.Output)
	if err != nil || p.Fetched != int64(len(data)) || p.Size != p.Fetched {
		t.Fatalf("got %+v, %v", p, err)
	}
	if r, err := b.store.Root(target.Root); err != nil || !r.Pinned || !r.Cached {
		t.Errorf("after Pin: %+v, %v", r, err)
	}
	must(t, a.Close())
	if p, err = b.Pin(t.Context(), target, FetchOptions{}); err != nil || p.Fetched != 0 {
		t.Errorf("again: %+v, %v", p, err)
	}
	if got := read(t, b, target, FetchOptions{}); !bytes.Equal(got, data) {
		t.Error("the pinned root reads wrong")
	}
	all, err := b.Collect(t.Context())
	if err != nil || len(all.Freed) != 0 || all.Pinned != int64(len(data)) {
		t.Errorf("collected %+v, %v", all, err)
	}
	if err := b.Unshare(t.Context(), root); !errors.Is(err, store.ErrPinned) {
		t.Errorf("Unshare: %v", err)
	}
	must(t, b.Unpin(t.Context(), root))
	if err := b.Unpin(t.Context(), root); !errors.Is(err, store.ErrNotPinned) {
		t.Errorf("Unpin again: %v", err)
	}
	if all, err = b.Collect(t.Context()); err != nil || len(all.Freed) != 1 {
		t.Errorf("collected %+v, %v", all, err)
	}
	off := start(t, func(c *Config) { c.Offline = true })
	if _, err := off.Pin(t.Context(), target, FetchOptions{}); !errors.Is(err, ErrOffline) {
		t.Errorf("offline: %v", err)
	}
	if _, err := b.Pin(t.Context(), merkle.Target{Root: target.Root, Path: "x"}, FetchOptions{}); !errors.Is(err, ErrUsage) {
		t.Errorf("a path: %v", err)
	}
}

// Looking at a directory leaves nothing behind.
func TestListKeepsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a"), noise(411, mib), 0o644))
	a, b := start(t), start(t)
	target := share(t, a, dir, AddOptions{})
	if list, err := b.List(t.Context(), target, from(a)); err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	if s, err := b.Status(t.Context()); err != nil || len(s.Roots) != 0 || keptFiles(t, b) != 0 {
		t.Errorf("%+v, %v", s.Roots, err)
	}
}
