package merkle

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
	"google.golang.org/protobuf/encoding/protowire"
)

// Limits of a manifest, beside MaxOrigins and MaxPeers.
const (
	MaxEnvelope = 64 << 10       // bytes of the envelope
	MaxLabel    = 255            // bytes of the name, as file systems have it, and of the version
	MaxPrevious = 16             // roots of older versions
	MaxURL      = 2048           // bytes of an origin
	MaxAddr     = 256            // bytes of an address
	MaxSequence = 1<<53 - 1      // so that every reader of JSON can hold it
	MaxSize     = int64(1) << 53 // bytes of the content, likewise
)

// Manifest is what a publisher says of one version of a content.
type Manifest struct {
	Name      string    // what the content is called, version by version; fit to name a file
	Version   string    // for people; "" for none
	Sequence  uint64    // of versions of Name by one publisher the higher is the newer; 1 to MaxSequence
	Root      cid.Cid   // of this version
	Size      int64     // payload bytes below Root
	SubHashes [32]byte  // sha2-256 of the digests that come with it, zero for none
	Previous  []cid.Cid // roots of older versions, newest first
	Origins   []string  // http and https URLs of the content
	Bootstrap []string  // multiaddrs with /p2p/ of nodes to join through
}

// The fields of a manifest.
const (
	manifestName, manifestVersion, manifestSequence      protowire.Number = 1, 2, 3
	manifestRoot, manifestSize, manifestSubHashes        protowire.Number = 4, 5, 6
	manifestPrevious, manifestOrigins, manifestBootstrap protowire.Number = 7, 8, 9
)

// Sign returns m in an envelope signed by key: the same bytes for the same m.
// ErrMalformed or ErrTooLarge when m is not one that OpenManifest would take.
func (m Manifest) Sign(key ed25519.PrivateKey) (envelope []byte, err error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	envelope, err = sealEnvelope(key, m.appendTo(nil))
	if err == nil && len(envelope) > MaxEnvelope {
		err = fmt.Errorf("%w: a manifest of %d bytes, at most %d are allowed", ErrTooLarge, len(envelope), MaxEnvelope)
	}
	return envelope, err
}

// OpenManifest reads what Sign wrote, and who signed it: whether that is the
// publisher who is meant is for the caller to say. ErrSignature, ErrMalformed,
// ErrUnsupported or ErrTooLarge.
func OpenManifest(envelope []byte) (Manifest, Publisher, error) {
	p, payload, err := openEnvelope(envelope)
	if err != nil {
		return Manifest{}, p, err
	}
	m, err := parseManifest(payload)
	return m, p, err
}

// appendTo appends m in protobuf's wire format, in its one encoding: fields in
// ascending order, zero values left out.
func (m Manifest) appendTo(b []byte) []byte {
	text := func(n protowire.Number, list ...string) {
		for _, s := range list {
			if s != "" {
				b = appendBytes(b, n, []byte(s))
			}
		}
	}
	number := func(n protowire.Number, v uint64) {
		if v != 0 {
			b = appendVarint(b, n, v)
		}
	}
	text(manifestName, m.Name)
	text(manifestVersion, m.Version)
	number(manifestSequence, m.Sequence)
	text(manifestRoot, m.Root.KeyString())
	number(manifestSize, uint64(m.Size))
	if m.SubHashes != [32]byte{} {
		b = appendBytes(b, manifestSubHashes, m.SubHashes[:])
	}
	for _, c := range m.Previous {
		text(manifestPrevious, c.KeyString())
	}
	text(manifestOrigins, m.Origins...)
	text(manifestBootstrap, m.Bootstrap...)
	return b
}

// parseManifest reads a payload.
func parseManifest(b []byte) (m Manifest, err error) {
	err = fields(b, func(n protowire.Number, typ protowire.Type, _ int, v []byte) (err error) {
		if number := n == manifestSequence || n == manifestSize; number != (typ == protowire.VarintType) {
			return fmt.Errorf("type of field %d", n)
		}
		return m.take(n, v)
	})
	if err != nil {
		err = fmt.Errorf("%w manifest: %w", ErrMalformed, err)
	}
	if err == nil {
		err = m.check()
	}
	if err == nil && !bytes.Equal(b, m.appendTo(nil)) {
		err = fmt.Errorf("%w manifest: it is not in its one encoding", ErrMalformed)
	}
	if err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// take sets a field.
func (m *Manifest) take(n protowire.Number, v []byte) (err error) {
	switch {
	case n == manifestName:
		m.Name = string(v)
	case n == manifestVersion:
		m.Version = string(v)
	case n == manifestSequence:
		m.Sequence, _ = protowire.ConsumeVarint(v)
	case n == manifestRoot:
		m.Root, err = cid.Cast(v)
	case n == manifestSize:
		size, _ := protowire.ConsumeVarint(v)
		m.Size = int64(min(size, uint64(MaxSize)+1))
	case n == manifestSubHashes && len(v) == len(m.SubHashes):
		m.SubHashes = [32]byte(v)
	case n == manifestPrevious && len(m.Previous) < MaxPrevious:
		var c cid.Cid
		c, err = cid.Cast(v)
		m.Previous = append(m.Previous, c)
	case n == manifestOrigins && len(m.Origins) < MaxOrigins:
		m.Origins = append(m.Origins, string(v))
	case n == manifestBootstrap && len(m.Bootstrap) < MaxPeers:
		m.Bootstrap = append(m.Bootstrap, string(v))
	default:
		return fmt.Errorf("field %d is unknown, too long or there too often", n)
	}
	return err
}

// check holds every field to its limits.
func (m Manifest) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w manifest: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	switch {
	case len(m.Name) > MaxLabel || FileName(m.Name) != m.Name || m.Name == "":
		return bad("the name %q: a name is 1 to %d bytes of printable UTF-8 without slashes, and begins with neither a dot nor a dash", clip(m.Name), MaxLabel)
	case len(m.Version) > MaxLabel || !printable(m.Version):
		return bad("the version %q: a version is at most %d bytes of printable UTF-8", clip(m.Version), MaxLabel)
	case m.Sequence < 1 || m.Sequence > MaxSequence:
		return bad("sequence %d", m.Sequence)
	case m.Size < 0 || m.Size > MaxSize:
		return bad("a size of more than %d bytes", MaxSize)
	case len(m.Previous) > MaxPrevious || len(m.Origins) > MaxOrigins || len(m.Bootstrap) > MaxPeers:
		return bad("more than %d older versions, %d origins or %d addresses", MaxPrevious, MaxOrigins, MaxPeers)
	}
	for i, c := range append([]cid.Cid{m.Root}, m.Previous...) {
		if _, err := refOf(c); err != nil {
			return err
		}
		if slices.ContainsFunc(m.Previous[:max(i-1, 0)], c.Equals) || i > 0 && c.Equals(m.Root) {
			return bad("the version %v twice", c)
		}
	}
	for _, u := range m.Origins {
		if !isOrigin(u) {
			return bad("the origin %q is no http or https URL without credentials, of at most %d bytes", clip(u), MaxURL)
		}
	}
	for _, a := range m.Bootstrap {
		if len(a) > MaxAddr || !strings.HasPrefix(a, "/") || !strings.Contains(a, "/p2p/") || !ascii(a) {
			return bad("the address %q is not one like /ip4/192.0.2.1/tcp/7461/p2p/12D3Koo…", clip(a))
		}
	}
	return nil
}

// isOrigin tells whether a URL may stand in a manifest, as far as its text tells.
func isOrigin(u string) bool {
	scheme, rest, ok := strings.Cut(u, "://")
	host, _, _ := strings.Cut(rest, "/")
	return ok && (scheme == "http" || scheme == "https") && len(u) <= MaxURL && ascii(u) &&
		host != "" && !strings.ContainsAny(host, "@?\\") && !strings.Contains(rest, "#")
}

// ascii tells whether s is visible ASCII without spaces.
func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// printable tells whether s is UTF-8 without control characters.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// digestOf is what Manifest.SubHashes says of digests, zero for none.
func digestOf(digests []byte) (d [32]byte) {
	if len(digests) > 0 {
		d = sha256.Sum256(digests)
	}
	return d
}
