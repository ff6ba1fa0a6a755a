package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/cdnfallback/policy"
	"github.com/shoal-p2p/shoal/merkle"
)

const helloRoot = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq" // any raw CID

// fakeAPI is a node that holds one file and can be told to fail or to wait.
type fakeAPI struct {
	content []byte
	fail    error         // what every verb ends with, after its events
	entered chan struct{} // if not nil, told when a verb waits for its context to end
	left    chan error    // told the cause when it has
	last    FetchOptions
	added   string
}

func (f *fakeAPI) outcome(ctx context.Context) error {
	if f.entered != nil {
		f.entered <- struct{}{}
		<-ctx.Done()
		f.left <- ctx.Err()
		return ctx.Err()
	}
	return f.fail
}

func (f *fakeAPI) Add(ctx context.Context, path string, opt AddOptions) (Added, error) {
	f.added = path
	opt.Progress(5)
	opt.Skip(filepath.Join(path, ".git"), "hidden")
	return Added{CID: helloRoot, Size: 5, Pieces: 1, Name: filepath.Base(path)}, f.outcome(ctx)
}

func (f *fakeAPI) Publish(ctx context.Context, path string, opt PublishOptions) (Published, error) {
	opt.Progress(7)
	opt.Skip(path+"/.x", "hidden")
	return Published{Path: opt.Out, Signed: Signed{Name: opt.Name, Sequence: 1}}, f.outcome(ctx)
}

func (f *fakeAPI) Resolve(ctx context.Context, where string, opt FetchOptions) (Resolved, error) {
	opt.Progress(Progress{Name: where})
	return Resolved{URL: where, Signed: &Signed{Name: "app"}, Trust: &Trust{Since: time.Unix(1, 0).UTC()}}, f.outcome(ctx)
}

func (f *fakeAPI) Fetch(ctx context.Context, target merkle.Target, opt FetchOptions) (*Result, error) {
	f.last = opt
	opt.Progress(Progress{CID: target.Root.String(), Size: int64(len(f.content)), Waiting: "looking"})
	if err := f.outcome(ctx); err != nil {
		return nil, err
	}
	return &Result{CID: target.Root.String(), Path: opt.Output, Verified: true, OriginReasons: map[string]int64{"start": 5}}, nil
}

func (f *fakeAPI) Doctor(ctx context.Context, opt DoctorOptions) ([]Check, error) {
	return []Check{{Check: "origin", State: CheckOK, Detail: opt.Origins[0], Hint: opt.CA}}, f.outcome(ctx)
}

func (f *fakeAPI) Cat(ctx context.Context, _ merkle.Target, from, to int64, w io.Writer, opt FetchOptions) error {
	opt.Progress(Progress{Have: 1})
	if to < 0 {
		to = int64(len(f.content)) - 1
	}
	if _, err := w.Write(f.content[from : to+1]); err != nil {
		return err
	}
	return f.outcome(ctx)
}

func (f *fakeAPI) List(ctx context.Context, _ merkle.Target, _ FetchOptions) ([]Entry, error) {
	entries := make([]Entry, 2*listBatch+1)
	for i := range entries {
		entries[i] = Entry{Type: "file", Name: fmt.Sprint("f", i), CID: helloRoot}
	}
	return entries, f.outcome(ctx)
}

func (f *fakeAPI) Find(ctx context.Context, _ merkle.Target, _ FetchOptions, found func(Provider)) error {
	found(Provider{ID: "a", Addrs: []string{"/ip4/127.0.0.1/tcp/1"}})
	found(Provider{ID: "b", Addrs: []string{}})
	return f.outcome(ctx)
}

func (f *fakeAPI) Status(ctx context.Context) (Status, error) {
	return Status{PeerID: "me", Roots: []RootStatus{{CID: helloRoot, Why: &Why{Code: "nobody"}}}}, f.outcome(ctx)
}

func (f *fakeAPI) Verify(ctx context.Context, root string, bad func(Bad)) error {
	bad(Bad{CID: root, Piece: 3, Error: "changed"})
	return f.outcome(ctx)
}

func (f *fakeAPI) Pin(ctx context.Context, target merkle.Target, opt FetchOptions) (Pinned, error) {
	opt.Progress(Progress{Have: 1})
	return Pinned{CID: target.Root.String(), Size: 5, Fetched: 4}, f.outcome(ctx)
}

func (f *fakeAPI) Unpin(ctx context.Context, _ string) error { return f.outcome(ctx) }

func (f *fakeAPI) Collect(ctx context.Context) (Collected, error) {
	return Collected{Freed: []Freed{{CID: helloRoot, Bytes: 7}}, Bytes: 7}, f.outcome(ctx)
}

func (f *fakeAPI) Unshare(ctx context.Context, _ string) error { return f.outcome(ctx) }
func (f *fakeAPI) ID() string                                  { return "12D3KooWfake" }
func (f *fakeAPI) Close() error                                { return nil }

// serve runs f on a socket and dials it.
func serve(t *testing.T, f *fakeAPI) *Client {
	t.Helper()
	dir := t.TempDir()
	stop, err := ServeAPI(t.Context(), dir, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := stop(); err != nil {
			t.Error("stop:", err)
		}
		if err := stop(); err != nil {
			t.Error("second stop:", err)
		}
		if _, err := os.Lstat(socketPath(dir)); !errors.Is(err, fs.ErrNotExist) {
			t.Error("the socket is left behind:", err)
		}
	})
	return c
}

func testTarget(t *testing.T) merkle.Target {
	t.Helper()
	root, err := cid.Decode(helloRoot)
	if err != nil {
		t.Fatal(err)
	}
	return merkle.Target{Root: root, Path: "a/b ü", Peers: []string{"/ip4/1.2.3.4/tcp/1"}}
}

func TestVerbsOverTheSocket(t *testing.T) {
	t.Parallel()
	f := &fakeAPI{content: bytes.Repeat([]byte("0123456789\n"), 300_000)} // several events of data
	c := serve(t, f)
	target := testTarget(t)
	if got := c.ID(); got != f.ID() {
		t.Errorf("ID %q, want %q", got, f.ID())
	}

	var hashed int64
	var skipped string
	added, err := c.Add(t.Context(), "x/name", AddOptions{
		Progress: func(n int64) { hashed = n },
		Skip:     func(path, why string) { skipped = filepath.Base(path) + " " + why },
	})
	if err != nil || added.Name != "name" || hashed != 5 || skipped != ".git hidden" || !filepath.IsAbs(f.added) {
		t.Errorf("Add: %+v, %v; hashed %d, skipped %q, path %q", added, err, hashed, skipped, f.added)
	}

	hashed, skipped = 0, ""
	published, err := c.Publish(t.Context(), "x", PublishOptions{
		Name: "app", Out: "x.shoal", KeyFile: "key",
		Progress: func(n int64) { hashed = n },
		Skip:     func(path, why string) { skipped = filepath.Base(path) + " " + why },
	})
	if err != nil || published.Name != "app" || !filepath.IsAbs(published.Path) || hashed != 7 || skipped != ".x hidden" {
		t.Errorf("Publish: %+v, %v; hashed %d, skipped %q", published, err, hashed, skipped)
	}
	resolved, err := c.Resolve(t.Context(), "x.shoal", FetchOptions{From: []string{"k"}})
	if err != nil || !filepath.IsAbs(resolved.URL) || resolved.Signed.Name != "app" || !resolved.Trust.Since.Equal(time.Unix(1, 0)) || resolved.Target.Root.Defined() {
		t.Errorf("Resolve: %+v, %v", resolved, err)
	}

	var waiting string
	res, err := c.Fetch(t.Context(), target, FetchOptions{
		Output: "out", Class: policy.Economy, Timeout: time.Minute, Headers: []string{"A: b"},
		Progress: func(p Progress) { waiting = p.Waiting },
	})
	if err != nil || res.CID != helloRoot || !filepath.IsAbs(res.Path) || res.OriginReasons["start"] != 5 || waiting != "looking" {
		t.Errorf("Fetch: %+v, %v; waiting %q", res, err, waiting)
	}
	if f.last.Class != policy.Economy || f.last.Timeout != time.Minute || !reflect.DeepEqual(f.last.Headers, []string{"A: b"}) {
		t.Errorf("options arrived as %+v", f.last)
	}

	checks, err := c.Doctor(t.Context(), DoctorOptions{Origins: []string{"http://x"}, CA: "pem"})
	if want := (Check{"origin", CheckOK, "http://x", "pem"}); err != nil || len(checks) != 1 || checks[0] != want {
		t.Errorf("Doctor: %+v, %v; want %+v", checks, err, want)
	}

	var out bytes.Buffer
	if err := c.Cat(t.Context(), target, 1, -1, &out, FetchOptions{}); err != nil || !bytes.Equal(out.Bytes(), f.content[1:]) {
		t.Errorf("Cat gave %d bytes, %v; want %d", out.Len(), err, len(f.content)-1)
	}

	entries, err := c.List(t.Context(), target, FetchOptions{})
	if err != nil || len(entries) != 2*listBatch+1 || entries[listBatch].Name != "f1000" {
		t.Errorf("List gave %d entries, %v", len(entries), err)
	}

	var found []string
	err = c.Find(t.Context(), target, FetchOptions{}, func(p Provider) { found = append(found, p.ID) })
	if err != nil || strings.Join(found, "") != "ab" {
		t.Errorf("Find: %v, %v", found, err)
	}

	st, err := c.Status(t.Context())
	if err != nil || st.PeerID != "me" || st.Roots[0].Why.Code != "nobody" {
		t.Errorf("Status: %+v, %v", st, err)
	}

	var bad []Bad
	err = c.Verify(t.Context(), helloRoot, func(b Bad) { bad = append(bad, b) })
	if err != nil || len(bad) != 1 || bad[0].Piece != 3 || bad[0].CID != helloRoot {
		t.Errorf("Verify: %v, %v", bad, err)
	}
	if err := c.Unshare(t.Context(), helloRoot); err != nil {
		t.Error("Unshare:", err)
	}
}

// An error after the first byte of cat must not look like the end of the file.
func TestErrorAfterTheFirstByte(t *testing.T) {
	t.Parallel()
	target := testTarget(t)
	f := &fakeAPI{content: []byte("hello"), fail: fmt.Errorf("piece 7: %w", merkle.ErrMismatch)}
	c := serve(t, f)
	var out bytes.Buffer
	err := c.Cat(t.Context(), target, 0, -1, &out, FetchOptions{})
	if out.String() != "hello" || !errors.Is(err, merkle.ErrMismatch) || err.Error() != f.fail.Error() {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, fs.ErrClosed }

func TestCatSeesItsWriterFail(t *testing.T) {
	t.Parallel()
	c := serve(t, &fakeAPI{content: make([]byte, 8<<20)})
	if err := c.Cat(t.Context(), testTarget(t), 0, -1, failingWriter{}, FetchOptions{}); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsKeepTheirType(t *testing.T) {
	t.Parallel()
	target := testTarget(t)
	for _, s := range apiSentinels {
		got := encodeError(fmt.Errorf("while at it: %w", s.err)).decode()
		if !errors.Is(got, s.err) || got.Error() != "while at it: "+s.err.Error() {
			t.Errorf("%s came over as %v", s.kind, got)
		}
	}
	unavailable := &UnavailableError{Root: target.Root, Why: "nobody", Hint: "ask", Tried: []string{"x: refused"}, Liars: []string{"y"}}
	c := serve(t, &fakeAPI{fail: fmt.Errorf("get: %w", unavailable)})
	_, err := c.Fetch(t.Context(), target, FetchOptions{})
	if got, ok := errors.AsType[*UnavailableError](err); !ok || !reflect.DeepEqual(got, unavailable) || err.Error() != "get: "+unavailable.Error() {
		t.Errorf("got %#v, %v", got, err)
	}
	manifest := &ManifestError{Where: "x.shoal", Why: "old", Hint: "ask"}
	c = serve(t, &fakeAPI{fail: manifest})
	_, err = c.Resolve(t.Context(), "http://x/", FetchOptions{})
	if got, ok := errors.AsType[*ManifestError](err); !ok || !reflect.DeepEqual(got, manifest) {
		t.Errorf("got %#v, %v", got, err)
	}
	verification := &VerificationError{Root: target.Root, Why: "wrong", Liars: []string{"y"}}
	c = serve(t, &fakeAPI{fail: verification})
	_, err = c.Fetch(t.Context(), target, FetchOptions{})
	if got, ok := errors.AsType[*VerificationError](err); !ok || !reflect.DeepEqual(got, verification) {
		t.Errorf("got %#v, %v", got, err)
	}
}

func TestClientGoingAwayCancelsTheWork(t *testing.T) {
	t.Parallel()
	f := &fakeAPI{entered: make(chan struct{}), left: make(chan error, 1)}
	c := serve(t, f)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("user pressed Ctrl-C")
	done := make(chan error)
	go func() {
		_, err := c.Fetch(ctx, testTarget(t), FetchOptions{})
		done <- err
	}()
	<-f.entered
	cancel(why)
	if err := <-done; !errors.Is(err, why) {
		t.Errorf("client got %v, want %v", err, why)
	}
	if err := <-f.left; !errors.Is(err, context.Canceled) {
		t.Errorf("server saw %v", err)
	}
}

func TestStopEndsRequests(t *testing.T) {
	t.Parallel()
	f := &fakeAPI{entered: make(chan struct{}), left: make(chan error, 1)}
	dir := t.TempDir()
	stop, err := ServeAPI(t.Context(), dir, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := c.Status(t.Context())
		done <- err
	}()
	<-f.entered
	if err := stop(); err != nil {
		t.Error("stop:", err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "node stopped") {
		t.Errorf("client got %v", err)
	}
	if _, err := Dial(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Dial after stop: %v", err)
	}
}

func TestUnknownOptionIsRefused(t *testing.T) {
	t.Parallel()
	c := serve(t, &fakeAPI{})
	resp, err := c.http.Post("http://shoal/v1/status", "application/json", strings.NewReader(`{"later":1}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	last, err := readEvents(resp.Body, ignoreEvents)
	if err != nil || last.Error == nil || !errors.Is(last.Error.decode(), ErrUsage) {
		t.Errorf("got %+v, %v", last, err)
	}
	if err := c.call(t.Context(), "dance", apiRequest{}, nil, ignoreEvents); !errors.Is(err, ErrUsage) {
		t.Errorf("unknown verb: %v", err)
	}
}

func TestDialWithoutNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Dial(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("empty directory: %v", err)
	}
	if _, err := Dial(filepath.Join(dir, strings.Repeat("long", 40))); !errors.Is(err, ErrNotRunning) {
		t.Errorf("long path: %v", err)
	}
	deadSocket(t, dir)
	if _, err := Dial(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("dead socket: %v", err)
	}
}

// deadSocket leaves a socket file without a listener, as a killed node does.
func deadSocket(t *testing.T, dir string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socketPath(dir)})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestSocketFiles(t *testing.T) {
	t.Parallel()
	long := filepath.Join(t.TempDir(), strings.Repeat("d", 90))
	occupied := t.TempDir()
	if err := errors.Join(os.Mkdir(long, 0o700), os.WriteFile(socketPath(occupied), []byte("mine"), 0o600)); err != nil {
		t.Fatal(err)
	}
	stale := t.TempDir()
	deadSocket(t, stale)
	dangling := t.TempDir()
	if err := os.Symlink(filepath.Join(dangling, "gone"), socketPath(dangling)); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"long path": long, "stale": stale, "dangling link": dangling} {
		stop, err := ServeAPI(t.Context(), dir, &fakeAPI{}, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if info, err := os.Stat(socketPath(dir)); err != nil || info.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		if _, err := ServeAPI(t.Context(), dir, &fakeAPI{}, nil); !errors.Is(err, ErrRunning) {
			t.Errorf("%s: second node: %v", name, err)
		}
		if c, err := Dial(dir); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			c.Close()
		}
		if err := stop(); err != nil {
			t.Errorf("%s: stop: %v", name, err)
		}
		if _, err := os.Lstat(socketPath(dir)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: left behind: %v", name, err)
		}
	}
	if _, err := ServeAPI(t.Context(), occupied, &fakeAPI{}, nil); err == nil {
		t.Error("a file of the user was replaced")
	}
}

func TestReadEvents(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ in, want string }{
		"ends early":     {"{\"bytes\":1}\n", "unexpected EOF"},
		"cut line":       {"{\"bytes\":1}\n{\"en", "unexpected EOF"},
		"cut data":       {"{\"data\":4}\nabc", "unexpected EOF"},
		"too much data":  {"{\"data\":1048577}\n", "at most 1048576"},
		"negative data":  {"{\"data\":-1}\n", "at most"},
		"not JSON":       {"hello\n", "invalid character"},
		"data is passed": {"{\"data\":3}\nabc{\"end\":true}\n", ""},
	} {
		_, err := readEvents(strings.NewReader(tt.in), ignoreEvents)
		if got := fmt.Sprint(err); err == nil && tt.want != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

func (f *fakeAPI) SwarmInvite(ctx context.Context, opt InviteOptions) (string, error) {
	return fmt.Sprint("invite ", opt.Uses, opt.Roles, opt.Expires), f.outcome(ctx)
}

func (f *fakeAPI) SwarmMembers(ctx context.Context) ([]SwarmMember, error) {
	return []SwarmMember{{ID: "a"}, {ID: "b"}}, f.outcome(ctx)
}

func (f *fakeAPI) SwarmRevoke(ctx context.Context, which []string) error {
	f.added = strings.Join(which, " ")
	return f.outcome(ctx)
}
