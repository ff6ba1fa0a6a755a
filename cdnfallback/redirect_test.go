package cdnfallback

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "netrc")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each source of credentials reaches the named host, in its order of precedence.
func TestCredentialsReachTheNamedHost(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		user    string // of the URL
		headers []Header
		netrc   string
		want    string // the Authorization field
	}{
		"none":    {},
		"URL":     {user: "ann:s3cret@", netrc: "default login bob password x", want: basic("ann", "s3cret")},
		"header":  {user: "ann:s3cret@", headers: []Header{{"authorization", "Bearer t"}}, want: "Bearer t"},
		"netrc":   {netrc: "machine 127.0.0.1 login bob password hunter2", want: basic("bob", "hunter2")},
		"default": {netrc: "machine other.example login x password y\ndefault login bob password z", want: basic("bob", "z")},
		"other":   {netrc: "machine other.example login x password y"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := origintest.New()
			site.Text("/f", "0123456789")
			s := httptest.NewServer(site)
			defer s.Close()
			o, err := New(Config{
				URL: strings.Replace(s.URL, "://", "://"+tt.user, 1) + "/f", Named: true,
				Headers: append(tt.headers, Header{"X-Key", "k"}), Netrc: write(t, tt.netrc),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			if got, err := read(t.Context(), o, "", 0, 10, Validator{Size: 10}); err != nil || string(got) != "0123456789" {
				t.Fatalf("got %q, %v", got, err)
			}
			h := site.Requests()[0].Header
			if h.Get("Authorization") != tt.want || h.Get("X-Key") != "k" {
				t.Errorf("got Authorization %q, X-Key %q; want %q, k", h.Get("Authorization"), h.Get("X-Key"), tt.want)
			}
			if h.Get("Accept-Encoding") != "identity" || h.Get("User-Agent") != "shoal" {
				t.Errorf("got Accept-Encoding %q, User-Agent %q", h.Get("Accept-Encoding"), h.Get("User-Agent"))
			}
		})
	}
}

// A second host gets no credentials, whoever names it, and neither does the
// first when the chain comes back to it.
func TestCredentialsStayHome(t *testing.T) {
	t.Parallel()
	far := origintest.New()
	far.Text("/f", "0123456789")
	away := httptest.NewServer(far)
	defer away.Close()
	home := origintest.New()
	home.Text("/back", "0123456789")
	o := serve(t, home, "/f?token=t0ken", func(c *Config) {
		c.URL = strings.Replace(c.URL, "://", "://ann:s3cret@", 1)
		c.Headers = []Header{{"X-Key", "k"}, {"Cookie", "c=1"}}
	})
	for name, back := range map[string]string{"to another host": "", "and back": "http://" + o.Host() + "/back"} {
		home.SetFault(origintest.Fault{Redirect: strings.Replace(away.URL, "://", "://eve:x@", 1) + "/f", Once: true})
		far.SetFault(origintest.Fault{Redirect: back})
		if back == "" {
			far.SetFault(origintest.Fault{})
		}
		if _, err := read(t.Context(), o, "", 0, 10, Validator{Size: 10}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for i, r := range home.Requests() {
		got := r.Header.Get("Authorization") != "" && r.Header.Get("X-Key") != "" && r.Header.Get("Cookie") != ""
		if want := r.Path == "/f"; got != want {
			t.Errorf("home, request %d of %s: credentials %v, want %v", i, r.Path, got, want)
		}
	}
	for i, r := range far.Requests() {
		for _, name := range []string{"Authorization", "X-Key", "Cookie", "Referer"} {
			if v := r.Header.Get(name); v != "" {
				t.Errorf("away, request %d: %s: %s", i, name, v)
			}
		}
		if r.Query != "" {
			t.Errorf("away, request %d has the query %q", i, r.Query)
		}
	}
	if len(home.Requests()) != 3 || len(far.Requests()) != 2 {
		t.Errorf("got %d and %d requests, want 3 and 2", len(home.Requests()), len(far.Requests()))
	}
}

func TestRedirectOnTheSameHostKeepsCredentials(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	site.Text("/b", "0123456789")
	site.SetFault(origintest.Fault{Redirect: "b", Status: 308, Once: true})
	o := serve(t, site, "/a", func(c *Config) { c.Headers = []Header{{"X-Key", "k"}} })
	if _, err := read(t.Context(), o, "", 2, 3, Validator{Size: 10}); err != nil {
		t.Fatal(err)
	}
	if r := site.Requests()[1]; r.Path != "/b" || r.Header.Get("X-Key") != "k" || r.Range != "bytes=2-4" {
		t.Errorf("got %+v", r)
	}
}

func TestTooManyRedirects(t *testing.T) {
	t.Parallel()
	var asked int
	o := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, fmt.Sprintf("/%d", asked), http.StatusFound)
	}), "/0")
	_, err := read(t.Context(), o, "", 0, 1, Validator{})
	if !errors.Is(err, ErrRedirect) || !strings.Contains(err.Error(), "10 redirects") || asked != 11 {
		t.Fatalf("got %v after %d requests", err, asked)
	}
}

func TestRedirectCircle(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	site.SetFault(origintest.Fault{Redirect: "/f"})
	o := serve(t, site, "/start")
	_, err := read(t.Context(), o, "", 0, 1, Validator{})
	if !errors.Is(err, ErrRedirect) || !strings.Contains(err.Error(), "in a circle, back to "+strings.TrimSuffix(o.String(), "/start")+"/f") || len(site.Requests()) != 2 {
		t.Fatalf("got %v after %d requests", err, len(site.Requests()))
	}
}

func TestRedirectFromHTTPSToHTTP(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	s := httptest.NewTLSServer(http.RedirectHandler(plain.URL+"/f", http.StatusFound))
	defer s.Close()
	o, err := New(Config{URL: s.URL + "/f", Named: true, RootCAs: pool(s)})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if _, err := read(t.Context(), o, "", 0, 1, Validator{}); !errors.Is(err, ErrRedirect) {
		t.Fatalf("got %v", err)
	}
}

// Nothing that an error, a log or a display shows has a credential or a query.
func TestNothingSecretIsShown(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	site := origintest.New()
	site.Text("/f", "0123456789")
	o := serve(t, site, "/f?token=t0ken", func(c *Config) {
		c.URL = strings.Replace(c.URL, "://", "://ann:s3cret@", 1)
		c.Headers = []Header{{"X-Key", "hunter2"}}
		c.Log = textLog(&logged)
	})
	for _, f := range []origintest.Fault{
		{Status: 403}, {Status: 500}, {Gzip: true}, {Redirect: "/f?token=t0ken&a"}, {Redirect: "gopher://s3cret@x"},
		{Redirect: "/f?token=t0ken"}, {Cut: 3}, {ContentRange: "x"}, {},
	} {
		site.SetFault(f)
		if _, err := read(t.Context(), o, "", 0, 5, Validator{}); err != nil {
			fmt.Fprintln(&logged, err)
		}
	}
	fmt.Fprintln(&logged, o, o.Host(), fmt.Sprintf("%v %+v %#v", Header{"K", "hunter2"}, []Header{{"K", "hunter2"}}, Header{"K", "hunter2"}))
	for _, secret := range []string{"s3cret", "t0ken", "hunter2"} {
		if strings.Contains(logged.String(), secret) {
			t.Errorf("%q is shown in:\n%s", secret, logged.String())
		}
	}
	if logged.Len() < 500 {
		t.Errorf("only this was logged: %s", logged.String())
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]Config{
		"scheme must be http":  {URL: "ftp://user:s3cret@host/x"},
		"host is missing":      {URL: "http:///x"},
		"has no // after it":   {URL: "http:x"},
		"invalid URL escape":   {URL: "http://host/%zz"},
		"cannot be read":       {URL: "http://user:s3cret/x@host/"},
		"the user named":       {URL: "http://host/", Headers: []Header{{"A", "s3cret"}}},
		"set by shoal":         {URL: "http://host/", Named: true, Headers: []Header{{"range", "s3cret"}}},
		"control character":    {URL: "http://host/", Named: true, Headers: []Header{{"A", "s3cret\r\nB: c"}}},
		"header name":          {URL: "http://host/", Named: true, Headers: []Header{{"A B", "s3cret"}}},
		"longer than":          {URL: "http://host/", Named: true, Headers: []Header{{"A", strings.Repeat("s3cret", 3000)}}},
		"more than 64 headers": {URL: "http://host/", Named: true, Headers: make([]Header, 65)},
		"before the first":     {URL: "http://host/", Named: true, Netrc: "password s3cret"},
		"is not closed":        {URL: "http://host/", Named: true, Netrc: "machine host password \"s3cret"},
		"nothing follows":      {URL: "http://host/", Named: true, Netrc: "machine host login s3cret password"},
		"larger than":          {URL: "http://host/", Named: true, Netrc: strings.Repeat("s3cret  ", 1<<17+1)},
	}
	for want, cfg := range tests {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			if cfg.Netrc != "" {
				cfg.Netrc = write(t, cfg.Netrc)
			}
			_, err := New(cfg)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("got %v, want %q in it", err, want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v shows a secret", err)
			}
		})
	}
	if _, err := New(Config{URL: "http://host/", Named: true, Netrc: filepath.Join(t.TempDir(), "none")}); err != nil {
		t.Errorf("a netrc file that does not exist: %v", err)
	}
	if _, err := New(Config{URL: "http://host/", Netrc: write(t, "password")}); err != nil {
		t.Errorf("the netrc file is read for an origin that the user did not name: %v", err)
	}
}

func TestParseHeader(t *testing.T) {
	t.Parallel()
	if h, err := ParseHeader("X-Key:  a: b \r\n"); err != nil || h != (Header{"X-Key", "a: b"}) {
		t.Errorf("got %q=%q, %v", h.Name, h.Value, err)
	}
	for _, bad := range []string{"", "s3cret", ": s3cret", "Range: s3cret", "A: s3\ncret"} {
		if _, err := ParseHeader(bad); err == nil || strings.Contains(err.Error(), "s3") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}
