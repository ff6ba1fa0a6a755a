package cdnfallback

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
	"golang.org/x/net/dns/dnsmessage"
)

// site is a server on loopback with the file /f.
func textSite(t *testing.T) (*origintest.Origin, string) {
	t.Helper()
	o := origintest.New()
	o.Text("/f", "0123456789")
	s := httptest.NewServer(o)
	t.Cleanup(s.Close)
	return o, s.Listener.Addr().String()
}

// behind gives the Proxy of a Config for a proxy that knows hosts.
func behind(t *testing.T, hosts map[string]string) (*origintest.Proxy, func(*http.Request) (*url.URL, error)) {
	t.Helper()
	p := origintest.NewProxy(hosts)
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return p, http.ProxyURL(u)
}

// nameserver answers questions for A records on loopback, each by the next of
// the answers to that name, the last one again and again; other names are not there.
func nameserver(t *testing.T, names map[string][]string) *net.Resolver {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := answerDNS(buf[:n], names); answer != nil {
				c.WriteTo(answer, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", c.LocalAddr().String())
	}}
}

// answerDNS answers one question and moves its name on to the next address.
func answerDNS(packet []byte, names map[string][]string) []byte {
	var m dnsmessage.Message
	if m.Unpack(packet) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	name := strings.TrimSuffix(q.Name.String(), ".")
	addrs, known := names[name]
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	if known && q.Type == dnsmessage.TypeA {
		a := net.ParseIP(addrs[0]).To4()
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type},
			Body:   &dnsmessage.AResource{A: [4]byte(a)},
		}}
		if len(addrs) > 1 {
			names[name] = addrs[1:]
		}
	}
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	return out
}

// A name whose answer changes to an inside address after the origin was accepted
// is refused at the next connection, and so is one that has both.
func TestRebinding(t *testing.T) {
	t.Parallel()
	site, addr := textSite(t)
	site.SetFault(origintest.Fault{})
	_, port, _ := net.SplitHostPort(addr)
	o, err := New(Config{
		URL:      "http://cdn.example.com:" + port + "/f",
		resolver: nameserver(t, map[string][]string{"cdn.example.com": {"127.0.0.1", "127.0.0.2"}}),
		classify: func(ip netip.Addr) reach {
			if ip == netip.MustParseAddr("127.0.0.1") {
				return public // stands for the publisher's
			}
			return reachOf(ip)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(t.Context(), o, "", 0, 10, Validator{Size: 10}); err != nil || string(got) != "0123456789" {
		t.Fatalf("got %q, %v", got, err)
	}
	o.Close() // the connection that is kept alive
	if _, err := read(t.Context(), o, "", 0, 10, Validator{Size: 10}); !errors.Is(err, ErrPrivate) {
		t.Errorf("got %v, want that 127.0.0.2 is refused", err)
	}
	if n := len(site.Requests()); n != 1 {
		t.Errorf("%d requests came, want 1", n)
	}
}

// An https origin is reached through a tunnel: the proxy learns the host only,
// and TLS is checked against the extra root.
func TestTunnel(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	site.Text("/f", "0123456789")
	s := httptest.NewTLSServer(site)
	defer s.Close()
	p, proxy := behind(t, map[string]string{"example.com:443": s.Listener.Addr().String()})
	for _, tt := range []struct {
		roots bool
		url   string
		kind  error
	}{
		{true, "https://example.com/f", nil}, // a name of httptest's certificate
		{false, "https://example.com/f", ErrTLS},
		{true, "https://other.example.com/f", ErrUnreachable}, // refused by the proxy
	} {
		cfg := Config{URL: tt.url, Named: true, Proxy: proxy}
		if tt.roots {
			cfg.RootCAs = pool(s)
		}
		o, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		if _, err := read(t.Context(), o, "", 2, 5, Validator{Size: 10}); !errors.Is(err, tt.kind) {
			t.Errorf("%+v: got %v", tt, err)
		}
	}
	if want := []string{"example.com:443", "example.com:443", "other.example.com:443"}; !slices.Equal(p.Asked(), want) {
		t.Errorf("the proxy was asked for %q, want %q", p.Asked(), want)
	}
}

// Behind a proxy, which may stand inside, a redirect leads to no host of the site.
func TestRedirectThroughProxy(t *testing.T) {
	t.Parallel()
	site, addr := textSite(t)
	names := map[string][]string{"mirror.example.com": {"10.0.0.5"}, "far.example.com": {"1.1.1.1"}}
	hosts := map[string]string{}
	for _, h := range []string{"cdn.example.com", "far.example.com", "unknown.example.com", "mirror.example.com", "wiki", "wiki.corp", "10.0.0.5", "169.254.169.254"} {
		hosts[h+":80"] = addr
	}
	for to, ok := range map[string]bool{
		"/f?again":                     true, // the named host itself
		"http://far.example.com/f":     true,
		"http://unknown.example.com/f": true, // no DNS here: left to the proxy
		"http://mirror.example.com/f":  false,
		"http://wiki/f":                false,
		"http://WIKI.corp./f":          false,
		"http://10.0.0.5/f":            false,
		"http://169.254.169.254/f":     false,
		"http://127.0.0.1:" + addr[len("127.0.0.1:"):] + "/f": false,
	} {
		site.SetFault(origintest.Fault{Redirect: to, Once: true})
		_, proxy := behind(t, hosts)
		o, err := New(Config{URL: "http://cdn.example.com/f", Named: true, Proxy: proxy, resolver: nameserver(t, names)})
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		got, err := read(t.Context(), o, "", 0, 10, Validator{Size: 10})
		if ok && (err != nil || string(got) != "0123456789") || !ok && !errors.Is(err, ErrPrivate) {
			t.Errorf("to %s: got %q, %v", to, got, err)
		}
	}
}
