package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/store"
)

// An update takes from the old version what stays, serves that until the switch,
// and only the new one after.
func TestUpdate(t *testing.T) {
	t.Parallel()
	a := start(t)
	b := start(t, through(a))
	one, two := tree(t, 40), tree(t, 41, 3, 30)
	v1, v2 := share(t, a, one, AddOptions{}), share(t, a, two, AddOptions{})
	opt := from(a)
	opt.Output, opt.Update = filepath.Join(t.TempDir(), "it"), true
	r, err := get(t, b, v1, opt)
	must(t, err)
	if r.Update != nil {
		t.Errorf("nothing stood there: %+v", r.Update)
	}
	announced := func() bool {
		at, _ := b.announcer.Announced(v1.Root)
		return !at.IsZero()
	}
	soon(t, "the old version is announced", announced)
	opt.Progress = func(Progress) {
		if _, err := os.Lstat(filepath.Join(opt.Output, "file003")); err != nil {
			t.Error(err) // at no time is there neither version
		}
	}
	r, err = get(t, b, v2, opt)
	must(t, err)
	checkSameTree(t, r.Path, two)
	if want := (Update{Added: 1, Changed: 2, Same: 38}); r.Update == nil || *r.Update != want {
		t.Errorf("update %+v, want %+v", r.Update, want)
	}
	if r.From.LAN.Bytes != 300_000 {
		t.Errorf("from %+v; want what is new from the peer", r.From)
	}
	if _, err := b.store.Root(v1.Root); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the old root: %v", err)
	}
	if announced() {
		t.Error("the old version is still announced")
	}
	// Others get the new version from it, and the old one from the first alone.
	c := start(t)
	r, err = get(t, c, v2, from(b))
	must(t, err)
	checkSameTree(t, r.Path, two)
	if _, held := (*library)(b).Held(t.Context(), v1.Root); held {
		t.Error("the old version is still served")
	}
	for bad, err := range b.store.Verify(t.Context(), cid.Undef) {
		t.Errorf("bad: %+v, %v", bad, err)
	}
}

// What fails or is refused leaves the old version as it was.
func TestUpdateFails(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t)
	one, two := tree(t, 5), tree(t, 5, 3)
	v1, v2 := share(t, a, one, AddOptions{}), share(t, a, two, AddOptions{})
	opt := from(a)
	opt.Output, opt.Update = filepath.Join(t.TempDir(), "it"), true
	_, err := get(t, b, v1, opt)
	must(t, err)
	if _, err := start(t).Fetch(t.Context(), v2, opt); !errors.Is(err, store.ErrOwn) {
		t.Errorf("a node that does not know the old version: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(opt.Output, "mine"), []byte("mine"), 0o644))
	if _, err := b.Fetch(t.Context(), v2, opt); !errors.Is(err, store.ErrOwn) {
		t.Errorf("with an entry of the user's: %v", err)
	}
	must(t, os.Remove(filepath.Join(opt.Output, "mine")))
	checkSameTree(t, opt.Output, one)
	r, err := get(t, b, v2, opt)
	must(t, err)
	checkSameTree(t, r.Path, two)
	// Back again, but nobody gives what is missing.
	must(t, a.Close())
	opt.Timeout = time.Second
	_, err = b.Fetch(t.Context(), v1, opt)
	as[*UnavailableError](t, err)
	checkSameTree(t, opt.Output, two)
	if r, err := b.store.Root(v2.Root); err != nil || r.State != store.Complete {
		t.Errorf("what stands there: %+v, %v", r, err)
	}
}
