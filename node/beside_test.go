package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// shareTree shares a directory with the files a and b from n.
func shareTree(t *testing.T, n *Node, a, b []byte) merkle.Target {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "a"), a, 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "b"), b, 0o644))
	return share(t, n, dir, AddOptions{})
}

func below(target merkle.Target, path string) merkle.Target {
	target.Path = path
	return target
}

// readSome reads the first bytes of a target and leaves the reader open.
func readSome(t *testing.T, n *Node, target merkle.Target, opt FetchOptions) *Content {
	t.Helper()
	c, err := n.Open(t.Context(), target, opt)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = io.ReadFull(c, make([]byte, 10))
	must(t, err)
	return c
}

// rest reads a content from the start.
func rest(t *testing.T, c *Content) []byte {
	t.Helper()
	_, err := c.Seek(0, io.SeekStart)
	must(t, err)
	b, err := io.ReadAll(c)
	must(t, err)
	return b
}

// Paths below one root are read, listed and fetched while another is read.
func TestPathsBesideEachOther(t *testing.T) {
	t.Parallel()
	one, two := noise(300, 3*mib), noise(301, 2*mib)
	a, b := start(t), start(t)
	target := shareTree(t, a, one, two)
	first := readSome(t, b, below(target, "a"), from(a))
	second := readSome(t, b, below(target, "b"), from(a))
	list, err := b.List(t.Context(), target, from(a))
	if err != nil || len(list) != 2 {
		t.Errorf("List = %v, %v", list, err)
	}
	opt := from(a)
	opt.Output = filepath.Join(t.TempDir(), "got")
	r, err := b.Fetch(t.Context(), target, opt)
	must(t, err)
	for name, data := range map[string][]byte{"a": one, "b": two} {
		if got, err := os.ReadFile(filepath.Join(r.Path, name)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s fetched: %d bytes, %v", name, len(got), err)
		}
	}
	if !bytes.Equal(rest(t, first), one) || !bytes.Equal(rest(t, second), two) {
		t.Error("readers read something else")
	}
}

// A Fetch does not wait for readers of the same content: they go on in its download.
func TestReadersYield(t *testing.T) {
	t.Parallel()
	data := noise(302, 40*mib)
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	c := readSome(t, b, target, from(a))
	r, err := begin(t, b, target, from(a))()
	must(t, err)
	checkFile(t, r, data)
	if r.From.Disk.Bytes == 0 {
		t.Error("what the reader fetched is fetched again")
	}
	if !bytes.Equal(rest(t, c), data) {
		t.Error("the reader reads something else")
	}
}

// What a path leads to may be what another download is at: they become one.
func TestPathMeetsRoot(t *testing.T) {
	t.Parallel()
	data := noise(303, 3*mib)
	a, b := start(t), start(t)
	target := shareTree(t, a, data, noise(304, mib))
	list, err := a.List(t.Context(), target, FetchOptions{})
	must(t, err)
	file, err := merkle.ParseTarget(list[0].CID)
	must(t, err)
	whole := readSome(t, b, file, from(a))
	path := readSome(t, b, below(target, "a"), from(a))
	if !bytes.Equal(rest(t, whole), data) || !bytes.Equal(rest(t, path), data) {
		t.Error("readers read something else")
	}
	r, err := begin(t, b, below(target, "a"), from(a))()
	must(t, err)
	checkFile(t, r, data)
}

// A reader of one path does not wait for the end of another's, also when both
// begin at once and neither knows the tree.
func TestPathsBeginTogether(t *testing.T) {
	t.Parallel()
	data := [][]byte{noise(305, 3*mib), noise(306, 2*mib)}
	a, b := start(t), start(t)
	target := shareTree(t, a, data[0], data[1])
	readers := make([]*Content, 2)
	var wg sync.WaitGroup
	for i, name := range []string{"a", "b"} {
		wg.Go(func() {
			c, err := b.Open(t.Context(), below(target, name), from(a))
			if err != nil {
				t.Error(err)
				return
			}
			readers[i] = c // left open, so its download goes on
		})
	}
	wg.Wait()
	for i, c := range readers {
		if c == nil {
			t.Fatal("no reader")
		}
		defer c.Close()
		if !bytes.Equal(rest(t, c), data[i]) {
			t.Errorf("reader %d reads something else", i)
		}
	}
}

// A reader outlives the Fetch whose download it shares.
func TestReaderOutlivesFetch(t *testing.T) {
	t.Parallel()
	data := noise(307, 6*mib)
	a, b := start(t, upload("3MB/s")), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	begun, hasBegun := once()
	opt := from(a)
	opt.Output = filepath.Join(t.TempDir(), "data.bin")
	opt.Progress = func(p Progress) {
		if p.Have > 0 {
			hasBegun()
		}
	}
	ended := make(chan error, 1)
	go func() {
		_, err := b.Fetch(ctx, target, opt)
		ended <- err
	}()
	<-begun
	c, err := b.Open(t.Context(), target, from(a))
	must(t, err)
	defer c.Close()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if !bytes.Equal(rest(t, c), data) {
		t.Error("the reader reads something else")
	}
}

// What has the store busy for a moment does not fail a download.
func TestWaitsForBusyRoot(t *testing.T) {
	t.Parallel()
	data := noise(308, 2*mib)
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	tree, err := store.LoadTree(a.store, target.Root)
	must(t, err)
	table, err := tree.Table()
	must(t, err)
	w, err := b.store.Create(t.Context(), table, tree.Blocks(), store.CreateOptions{})
	must(t, err)
	time.AfterFunc(300*time.Millisecond, func() { w.Close() })
	r, err := begin(t, b, target, from(a))()
	must(t, err)
	checkFile(t, r, data)
}
