package node

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
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
