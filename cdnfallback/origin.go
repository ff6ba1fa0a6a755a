package cdnfallback

import (
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Origin is one HTTP origin. Its methods may be called from many goroutines; it
// starts none that outlive a call, apart from the connections that net/http
// keeps alive until Close.
type Origin struct {
	base      *url.URL // without credentials
	host      string   // as shown: host and port
	header    http.Header
	agent     string
	reach     reach                      // of the first hop
	via       [reaches]http.RoundTripper // by the addresses that may be dialled
	proxy     func(*http.Request) (*url.URL, error)
	through   http.RoundTripper // for requests that proxy names a proxy for
	resolver  *net.Resolver
	answer    time.Duration // time-out for a header
	stall     time.Duration // time-out for a body
	log       *slog.Logger
	wholeOnly atomic.Bool // the last answer to a range was the whole file

	mu   sync.Mutex
	kind Kind // Unknown until decided
}

// New makes an Origin. It connects to nothing; it reads cfg.Netrc.
func New(cfg Config) (*Origin, error) {
	u, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	user := u.User
	u.User = nil
	o := &Origin{
		base:   u,
		host:   u.Host,
		agent:  cmp.Or(cfg.UserAgent, "shoal"),
		answer: cmp.Or(cfg.HeaderTimeout, 15*time.Second),
		stall:  cmp.Or(cfg.StallTimeout, 15*time.Second),
		log:    cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)),
		reach:  cfg.Near,
	}
	if cfg.Named {
		o.reach = local
	}
	if o.header, err = credentials(cfg, u.Hostname(), user); err != nil {
		return nil, fmt.Errorf("origin %s: %w", o.host, err)
	}
	o.resolver = cmp.Or(cfg.resolver, net.DefaultResolver)
	for r := range o.via {
		o.via[r] = transport(cfg, reach(r))
	}
	if cfg.Named && cfg.Proxy != nil && cfg.Transport == nil {
		t := connections(cfg, local) // the proxy itself may stand anywhere: the user named it
		t.Proxy = cfg.Proxy
		o.proxy, o.through = cfg.Proxy, t
	}
	return o, nil
}

// credentials collects the fields for the named host: an Authorization field of
// Headers comes before user name and password of the URL, that before .netrc.
func credentials(cfg Config, host string, user *url.Userinfo) (http.Header, error) {
	h := http.Header{}
	if len(cfg.Headers) > 0 && !cfg.Named {
		return nil, errors.New("headers are only for an origin that the user named")
	}
	if len(cfg.Headers) > maxHeaders {
		return nil, fmt.Errorf("more than %d headers", maxHeaders)
	}
	for _, f := range cfg.Headers {
		if err := f.check(); err != nil {
			return nil, err
		}
		h.Add(f.Name, f.Value)
	}
	if h.Get("Authorization") != "" {
		return h, nil
	}
	if user != nil {
		password, _ := user.Password()
		h.Set("Authorization", basic(user.Username(), password))
		return h, nil
	}
	if cfg.Netrc == "" || !cfg.Named {
		return h, nil
	}
	l, ok, err := readNetrc(cfg.Netrc, host)
	if err != nil {
		return nil, err
	}
	if ok {
		h.Set("Authorization", basic(l.login, l.password))
	}
	return h, nil
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// readBuffer is the size of a connection's read buffer, bytes. A read of a body
// into more than that goes from the socket to the caller's memory directly.
const readBuffer = 256 << 10

// transport is how requests go to addresses up to r.
func transport(cfg Config, r reach) http.RoundTripper {
	if cfg.Transport != nil {
		return cfg.Transport
	}
	return connections(cfg, r)
}

// connections makes connections to addresses up to r, HTTP/1.1 and HTTP/2.
func connections(cfg Config, r reach) *http.Transport {
	return &http.Transport{
		DialContext:            r.dialer(cfg).DialContext,
		ForceAttemptHTTP2:      true, // a DialContext of one's own would turn it off
		TLSClientConfig:        &tls.Config{RootCAs: cfg.RootCAs},
		TLSHandshakeTimeout:    10 * time.Second,
		DisableCompression:     true,
		ReadBufferSize:         readBuffer,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		HTTP2: &http.HTTP2Config{
			MaxReadFrameSize: readBuffer,
			SendPingTimeout:  15 * time.Second, // a dead connection must not stall request after request
		},
	}
}

// Host is the host, and port if there is one, as the URL names it: for display.
func (o *Origin) Host() string { return o.host }

// String is the URL without credentials and query: for display.
func (o *Origin) String() string { return display(o.base) }

// NoRanges tells whether the last answer to a range request was the whole file.
// Then each further range costs the bytes before it: read with Stream, or from
// offset 0 on. A cache may do that for its first request only, so the next part
// that comes takes it back.
func (o *Origin) NoRanges() bool { return o.wholeOnly.Load() }

// Close closes idle connections. Requests under way go on until their own end.
func (o *Origin) Close() error {
	for _, rt := range append(o.via[:], o.through) {
		if t, ok := rt.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
	return nil
}

// at is the URL of path: slash-separated, relative, "" for the URL itself.
func (o *Origin) at(path string) (*url.URL, error) {
	if path == "" {
		return o.base, nil
	}
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(o.base.EscapedPath(), "/"))
	for s := range strings.SplitSeq(path, "/") {
		if s == "" || s == "." || s == ".." {
			return nil, fmt.Errorf("origin %s: path %q has an empty or dot element", o.host, path)
		}
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return o.withPath(b.String())
}

// withPath is the origin's URL with another path, given escaped. The query
// stays: tokens in it may be what opens the whole directory.
func (o *Origin) withPath(escaped string) (*url.URL, error) {
	u := *o.base
	var err error
	if u.Path, err = url.PathUnescape(escaped); err != nil {
		return nil, fmt.Errorf("origin %s: %w", o.host, err)
	}
	u.RawPath = escaped
	return &u, nil
}
