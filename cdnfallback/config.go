package cdnfallback

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Config tells where an origin is and how to talk to it.
type Config struct {
	// URL of a file, of a directory, or of a trustless gateway, with http or
	// https; required. User name and password in it are used for its host only.
	URL string
	// Named says that the user gave URL. Then its host may stand in a private
	// network or on this machine, and Headers and Netrc apply. Otherwise (the URL
	// came from a manifest, a peer or the DHT) only public addresses are dialled.
	Named bool
	// Near is how far inside an origin may stand that is not Named: as far as who
	// named it did, public addresses only if zero. See Origin.ShoalFile.
	Near Reach
	// Headers go with each request to the host of URL, and to no other. An error
	// if not Named.
	Headers []Header
	// Netrc is a file with credentials by host, used if Named and neither URL nor
	// Headers have any. "" or a file that does not exist: none. See NetrcPath.
	Netrc string

	UserAgent     string        // "shoal" if empty
	HeaderTimeout time.Duration // from a request to its answer's header, connecting included; 15 s if zero
	StallTimeout  time.Duration // of waiting in which at least 4 KiB of a body arrive; 15 s if zero

	// Proxy names the proxy of a request, as http.Transport.Proxy does; nil: none.
	// It is used only if Named: which address is asked is then the proxy's choice.
	// For the same reason a redirect through it to another host is followed only
	// where neither the host's name nor this machine's own DNS says that it is inside.
	Proxy func(*http.Request) (*url.URL, error)
	// RootCAs are trusted for https; the system's if nil.
	RootCAs *x509.CertPool
	// Transport replaces the connections of this package. Its owner then sees to
	// the check of addresses; those that stand in a URL are still checked here.
	Transport http.RoundTripper
	Log       *slog.Logger // nil: discard. Never gets a credential or a query.

	// For tests.
	resolver *net.Resolver          // of names; the system's if nil
	classify func(netip.Addr) reach // of addresses that are dialled; reachOf if nil
}

// Header is a field for the named host. Its value counts as a secret: it is
// shown by no formatting verb of fmt that goes through String.
type Header struct {
	Name  string
	Value string
}

// String shows the name only.
func (h Header) String() string { return h.Name + ": ***" }

// GoString shows the name only.
func (h Header) GoString() string { return h.String() }

// ParseHeader reads "Name: value" as curl -H takes it.
func ParseHeader(s string) (Header, error) {
	name, value, ok := strings.Cut(s, ":")
	if !ok {
		// s is not shown: it may be a secret whose name was forgotten.
		return Header{}, errors.New("header has no colon: write it as 'Name: value'")
	}
	h := Header{Name: name, Value: strings.Trim(value, " \t\r\n")}
	return h, h.check()
}

// Limits of the headers of a Config.
const (
	maxHeaders     = 64
	maxHeaderValue = 16 << 10 // bytes
)

// ownHeaders are set by this package, or would break what it relies on.
var ownHeaders = map[string]bool{
	"Range": true, "If-Range": true, "If-Match": true, "If-None-Match": true,
	"If-Modified-Since": true, "If-Unmodified-Since": true, "Accept-Encoding": true,
	"Connection": true, "Content-Length": true, "Transfer-Encoding": true,
	"Host": true, "Te": true, "Trailer": true, "Upgrade": true,
}

// check refuses what is no header field (RFC 9110, 5.1 and 5.5) or is shoal's own.
func (h Header) check() error {
	const marks = "!#$%&'*+-.^_`|~"
	bad := func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune(marks, r)
	}
	switch {
	case h.Name == "" || strings.ContainsFunc(h.Name, bad):
		return fmt.Errorf("a header name has a character other than letters, digits and %s or is empty", marks)
	case ownHeaders[http.CanonicalHeaderKey(h.Name)]:
		return fmt.Errorf("header %s is set by shoal itself", h.Name)
	case len(h.Value) > maxHeaderValue:
		return fmt.Errorf("value of header %s is longer than %d bytes", h.Name, maxHeaderValue)
	case strings.ContainsFunc(h.Value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return fmt.Errorf("value of header %s has a control character", h.Name)
	}
	return nil
}

// parseURL checks and splits the URL of an origin. Its errors do not show
// credentials or the query.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil && strings.Contains(s, "@") {
		// err would quote a part of s, which may be one of a password.
		return nil, errors.New("origin URL cannot be read; write special characters of user name and password as %XX")
	}
	if err != nil {
		return nil, fmt.Errorf("origin URL: %w", err)
	}
	switch {
	case u.Opaque != "":
		return nil, fmt.Errorf("origin URL: the scheme %s has no // after it", u.Scheme)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("origin %s: scheme must be http or https", display(u))
	case u.Hostname() == "":
		return nil, fmt.Errorf("origin %s: host is missing", display(u))
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// display is a URL without credentials, query and fragment.
func display(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return shown.String()
}
