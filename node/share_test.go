package node

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/store"
)

// change changes a byte of a file and keeps its size and time.
func change(t *testing.T, path string, at int64) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	must(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b, at)
	must(t, err)
	must(t, f.Close())
	must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
}

// A file that was changed behind the node's back is never served wrong: what is
// bad is withdrawn, and comes from another.
func TestChangedFileIsNotServed(t *testing.T) {
	t.Parallel()
	data := noise(150, 4*mib)
	path := put(t, "data.bin", data)
	a, b, c := start(t), start(t), start(t)
	target := share(t, a, path, AddOptions{})
	change(t, path, 2*mib+7)
	opt := from(a)
	opt.Timeout = 2 * time.Second
	_, err := get(t, b, target, opt)
	if e := as[*UnavailableError](t, err); len(e.Liars) != 0 {
		t.Errorf("liars %v; want none, since nothing wrong was sent", e.Liars)
	}
	// With somebody else who has the piece, B ends.
	share(t, c, put(t, "again.bin", data), AddOptions{})
	r := mustGet(t, b, target, from(a, c), data)
	if r.Rejected != 0 {
		t.Errorf("%d bytes rejected; want none", r.Rejected)
	}
}

func TestVerifyFindsChangedFile(t *testing.T) {
	t.Parallel()
	path := put(t, "data.bin", noise(151, 3*mib))
	n := start(t)
	target := share(t, n, path, AddOptions{})
	share(t, n, put(t, "good.bin", noise(152, mib)), AddOptions{})
	var bad []Bad
	verify := func(root string) {
		t.Helper()
		bad = nil
		must(t, n.Verify(t.Context(), root, func(b Bad) { bad = append(bad, b) }))
	}
	if verify(""); len(bad) != 0 {
		t.Fatalf("bad before any change: %+v", bad)
	}
	change(t, path, mib+5)
	if verify(""); len(bad) != 1 || bad[0].CID != target.Root.String() || bad[0].Piece != 1 || bad[0].Error == "" || filepath.Base(bad[0].Path) != "data.bin" {
		t.Errorf("bad %+v; want piece 1 of %v", bad, target.Root)
	}
	s, err := n.Status(t.Context())
	must(t, err)
	for _, r := range s.Roots {
		if want := r.CID != target.Root.String(); (r.State == "complete") != want {
			t.Errorf("root %+v; want complete %v", r, want)
		}
	}
	if err := n.Verify(t.Context(), "nonsense", nil); !errors.Is(err, ErrUsage) {
		t.Errorf("Verify of nonsense: %v; want ErrUsage", err)
	}
}

// A peer in the middle of a download gets no more of what is unshared.
func TestUnshareWhileServing(t *testing.T) {
	t.Parallel()
	a, b := start(t, upload("2MB/s")), start(t)
	target := share(t, a, put(t, "data.bin", noise(156, 6*mib)), AddOptions{})
	some, hasSome := once()
	opt := from(a)
	opt.Timeout = 5 * time.Second // long enough for the first piece on a busy machine
	opt.Progress = func(p Progress) {
		if p.Have > 0 {
			hasSome()
		}
	}
	ended := make(chan error, 1)
	atB := begin(t, b, target, opt)
	go func() {
		_, err := atB()
		ended <- err
	}()
	select {
	case <-some:
	case err := <-ended:
		t.Fatalf("ended before it had any: %v", err)
	}
	must(t, a.Unshare(t.Context(), target.Root.String()))
	err := <-ended
	if e := as[*UnavailableError](t, err); len(e.Liars) != 0 {
		t.Errorf("liars %v; want none", e.Liars)
	}
}

func TestUnshareStopsServing(t *testing.T) {
	t.Parallel()
	data := noise(153, 2*mib)
	path := put(t, "data.bin", data)
	a, b := start(t), start(t)
	target := share(t, a, path, AddOptions{})
	other := start(t)
	mustGet(t, other, target, from(a), data)
	must(t, other.Close()) // else B would find it there
	must(t, a.Unshare(t.Context(), target.Root.String()))
	opt := from(a)
	opt.Timeout = time.Second
	_, err := get(t, b, target, opt)
	as[*UnavailableError](t, err)
	if got, err := os.ReadFile(path); err != nil || len(got) != len(data) {
		t.Errorf("the file is not as it was: %d bytes, %v", len(got), err)
	}
	if err := a.Unshare(t.Context(), target.Root.String()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Unshare again: %v; want store.ErrNotFound", err)
	}
	// Sharing it again serves it again.
	share(t, a, path, AddOptions{})
	mustGet(t, b, target, from(a), data)
}

// A peer that asks while nothing is here learns of it when it is added.
func TestShareWhilePeersWait(t *testing.T) {
	t.Parallel()
	data := noise(154, 2*mib)
	path := put(t, "data.bin", data)
	target, _ := hash(t, path, AddOptions{})
	a, b := start(t), start(t)
	asked, hasAsked := once()
	opt := from(a)
	opt.Progress = func(p Progress) {
		if p.Waiting != "" {
			hasAsked()
		}
	}
	atB := begin(t, b, target, opt)
	<-asked
	share(t, a, path, AddOptions{})
	r, err := atB()
	must(t, err)
	checkFile(t, r, data)
}

func TestFindNamesProviders(t *testing.T) {
	t.Parallel()
	c := start(t)
	a := start(t, through(c))
	target := share(t, a, put(t, "data.bin", noise(155, 100)), AddOptions{})
	b := start(t, through(c))
	soon(t, "B finds A", func() bool {
		found := false
		must(t, b.Find(t.Context(), target, FetchOptions{Timeout: 2 * time.Second}, func(p Provider) {
			found = found || p.ID == a.ID() && len(p.Addrs) > 0
		}))
		return found
	})
}

// A link names addresses that mean something on another machine.
func TestLinkable(t *testing.T) {
	t.Parallel()
	near, far := ma.StringCast("/ip4/127.0.0.1/tcp/7461"), ma.StringCast("/ip4/192.168.1.5/tcp/7461")
	for _, c := range []struct{ have, want []ma.Multiaddr }{
		{nil, nil},
		{[]ma.Multiaddr{near}, []ma.Multiaddr{near}},
		{[]ma.Multiaddr{near, far}, []ma.Multiaddr{far}},
	} {
		if got := linkable(c.have); !slices.EqualFunc(got, c.want, ma.Multiaddr.Equal) {
			t.Errorf("of %v: %v, want %v", c.have, got, c.want)
		}
	}
}
