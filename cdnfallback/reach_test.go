package cdnfallback

import (
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
)

func pool(s *httptest.Server) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(s.Certificate())
	return p
}

func textLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestReachOf(t *testing.T) {
	t.Parallel()
	tests := map[reach][]string{
		public: {"1.1.1.1", "11.0.0.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1"},
		site: {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd00::1", "fc00::1",
			"::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::1", "64:ff9b:1::1"},
		local: {"127.0.0.1", "127.255.0.1", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255", "::", "::1",
			"fe80::1", "fe80::1%eth0", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::1", "::7f00:1", "4000::1"},
	}
	for want, all := range tests {
		for _, s := range all {
			if got := reachOf(netip.MustParseAddr(s)); got != want {
				t.Errorf("%s: got %v, want %v", s, got, want)
			}
		}
	}
}

// An origin that the user did not name is not dialled inside, whether an address
// or a name says where; named, it is.
func TestPrivateAddress(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	site.Text("/f", "0123456789")
	s := httptest.NewServer(site)
	t.Cleanup(s.Close)
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		for _, named := range []bool{false, true} {
			o, err := New(Config{URL: "http://" + host + port + "/f", Named: named})
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			_, err = read(t.Context(), o, "", 0, 10, Validator{Size: 10})
			if named && err != nil || !named && !errors.Is(err, ErrPrivate) {
				t.Errorf("%s, named %v: got %v", host, named, err)
			}
		}
	}
	if n := len(site.Requests()); n != 3 {
		t.Errorf("the server got %d requests, want the 3 of the named ones", n)
	}
}

// What a manifest names is dialled as far inside as the manifest came from, which
// nobody knows of what came through a proxy.
func TestNear(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	site.Text("/f.shoal", "0123456789")
	site.Text("/f", "0123456789")
	s := httptest.NewServer(site)
	t.Cleanup(s.Close)
	for _, proxied := range []bool{false, true} {
		cfg := Config{URL: s.URL + "/f", Named: true}
		if proxied {
			cfg.URL = "http://cdn.example.com/f"
			cfg.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(s.URL) }
		}
		named, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer named.Close()
		r, near, err := named.ShoalFile(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		o, err := New(Config{URL: s.URL + "/f", Near: near})
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		_, err = read(t.Context(), o, "", 0, 10, Validator{Size: 10})
		if proxied != errors.Is(err, ErrPrivate) {
			t.Errorf("proxied %v: %v", proxied, err)
		}
	}
}

// fakeTransport answers for a server whose address is public, and keeps the way
// of each request.
type fakeTransport struct {
	to   string // redirects there
	asks []string
}

func (f *fakeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	f.asks = append(f.asks, r.URL.Host)
	w := httptest.NewRecorder()
	http.Redirect(w, r, f.to, http.StatusFound)
	return w.Result(), nil
}

// A redirect does not lead further inside than the server that sends it is.
func TestRedirectInside(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from reach // of the address that answers
		to   string
		ok   bool
	}{
		{public, "http://1.1.1.1/", true},
		{public, "http://10.0.0.1/", false},
		{public, "http://127.0.0.1/", false},
		{public, "http://169.254.169.254/latest/meta-data", false},
		{site, "http://10.0.0.1/", true},
		{site, "http://127.0.0.1/", false},
		{site, "http://[::1]/", false},
		{local, "http://127.0.0.1/", true},
	}
	for _, tt := range tests {
		o, err := New(Config{URL: "http://cdn.example.com/f", Named: true})
		if err != nil {
			t.Fatal(err)
		}
		resp := &http.Response{StatusCode: 302, Header: http.Header{"Location": {tt.to}}}
		at, err := o.next(hop{url: o.base, reach: o.reach, trusted: true}, resp, tt.from)
		if err != nil {
			t.Fatal(err)
		}
		f := &fakeTransport{to: "http://1.1.1.1/"}
		o.via = [reaches]http.RoundTripper{f, f, f}
		_, _, err = o.send(t.Context(), at, http.Header{})
		if tt.ok != (err == nil) || !tt.ok && !errors.Is(err, ErrPrivate) {
			t.Errorf("from a %v address to %s: got %v", tt.from, tt.to, err)
		}
		if asked := len(f.asks) > 0; asked != tt.ok {
			t.Errorf("from a %v address to %s: asked %v", tt.from, tt.to, asked)
		}
	}
}

// The transport of an origin that is not named refuses redirects inside by name
// too, and the address that answered is found out.
func TestRedirectInsideByName(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	s := httptest.NewServer(site)
	defer s.Close()
	f := &fakeTransport{to: strings.Replace(s.URL, "127.0.0.1", "localhost", 1)}
	o, err := New(Config{URL: "http://cdn.example.com/f"})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	dialling := o.via[public]
	o.via[public] = roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "cdn.example.com" {
			return f.RoundTrip(r)
		}
		return dialling.RoundTrip(r)
	})
	if _, err := read(t.Context(), o, "", 0, 1, Validator{}); !errors.Is(err, ErrPrivate) || len(site.Requests()) > 0 {
		t.Errorf("got %v and %d requests", err, len(site.Requests()))
	}

	named := serve(t, site, "/")
	_, from, err := named.send(t.Context(), hop{url: named.base, reach: local}, http.Header{})
	if err != nil || from != local {
		t.Errorf("got reach %v, %v; want that of loopback", from, err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A proxy is for named origins only.
func TestProxy(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	site.Text("/f", "0123456789") // a proxy gets absolute URLs; net/http gives their path
	s := httptest.NewServer(site)
	defer s.Close()
	proxy, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	o, err := New(Config{URL: "http://cdn.invalid/f", Named: true, Proxy: http.ProxyURL(proxy)})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if got, err := read(t.Context(), o, "", 0, 10, Validator{Size: 10}); err != nil || string(got) != "0123456789" {
		t.Errorf("got %q, %v", got, err)
	}
	o, err = New(Config{URL: "http://192.0.2.1/f", Proxy: func(*http.Request) (*url.URL, error) {
		t.Error("the proxy is asked for an origin that is not named")
		return nil, errors.New("no proxy")
	}, HeaderTimeout: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if _, err := read(t.Context(), o, "", 0, 1, Validator{}); err == nil {
		t.Error("got bytes from a documentation address")
	}
}

// TLS is checked, HTTP/2 is spoken where the server does, and an unreachable
// host is told from both.
func TestTransport(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	var proto string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto = r.Proto
		site.ServeHTTP(w, r)
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	defer s.Close()
	site.Text("/f", "0123456789")
	get := func(cfg Config) error {
		cfg.Named = true
		o, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		_, err = read(t.Context(), o, "", 1, 5, Validator{Size: 10})
		return err
	}
	if err := get(Config{URL: s.URL + "/f", RootCAs: pool(s)}); err != nil || proto != "HTTP/2.0" {
		t.Errorf("got %v over %s", err, proto)
	}
	if err := get(Config{URL: s.URL + "/f"}); !errors.Is(err, ErrTLS) {
		t.Errorf("unknown issuer: got %v", err)
	}
	if err := get(Config{URL: strings.Replace(s.URL, "127.0.0.1", "localhost", 1) + "/f", RootCAs: pool(s)}); !errors.Is(err, ErrTLS) {
		t.Errorf("other name: got %v", err)
	}
	plain := httptest.NewServer(site)
	if err := get(Config{URL: strings.Replace(plain.URL, "http:", "https:", 1) + "/f"}); !errors.Is(err, ErrTLS) {
		t.Errorf("plain server: got %v", err)
	}
	plain.Close()
	if err := get(Config{URL: plain.URL + "/f"}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("nobody listens: got %v", err)
	}
}
