package cdnfallback

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
	"github.com/shoal-p2p/shoal/merkle"
)

// raw is the CID of b as a raw block.
func raw(t *testing.T, b []byte) cid.Cid {
	t.Helper()
	h, err := mh.Sum(b, mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, h)
}

func TestGatewayBase(t *testing.T) {
	t.Parallel()
	const c = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
	tests := map[string]struct {
		base   string
		shaped bool
	}{
		"":                      {"", false},
		"/":                     {"", false},
		"/ipfs":                 {"", true},
		"/ipfs/":                {"", true},
		"/ipfs/" + c:            {"", true},
		"/ipfs/" + c + "/a/b":   {"", true},
		"/p/q/ipfs/" + c:        {"/p/q", true},
		"/p%20q/ipfs":           {"/p%20q", true},
		"/ipfs/ipfs/" + c:       {"/ipfs", true},
		"/ipfs/kubo.tar.gz":     {"/ipfs/kubo.tar.gz", false},
		"/ipfs/QmNot/ipfs/" + c: {"/ipfs/QmNot", true},
		"/dir/":                 {"/dir", false},
		"/notipfs":              {"/notipfs", false},
		"/ipfs/QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n": {"", true},
	}
	for path, want := range tests {
		u, err := url.Parse("https://gw.example" + path)
		if err != nil {
			t.Fatal(err)
		}
		if base, shaped := gatewayBase(u); base != want.base || shaped != want.shaped {
			t.Errorf("%s: got %q, %v; want %q, %v", path, base, shaped, want.base, want.shaped)
		}
	}
}

func TestKind(t *testing.T) {
	t.Parallel()
	block := []byte("a block")
	c := raw(t, block)
	everything := func(kind, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Write([]byte(body))
		})
	}
	gateway := origintest.New()
	gateway.Block(c, block)
	noProbe := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "bafkqaaa") {
			http.NotFound(w, r)
			return
		}
		gateway.ServeHTTP(w, r)
	})
	tests := map[string]struct {
		h     http.Handler
		path  string
		want  Kind
		asked bool // a request is needed to know
	}{
		"file":               {gateway, "/x.iso", File, false},
		"tree":               {gateway, "/x/", Tree, false},
		"host, a query":      {gateway, "/?sig=1", Tree, false},
		"ipfs":               {gateway, "/ipfs", Gateway, false},
		"ipfs and CID":       {gateway, "/ipfs/" + c.String(), Gateway, false},
		"host of a gateway":  {gateway, "", Gateway, true},
		"host with a slash":  {gateway, "/", Gateway, true},
		"no probe":           {noProbe, "", Gateway, true},
		"host of files":      {origintest.New(), "", Tree, true},
		"page for all":       {everything("text/html", "hello"), "", Tree, true},
		"bytes for all":      {everything("application/octet-stream", "hello"), "", Tree, true},
		"empty for all":      {everything("application/octet-stream", ""), "", Tree, true},
		"gateway that lies":  {everything(rawBlock, "hello"), "", Tree, true},
		"refuses everything": {everything("", ""), "", Tree, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			o := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				tt.h.ServeHTTP(w, r)
			}), tt.path)
			for range 2 {
				if got, err := o.Kind(t.Context(), c); err != nil || got != tt.want {
					t.Errorf("got %v, %v; want %v", got, err, tt.want)
				}
			}
			if most := 2; asked > most || asked > 0 != tt.asked {
				t.Errorf("%d requests", asked)
			}
		})
	}
}

// What says nothing about the origin decides nothing.
func TestKindIsAskedAgain(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	site.Block(raw(t, []byte("x")), []byte("x"))
	o := serve(t, site, "")
	site.SetFault(origintest.Fault{Status: 503})
	if k, err := o.Kind(t.Context(), cid.Undef); !errors.Is(err, ErrBusy) || k != Unknown {
		t.Errorf("busy: got %v, %v", k, err)
	}
	site.SetFault(origintest.Fault{})
	if k, err := o.Kind(t.Context(), cid.Undef); err != nil || k != Gateway {
		t.Errorf("not busy: got %v, %v", k, err)
	}
}

func TestBlock(t *testing.T) {
	t.Parallel()
	small, large := []byte("a block"), noise(merkle.MaxBlock)
	v1, big := raw(t, small), raw(t, large)
	v0 := cid.NewCidV0(v1.Hash())
	tests := map[string]struct {
		path  string
		c     cid.Cid
		fault origintest.Fault
		want  []byte
		kind  error
	}{
		"host":            {"", v1, origintest.Fault{}, small, nil},
		"ipfs":            {"/ipfs/", v1, origintest.Fault{}, small, nil},
		"CID":             {"/ipfs/" + v1.String() + "/a?x=y", v1, origintest.Fault{}, small, nil},
		"CIDv0":           {"/ipfs", v0, origintest.Fault{}, small, nil},
		"largest":         {"", big, origintest.Fault{}, large, nil},
		"no length":       {"", big, origintest.Fault{Short: 1 << 30}, large, nil},
		"octets":          {"", v1, origintest.Fault{Type: "application/octet-stream"}, small, nil},
		"parameters":      {"", v1, origintest.Fault{Type: "application/vnd.ipld.raw; x=y"}, small, nil},
		"redirect":        {"", v1, origintest.Fault{Redirect: "?format=raw&again", Once: true}, small, nil},
		"not there":       {"", raw(t, []byte("y")), origintest.Fault{}, nil, ErrGone},
		"page":            {"", v1, origintest.Fault{Type: "text/html"}, nil, ErrNotBlock},
		"CAR":             {"", v1, origintest.Fault{Type: "application/vnd.ipld.car"}, nil, ErrNotBlock},
		"type unreadable": {"", v1, origintest.Fault{Type: ";;"}, nil, ErrNotBlock},
		"too large":       {"", big, origintest.Fault{Length: 1}, nil, ErrWrongLength},
		"endless":         {"", big, origintest.Fault{Endless: true}, nil, ErrWrongLength},
		"cut":             {"", big, origintest.Fault{Cut: 1 << 20}, nil, ErrTruncated},
		"encoded":         {"", v1, origintest.Fault{Gzip: true}, nil, ErrEncoding},
		"part":            {"", v1, origintest.Fault{Status: 206}, nil, ErrRange},
		"busy":            {"", v1, origintest.Fault{Status: 429}, nil, ErrBusy},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := origintest.New()
			site.Block(v1, small)
			site.Block(big, large)
			site.SetFault(tt.fault)
			o := serve(t, site, tt.path)
			got, err := o.Block(t.Context(), tt.c)
			if !errors.Is(err, tt.kind) || !bytes.Equal(got, tt.want) {
				t.Errorf("got %d bytes, %v; want %d, %v", len(got), err, len(tt.want), tt.kind)
			}
			r := site.Requests()[0]
			if want := "/ipfs/" + tt.c.String(); r.Path != want || !strings.Contains(r.Query, "format=raw") || r.Header.Get("Accept") != rawBlock {
				t.Errorf("asked for %s?%s with Accept %q, want %s", r.Path, r.Query, r.Header.Get("Accept"), want)
			}
		})
	}
}

// A gateway that looks for the content longer than we wait is a gateway.
func TestKindOfASlowGateway(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	c := raw(t, []byte("x"))
	site.Block(c, []byte("x"))
	site.SetFault(origintest.Fault{HangHeader: true, Only: func(r *http.Request) bool {
		return strings.Contains(r.URL.Path, c.String())
	}})
	o := serve(t, site, "", func(c *Config) { c.HeaderTimeout = time.Minute })
	if k, err := o.Kind(t.Context(), c); err != nil || k != Gateway {
		t.Errorf("got %v, %v", k, err)
	}
}
