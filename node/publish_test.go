package node

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback"
	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// edition is a file that was published, at an origin on this machine.
type edition struct {
	Published
	data []byte
	url  string // of the content; the manifest stands beside it
	site *origintest.Origin
}

// publish signs data by a new key and puts both at an origin.
func publish(t testing.TB, seed uint64, size int) edition {
	t.Helper()
	dir, e := t.TempDir(), edition{data: noise(seed, size), site: origintest.New()}
	srv := httptest.NewServer(e.site)
	t.Cleanup(srv.Close)
	e.url = srv.URL + "/app.bin"
	key := filepath.Join(dir, "key")
	if _, err := CreateKey(key); err != nil {
		t.Fatal(err)
	}
	var err error
	e.Published, err = start(t, func(c *Config) { c.Offline = true }).Publish(t.Context(), put(t, "app.bin", e.data),
		PublishOptions{KeyFile: key, Out: filepath.Join(dir, "app.shoal"), Origins: []string{e.url}})
	must(t, err)
	manifest, err := os.ReadFile(e.Path)
	must(t, err)
	e.site.Text("/app.bin", string(e.data))
	e.site.Text("/app.bin.shoal", string(manifest))
	return e
}

// resolved is the edition as a node reads it at its URL.
func resolved(t testing.TB, n *Node, e edition) (merkle.Target, FetchOptions) {
	t.Helper()
	r, err := n.Resolve(t.Context(), e.url, FetchOptions{})
	must(t, err)
	return r.Target, FetchOptions{Signed: r.Signed, Origins: r.Origins}
}

func holds(n *Node, e edition) bool {
	target, err := merkle.ParseTarget(e.CID)
	if err != nil {
		return false
	}
	r, err := n.store.Root(target.Root)
	return err == nil && r.State == store.Complete
}

// What a manifest brings is used: no other request than for the content is made.
func TestGetByManifest(t *testing.T) {
	t.Parallel()
	e, n := publish(t, 1, 2*mib+5), start(t)
	target, opt := resolved(t, n, e)
	res := mustGet(t, n, target, opt, e.data)
	if !res.Verified || res.Signed == nil || *res.Signed != e.Signed || res.From.Origin.Bytes != int64(len(e.data)) {
		t.Errorf("result %+v, signed %+v; want %+v", res, res.Signed, e.Signed)
	}
	for _, r := range e.site.Requests()[1:] { // the first is for the manifest
		if strings.HasSuffix(r.Path, ".shoal") {
			t.Errorf("the manifest is fetched again: %+v", r)
		}
	}
}

// An origin that a manifest names is not dialled on this machine, unless the
// manifest came from here or the user names it.
func TestManifestFromFarAway(t *testing.T) {
	t.Parallel()
	e, n := publish(t, 2, mib+5), start(t)
	f, err := os.Open(e.Path)
	must(t, err)
	defer f.Close()
	v, err := parseShoal(e.Path, f) // as if a public server had given it
	must(t, err)
	r, err := n.accept(v, e.Path, "cdn.example.com", FetchOptions{})
	must(t, err)
	opt := FetchOptions{Signed: r.Signed, Timeout: time.Second}
	_, err = get(t, n, r.Target, opt)
	as[*UnavailableError](t, err)
	if !strings.Contains(err.Error(), cdnfallback.ErrPrivate.Error()) || len(e.site.Requests()) != 0 {
		t.Errorf("%v, after %d requests", err, len(e.site.Requests()))
	}
	opt.Origins = []string{e.url}
	mustGet(t, n, r.Target, opt, e.data)
}

// Whom a node trusts outlives it.
func TestTrustIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := publish(t, 3, 10), publish(t, 4, 10)
	read := func(path string, from ...string) error {
		n := start(t, in(dir), func(c *Config) { c.Offline = true })
		defer n.Close()
		f, err := os.Open(path)
		must(t, err)
		defer f.Close()
		v, err := parseShoal(path, f)
		must(t, err)
		_, err = n.accept(v, path, "cdn.example.com", FetchOptions{From: from})
		return err
	}
	must(t, read(a.Path))
	must(t, read(a.Path))
	as[*ManifestError](t, read(b.Path))
	must(t, read(b.Path, b.Publisher))
	as[*ManifestError](t, read(a.Path))
	as[*ManifestError](t, read(b.Path, a.Publisher))
}

func TestJudge(t *testing.T) {
	t.Parallel()
	now, then := time.Unix(2e9, 0), time.Unix(1e9, 0)
	signed := func(by byte, sequence uint64, content string) *merkle.Signed {
		return &merkle.Signed{Publisher: merkle.Publisher{by}, Manifest: merkle.Manifest{Sequence: sequence, Root: rootOf(content)}}
	}
	id := func(by byte) string { return merkle.Publisher{by}.String() }
	old := &trusted{Publisher: id(1), Since: then, Sequence: 5, Root: rootOf("five").String(), Seen: then}
	for name, c := range map[string]struct {
		old    *trusted
		s      *merkle.Signed
		from   []string
		why    string // of the refusal
		before string
		next   trusted
	}{
		"first use":           {nil, signed(1, 1, "x"), nil, "", "", trusted{id(1), now, 1, rootOf("x").String(), now}},
		"first, as --from":    {nil, signed(1, 1, "x"), []string{id(1)}, "", "", trusted{id(1), now, 1, rootOf("x").String(), now}},
		"first, not --from":   {nil, signed(1, 1, "x"), []string{id(2)}, "not the key given by --from", "", trusted{}},
		"the same":            {old, signed(1, 5, "five"), nil, "", "", *old},
		"newer":               {old, signed(1, 6, "six"), nil, "", "", trusted{id(1), then, 6, rootOf("six").String(), now}},
		"older":               {old, signed(1, 4, "four"), nil, "it is old", "", trusted{}},
		"older, --from":       {old, signed(1, 4, "four"), []string{id(1)}, "", "the newer sequence 5", trusted{id(1), then, 4, rootOf("four").String(), now}},
		"two of one number":   {old, signed(1, 5, "other"), nil, "two versions", "", trusted{}},
		"another key":         {old, signed(2, 9, "x"), nil, "has been trusted since 2001-09-0", "", trusted{}},
		"another, --from old": {old, signed(2, 9, "x"), []string{id(1)}, "not the key given by --from", "", trusted{}},
		"another, --from":     {old, signed(2, 1, "x"), []string{id(3), id(2)}, "", "the key " + id(1), trusted{id(2), now, 1, rootOf("x").String(), now}},
	} {
		next, before, err := judge(now, c.old, c.s, c.from)
		if c.why == "" && (err != nil || next != c.next) || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%s: %+v, %v", name, next, err)
		}
		if c.why == "" && !strings.HasPrefix(before, c.before) || c.before == "" && c.why == "" && before != "" {
			t.Errorf("%s: before %q", name, before)
		}
	}
}

// Little of what was read is kept, the newest last.
func TestManifestsKept(t *testing.T) {
	t.Parallel()
	var m manifests
	for i := range 3 * maxManifests {
		m.put(&vouched{root: rootOf(string(rune('a' + i)))})
	}
	if len(m.last) != maxManifests || m.get(rootOf("a")) != nil || m.get(rootOf(string(rune('a'+3*maxManifests-1)))) == nil {
		t.Errorf("%d are kept", len(m.last))
	}
	m.put(&vouched{root: rootOf("large"), tree: []merkle.Block{{Data: make([]byte, maxManifestBytes+1)}}})
	if len(m.last) != 1 {
		t.Errorf("%d are kept beside a large one", len(m.last)-1)
	}
}

// A key file is the owner's alone, is not overwritten, and gives its key again.
func TestKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	p, err := CreateKey(path)
	must(t, err)
	key, again, err := ReadKey(path)
	if err != nil || again != p || !bytes.Equal(key[ed25519.SeedSize:], p[:]) {
		t.Errorf("%v is read as %v, %v", p, again, err)
	}
	if _, err := CreateKey(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second key: %v", err)
	}
	if _, _, err := ReadKey(put(t, "no", []byte("key"))); !errors.Is(err, ErrUsage) {
		t.Errorf("no key: %v", err)
	}
}
