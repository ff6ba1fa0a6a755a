package cdnfallback

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
	"github.com/shoal-p2p/shoal/merkle"
)

// Names of a tree reach the server as they are, below any form of URL.
func TestPaths(t *testing.T) {
	t.Parallel()
	names := []string{
		"a", "a b/c", "100%/%2f", "q?x=1", "h#1", "ü/日本", "a:b", "...", "+&=;,@$!'()*~", "\xff", "back\\slash", "index.htm",
	}
	site := origintest.New()
	for _, name := range names {
		site.Text("/dir/"+name, "bytes of "+name)
		site.Text("/"+name, "bytes of "+name)
	}
	for _, base := range []string{"/dir", "/dir/", "", "/", "/dir?token=1"} {
		o := serve(t, site, base)
		for _, name := range names {
			want := "bytes of " + name
			got, err := read(t.Context(), o, name, 3, int64(len(want)-3), Validator{Size: int64(len(want))})
			if err != nil || string(got) != want[3:] {
				t.Errorf("%q below %q: got %q, %v", name, base, got, err)
			}
		}
	}
	for _, r := range site.Requests()[len(site.Requests())-len(names):] {
		if r.Query != "token=1" {
			t.Errorf("%s: the query is %q", r.Path, r.Query)
		}
	}
}

func TestRangeRefusesNonsense(t *testing.T) {
	t.Parallel()
	o, err := New(Config{URL: "http://cdn.example.com/d", Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("a request is sent")
		return nil, errors.New("no")
	})})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/."} {
		if _, err := o.Range(t.Context(), path, 0, 1, Validator{}); err == nil {
			t.Errorf("path %q is taken", path)
		}
	}
	for _, s := range []asked{{-1, 1}, {0, 0}, {0, -1}, {5, 6}, {1<<63 - 1, 1}} {
		if _, err := o.Range(t.Context(), "", s.off, s.n, Validator{Size: 10}); err == nil {
			t.Errorf("%d bytes from %d of 10 are taken", s.n, s.off)
		}
	}
}

func TestDisplay(t *testing.T) {
	t.Parallel()
	o, err := New(Config{URL: "HTTPS://ann:x@CDN.example.com:8443/a%20b/c?t=1#f"})
	if err != nil {
		t.Fatal(err)
	}
	if o.Host() != "CDN.example.com:8443" || o.String() != "https://CDN.example.com:8443/a%20b/c" {
		t.Errorf("got %s, %s", o.Host(), o)
	}
	e := &Error{Origin: "h", Status: 429, Kind: ErrBusy, RetryAfter: 5e9, Err: errors.New("why")}
	if want := "origin h: busy (HTTP 429): why (it asks to wait 5s)"; e.Error() != want {
		t.Errorf("got %q, want %q", e, want)
	}
}

// net/http's file server sends /index.html on to its directory, which is where
// the file's bytes are.
func TestFileServer(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"d/index.html": {Data: []byte("<p>hello")}, "d/a b": {Data: []byte("bytes")}}
	for _, base := range []string{"/d", "/d/"} {
		o := serve(t, http.FileServerFS(files), base)
		if got, err := read(t.Context(), o, "index.html", 3, 5, Validator{Size: 8}); err != nil || string(got) != "hello" {
			t.Errorf("%s: got %q, %v", base, got, err)
		}
		if got, err := read(t.Context(), o, "a b", 0, 5, Validator{Size: 5}); err != nil || string(got) != "bytes" {
			t.Errorf("%s: got %q, %v", base, got, err)
		}
	}
}

// What an origin said about ranges last is what holds.
func TestNoRanges(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	site.Text("/f", "0123456789")
	o := serve(t, site, "/f")
	for _, whole := range []bool{false, true, false} {
		site.SetFault(origintest.Fault{NoRange: whole})
		got, err := read(t.Context(), o, "", 4, 3, Validator{Size: 10})
		if err != nil || string(got) != "456" || o.NoRanges() != whole {
			t.Errorf("got %q, %v, NoRanges %v; want %v", got, err, o.NoRanges(), whole)
		}
	}
}

// Ranges read to their end share a connection.
func TestConnectionIsKept(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	site.Text("/f", "0123456789")
	from := map[string]bool{}
	o := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from[r.RemoteAddr] = true
		site.ServeHTTP(w, r)
	}), "/f")
	for i := range int64(8) {
		if _, err := read(t.Context(), o, "", i, 2, Validator{Size: 10}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // the answer has a short body
		if _, err := read(t.Context(), o, "none", 0, 2, Validator{Size: 10}); !errors.Is(err, ErrGone) {
			t.Fatal(err)
		}
	}
	if len(from) != 1 {
		t.Errorf("11 requests came over %d connections", len(from))
	}
}

func TestShoalFile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		base, at string
		itself   bool
		fault    origintest.Fault
		kind     error
	}{
		"itself":             {base: "/x.shoal?t=1", at: "/x.shoal", itself: true},
		"beside a file":      {base: "/x.iso", at: "/x.iso.shoal"},
		"beside a directory": {base: "/dir/", at: "/dir.shoal"},
		"with a query":       {base: "/x.iso?t=1", at: "/x.iso.shoal"},
		"of the host":        {base: "", at: "/.shoal"},
		"no length":          {base: "/x", at: "/x.shoal", fault: origintest.Fault{Short: 1 << 20}},
		"none":               {base: "/x", at: "/y", kind: ErrGone},
		"page":               {base: "/x", at: "/x.shoal", fault: origintest.Fault{Type: "text/html; charset=utf-8"}, kind: ErrGone},
		"too large":          {base: "/x", at: "/x.shoal", fault: origintest.Fault{Length: merkle.MaxSigned}, kind: ErrWrongLength},
		"endless":            {base: "/x", at: "/x.shoal", fault: origintest.Fault{Endless: true}, kind: ErrWrongLength},
		"cut":                {base: "/x", at: "/x.shoal", fault: origintest.Fault{Cut: 3}, kind: ErrTruncated},
		"encoded":            {base: "/x", at: "/x.shoal", fault: origintest.Fault{Gzip: true}, kind: ErrEncoding},
		"part":               {base: "/x", at: "/x.shoal", fault: origintest.Fault{Status: 206}, kind: ErrRange},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := origintest.New()
			site.Text(tt.at, "the tree")
			site.SetFault(tt.fault)
			o := serve(t, site, tt.base)
			r, near, err := o.ShoalFile(t.Context(), !tt.itself)
			var got int64
			var text strings.Builder
			if err == nil {
				defer r.Close()
				if tt.fault.Endless {
					got, err = io.Copy(io.Discard, r)
				} else {
					got, err = io.Copy(&text, r)
				}
			}
			if !errors.Is(err, tt.kind) || tt.kind == nil && text.String() != "the tree" {
				t.Errorf("got %q, %v; want %v", text.String(), err, tt.kind)
			}
			if err == nil && near != local {
				t.Errorf("the server on this machine is %v", near)
			}
			if got > merkle.MaxSigned {
				t.Errorf("%d bytes came", got)
			}
		})
	}
}
