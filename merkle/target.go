package merkle

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
)

// Limits of a link.
const (
	MaxTarget  = 8 << 10 // bytes of its text
	MaxPeers   = 16
	MaxOrigins = 16
)

// Target is what a link or the TARGET of a command names.
type Target struct {
	Root    cid.Cid
	Path    string   // slash-separated, relative to Root, "" for the root itself
	Peers   []string // multiaddrs with /p2p/, as written
	Origins []string // http or https URLs, as written
	Name    string   // what the sender calls it, fit to name a file; "" for nothing
}

// ParseTarget reads CID, CID/path, /ipfs/CID/path, ipfs://CID/path or
// shoal:CID/path?peer=MULTIADDR&origin=URL&name=NAME, peer and origin any number
// of times up to MaxPeers and MaxOrigins. A name that is not fit for a file is
// left out, as a link may come from anyone. In the two with a scheme path and values are
// percent-encoded, in the others the path is taken as it stands. Empty elements
// of the path are dropped; "." and ".." are ErrMalformed, as is all else that
// cannot be read. Unknown parameters are passed over, for links of later versions.
func ParseTarget(s string) (Target, error) {
	if len(s) > MaxTarget {
		return Target{}, fmt.Errorf("%w link: %d bytes, at most %d are allowed", ErrMalformed, len(s), MaxTarget)
	}
	s = strings.TrimSpace(s)
	rest, encoded := cutScheme(s)
	query := ""
	if encoded {
		rest, _, _ = strings.Cut(rest, "#")
		rest, query, _ = strings.Cut(rest, "?")
	}
	id, path, _ := strings.Cut(rest, "/")
	var t Target
	var err error
	if t.Root, err = Parse(id); err != nil {
		return Target{}, err
	}
	if encoded {
		if path, err = unescape(path); err != nil {
			return Target{}, err
		}
	}
	if t.Path, err = cleanPath(path); err != nil {
		return Target{}, err
	}
	return t, t.parameters(query)
}

// cutScheme drops what stands before the CID.
func cutScheme(s string) (rest string, encoded bool) {
	for _, scheme := range []string{"shoal:", "ipfs:"} {
		if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			return strings.TrimPrefix(s[len(scheme):], "//"), true
		}
	}
	return strings.TrimPrefix(s, "/ipfs/"), false
}

func (t *Target) parameters(query string) error {
	for query != "" {
		var part string
		part, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(part, "=")
		value, err := unescape(value)
		if err != nil {
			return err
		}
		switch name {
		case "peer":
			err = t.addPeer(value)
		case "origin":
			err = t.addOrigin(value)
		case "name":
			t.Name = FileName(value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Target) addPeer(addr string) error {
	if !strings.HasPrefix(addr, "/") || !strings.Contains(addr, "/p2p/") {
		return fmt.Errorf("%w link: peer %q is no address like /ip4/192.0.2.1/tcp/7461/p2p/12D3Koo…", ErrMalformed, clip(addr))
	}
	if len(t.Peers) == MaxPeers {
		return fmt.Errorf("%w link: more than %d peers", ErrMalformed, MaxPeers)
	}
	t.Peers = append(t.Peers, addr)
	return nil
}

func (t *Target) addOrigin(url string) error {
	scheme, host, ok := strings.Cut(url, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") || host == "" || host[0] == '/' {
		return fmt.Errorf("%w link: origin %q is no http or https URL", ErrMalformed, clip(url))
	}
	if len(t.Origins) == MaxOrigins {
		return fmt.Errorf("%w link: more than %d origins", ErrMalformed, MaxOrigins)
	}
	t.Origins = append(t.Origins, url)
	return nil
}

// FileName returns a name if a file may be given it on a stranger's word, else
// "": it is one name of visible text, is not hidden, and looks like no flag.
func FileName(name string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || r == '\\' || r == utf8.RuneError }
	if checkName(name) != nil || name[0] == '.' || name[0] == '-' || strings.ContainsFunc(name, odd) {
		return ""
	}
	return name
}

// String is the shoal: link, which ParseTarget reads back to the same Target
// unless it passes one of the limits.
func (t Target) String() string {
	b := []byte("shoal:")
	b = append(b, t.Root.String()...)
	if t.Path != "" {
		b = appendEscaped(append(b, '/'), t.Path)
	}
	sep := byte('?')
	for _, p := range t.Peers {
		b = appendEscaped(append(append(b, sep), "peer="...), p)
		sep = '&'
	}
	for _, o := range t.Origins {
		b = appendEscaped(append(append(b, sep), "origin="...), o)
		sep = '&'
	}
	if name := FileName(t.Name); name != "" {
		b = appendEscaped(append(append(b, sep), "name="...), name)
	}
	return string(b)
}

// cleanPath drops empty elements and refuses those that are no name.
func cleanPath(path string) (string, error) {
	var names []string
	for name := range strings.SplitSeq(path, "/") {
		if name == "" {
			continue
		}
		if err := checkName(name); err != nil {
			return "", fmt.Errorf("path: %w", err)
		}
		names = append(names, name)
	}
	return strings.Join(names, "/"), nil
}

const upperHex = "0123456789ABCDEF"

// appendEscaped percent-encodes all that is not a letter, digit or one of
// -._~/: (RFC 3986's unreserved, and two that mean nothing in path and query).
func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~/:", c) >= 0:
			b = append(b, c)
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// unescape undoes percent-encoding. A "+" stands for itself.
func unescape(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
			return "", fmt.Errorf("%w link: %q is no percent-encoding", ErrMalformed, clip(s[i:min(i+3, len(s))]))
		}
		b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
		i += 2
	}
	return string(b), nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
