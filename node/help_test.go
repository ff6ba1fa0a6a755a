package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
	"github.com/shoal-p2p/shoal/merkle"
)

const mib = 1 << 20

// TestMain lets more tests run at once than there are cores: they mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		flag.Set("test.parallel", "8") // the flag is there, and 8 is a number
	}
	m.Run()
}

// start runs a node on loopback until the test ends.
func start(t testing.TB, change ...func(*Config)) *Node {
	t.Helper()
	cfg := Config{
		Dir: t.TempDir(), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, MDNS: "off", PortMap: "off",
		Upload: "unlimited", Version: "test",
	}
	for _, f := range change {
		f(&cfg)
	}
	n, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return n
}

// through makes a node join the swarm by way of others.
func through(nodes ...*Node) func(*Config) {
	return func(c *Config) {
		for _, n := range nodes {
			c.Bootstrap = append(c.Bootstrap, n.Addrs()[0])
		}
	}
}

// upload limits what a node sends, on every path.
func upload(rate string) func(*Config) { return func(c *Config) { c.Upload = rate } }

// noise is size bytes that do not repeat and are the same for a seed.
func noise(seed uint64, size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte(binary.LittleEndian.AppendUint64(make([]byte, 24), seed))).Read(b) // never fails
	return b
}

// put writes a file below a new directory and returns its path.
func put(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// share adds path to n and returns what others fetch, without any source.
func share(t testing.TB, n *Node, path string, opt AddOptions) merkle.Target {
	t.Helper()
	a, err := n.Add(t.Context(), path, opt)
	if err != nil {
		t.Fatalf("Add: %v", err)
	}
	return merkle.Target{Root: cid.MustParse(a.CID)}
}

// from names peers to ask.
func from(nodes ...*Node) FetchOptions {
	var opt FetchOptions
	for _, n := range nodes {
		opt.Peers = append(opt.Peers, n.Addrs()[0])
	}
	return opt
}

// get fetches target to a new path, within limits that a hanging test soon meets.
func get(t testing.TB, n *Node, target merkle.Target, opt FetchOptions) (*Result, error) {
	t.Helper()
	return begin(t, n, target, opt)()
}

// begin is get in the background; the function that it returns waits for the end.
func begin(t testing.TB, n *Node, target merkle.Target, opt FetchOptions) func() (*Result, error) {
	t.Helper()
	if opt.Output == "" {
		opt.Output = filepath.Join(t.TempDir(), "got")
	}
	if opt.Deadline == 0 {
		opt.Deadline = 30 * time.Second
	}
	var r *Result
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, err = n.Fetch(t.Context(), target, opt)
	}()
	return func() (*Result, error) {
		t.Helper()
		<-done
		if err != nil {
			checkNothingAt(t, opt.Output)
			return nil, err
		}
		if r.Path != opt.Output || !r.Verified {
			t.Errorf("result has path %q, verified %v; want path %q, verified", r.Path, r.Verified, opt.Output)
		}
		return r, nil
	}
}

// mustGet is get of a file whose bytes are known.
func mustGet(t testing.TB, n *Node, target merkle.Target, opt FetchOptions, want []byte) *Result {
	t.Helper()
	r, err := get(t, n, target, opt)
	if err != nil {
		t.Fatalf("Fetch: %v", err)
	}
	checkFile(t, r, want)
	return r
}

// checkFile compares what was fetched with what was shared.
func checkFile(t testing.TB, r *Result, want []byte) {
	t.Helper()
	got, err := os.ReadFile(r.Path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes that are not the %d expected", r.Path, len(got), len(want))
	}
	if sum := total(r.From); r.Size != int64(len(want)) || sum != r.Size {
		t.Errorf("result has size %d and %d bytes by source; want %d", r.Size, sum, len(want))
	}
}

// total is all the bytes of f.
func total(f From) int64 {
	return f.LAN.Bytes + f.WAN.Bytes + f.Relay.Bytes + f.Origin.Bytes + f.Disk.Bytes
}

// checkNothingAt makes sure that a fetch that failed left nothing under its final name.
func checkNothingAt(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there although the fetch failed (%v)", path, err)
	}
}

// as makes sure that err is of type E.
func as[E error](t testing.TB, err error) E {
	t.Helper()
	e, ok := errors.AsType[E](err)
	if !ok {
		t.Fatalf("error is %T (%v); want %T", err, err, e)
	}
	return e
}

// serveOrigin serves o until the test ends and returns its URL. Requests that
// hang are cut off first.
func serveOrigin(t testing.TB, o http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(o)
	ctx, cancel := context.WithCancel(context.Background())
	s.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	s.Start()
	t.Cleanup(func() {
		cancel()
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// origin serves data as /name, and its tree beside it if one is given.
func origin(t testing.TB, name string, data, tree []byte) (*origintest.Origin, string) {
	t.Helper()
	o := origintest.New()
	o.File("/"+name, bytes.NewReader(data), int64(len(data)))
	if tree != nil {
		o.File("/"+name+".shoal", bytes.NewReader(tree), int64(len(tree)))
	}
	return o, serveOrigin(t, o) + "/" + name
}

// hash names data and returns its tree file, without any node that serves it.
func hash(t testing.TB, path string, opt AddOptions) (merkle.Target, []byte) {
	t.Helper()
	n := start(t, func(c *Config) { c.Offline = true })
	opt.TreeFile = filepath.Join(t.TempDir(), "tree.shoal")
	target := share(t, n, path, opt)
	tree, err := os.ReadFile(opt.TreeFile)
	if err != nil {
		t.Fatal(err)
	}
	return target, tree
}

// listing describes every entry below root: path, type, mode, content.
func listing(t testing.TB, root string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		line := fmt.Sprintf("%s %v", filepath.ToSlash(rel), info.Mode())
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		case info.Mode().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d bytes %x", len(b), merkle.UnixFSv1.Leaf(b).CID.Hash()[2:10])
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkSameTree compares two trees on disk.
func checkSameTree(t testing.TB, got, want string) {
	t.Helper()
	g, w := listing(t, got), listing(t, want)
	for _, line := range w {
		if !slices.Contains(g, line) {
			t.Errorf("missing: %s", line)
		}
	}
	for _, line := range g {
		if !slices.Contains(w, line) {
			t.Errorf("not wanted: %s", line)
		}
	}
}

// soon waits until cond holds. It is for what another goroutine does next; the
// limit is only there for a test that would hang.
func soon(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// must ends the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// once is a channel and a function that closes it at the first call.
func once() (<-chan struct{}, func()) {
	c := make(chan struct{})
	return c, sync.OnceFunc(func() { close(c) })
}

// isA reports whether err is of type E.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// infos is how others find nodes.
func infos(nodes ...*Node) []peer.AddrInfo {
	var out []peer.AddrInfo
	for _, n := range nodes {
		out = append(out, peer.AddrInfo{ID: n.self, Addrs: n.host.Addrs()})
	}
	return out
}
