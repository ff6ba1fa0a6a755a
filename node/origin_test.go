package node

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
)

// checkOriginAlone makes sure that all bytes came from one origin, about once.
func checkOriginAlone(t *testing.T, r *Result, served int64) {
	t.Helper()
	if r.From.Origin.Bytes != r.Size || r.From.Origin.Peers != 1 || len(r.Origins) != 1 {
		t.Errorf("from %+v, origins %v; want all from one origin", r.From, r.Origins)
	}
	var sum int64
	for _, n := range r.OriginReasons {
		sum += n
	}
	if sum != r.From.Origin.Bytes {
		t.Errorf("reasons %v have %d bytes; want %d", r.OriginReasons, sum, r.From.Origin.Bytes)
	}
	if limit := r.Size + r.Size/10 + 4096; served > limit {
		t.Errorf("the origin sent %d bytes for %d", served, r.Size)
	}
}

// A plain file on a server with its tree beside it.
func TestFetchFromOrigin(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"unixfs-v1-2025", "unixfs-v0-2015"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			data := noise(50, 3*mib+99)
			target, tree := hash(t, put(t, "data.bin", data), AddOptions{Profile: profile})
			o, url := origin(t, "data.bin", data, tree)
			r := mustGet(t, start(t), target, FetchOptions{Origins: []string{url}}, data)
			checkOriginAlone(t, r, o.Served())
		})
	}
}

// What was fetched from an origin is served to peers.
func TestServeWhatOriginGave(t *testing.T) {
	t.Parallel()
	data := noise(51, 2*mib)
	target, tree := hash(t, put(t, "data.bin", data), AddOptions{})
	_, url := origin(t, "data.bin", data, tree)
	a, b := start(t), start(t)
	mustGet(t, a, target, FetchOptions{Origins: []string{url}}, data)
	r := mustGet(t, b, target, from(a), data)
	if r.From.LAN.Bytes != r.Size {
		t.Errorf("from %+v; want all from the LAN", r.From)
	}
}

// serveDir serves the files below dir as /name/…, and the tree beside it.
func serveDir(t *testing.T, name, dir string, tree []byte) (*origintest.Origin, string) {
	t.Helper()
	o, url := origin(t, name, nil, tree)
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		o.Text("/"+name+"/"+filepath.ToSlash(rel), string(data))
		return err
	}))
	return o, url
}

func TestFetchDirectoryFromOrigin(t *testing.T) {
	t.Parallel()
	src := makeTree(t)
	target, tree := hash(t, src, AddOptions{Modes: true})
	_, url := serveDir(t, "tree", src, tree)
	for _, slash := range []string{"", "/"} {
		r, err := get(t, start(t), target, FetchOptions{Origins: []string{url + slash}})
		must(t, err)
		checkSameTree(t, r.Path, src)
	}
	below := target
	below.Path = "a/b"
	r, err := get(t, start(t), below, FetchOptions{Origins: []string{url}})
	must(t, err)
	checkSameTree(t, r.Path, filepath.Join(src, "a/b"))
}

// blocksOf puts every block of what n holds of a root on a gateway.
func blocksOf(t *testing.T, n *Node, root cid.Cid) *origintest.Origin {
	t.Helper()
	held, ok := (*library)(n).Held(t.Context(), root)
	if !ok {
		t.Fatalf("%v is not held", root)
	}
	o := origintest.New()
	for _, c := range held.Tree {
		b, err := n.block(c)
		must(t, err)
		o.Block(c, b)
	}
	for _, p := range held.Table.Pieces {
		b, err := n.store.ReadPiece(t.Context(), p.Key, nil)
		must(t, err)
		o.Block(p.Key.CID(), b)
	}
	return o
}

func TestFetchFromGateway(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"unixfs-v1-2025", "unixfs-v0-2015"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			src := makeTree(t)
			a := start(t)
			target := share(t, a, src, AddOptions{Profile: profile, Modes: true})
			o := blocksOf(t, a, target.Root)
			url := serveOrigin(t, o)
			r, err := get(t, start(t), target, FetchOptions{Origins: []string{url}})
			must(t, err)
			checkSameTree(t, r.Path, src)
			below := target
			below.Path = "a/b/c/deep.bin"
			r, err = get(t, start(t), below, FetchOptions{Origins: []string{url}})
			must(t, err)
			checkSameTree(t, r.Path, filepath.Join(src, below.Path))
		})
	}
}

// An origin that sends whole files only is read from the start.
func TestOriginWithoutRanges(t *testing.T) {
	t.Parallel()
	data := noise(53, 8*mib+1)
	target, tree := hash(t, put(t, "data.bin", data), AddOptions{})
	o, url := origin(t, "data.bin", data, tree)
	o.SetFault(origintest.Fault{NoRange: true, Only: notTree})
	r := mustGet(t, start(t), target, FetchOptions{Origins: []string{url}}, data)
	if r.From.Origin.Bytes != r.Size || r.Rejected != 0 {
		t.Errorf("from %+v, %d bytes rejected; want all from the origin", r.From, r.Rejected)
	}
}

// Headers go to the origin of the command, and so do those of a target's own.
func TestOriginHeaders(t *testing.T) {
	t.Parallel()
	data := noise(52, 1000)
	target, _ := hash(t, put(t, "data.bin", data), AddOptions{})
	o, _ := origin(t, "data.bin", data, nil)
	guard := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") != "secret" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		o.ServeHTTP(w, r)
	})
	url := serveOrigin(t, guard) + "/data.bin"
	mustGet(t, start(t), target, FetchOptions{Origins: []string{url}, Headers: []string{"X-Key: secret"}}, data)
	_, err := get(t, start(t), target, FetchOptions{Origins: []string{url}, Timeout: 3 * time.Second})
	if e := as[*UnavailableError](t, err); !strings.Contains(strings.Join(e.Tried, " "), "refused") {
		t.Errorf("tried %q; want that access was refused", e.Tried)
	}
}
