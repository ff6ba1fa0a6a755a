package membership

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Limits of an invite's string.
const (
	MaxName  = 64       // bytes of a swarm's name
	MaxAddrs = 8        // addresses to join through
	MaxAddr  = 256      // bytes of each
	MaxToken = 12 << 10 // characters of the string
)

const (
	tokenPrefix   = "shoal-invite-"
	tokenVersion  = 1
	tokenChecksum = 4 // bytes of SHA-256 at the end: against a string cut or mistyped
)

// Token is an invite as people pass it on: one string, a secret.
type Token struct {
	Name  string         // of the swarm, for people
	Addrs []ma.Multiaddr // each with /p2p/ID, of members to join through
	Chain Chain          // ends with the Invite
	Seed  [SeedSize]byte // of the invite's key
}

// Swarm is the swarm that the invite is for, whether it counts or not.
func (t Token) Swarm() (peer.ID, error) {
	if len(t.Chain) == 0 {
		return "", ErrNone
	}
	id, _, err := signerOf(t.Chain[0])
	return id, err
}

// CheckName says whether a swarm may be called so: 1 to MaxName bytes of
// printable UTF-8 without slash, not beginning with a dot or a dash.
func CheckName(name string) error {
	switch {
	case name == "" || len(name) > MaxName || !utf8.ValidString(name):
		return fmt.Errorf("%w: a swarm's name has 1 to %d bytes", ErrMalformed, MaxName)
	case strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r == '\\' || !unicode.IsPrint(r) }):
		return fmt.Errorf("%w: a swarm's name has no slash and no control character", ErrMalformed)
	case name[0] == '.' || name[0] == '-':
		return fmt.Errorf("%w: a swarm's name begins with neither a dot nor a dash", ErrMalformed)
	}
	return nil
}

// String is the invite as text.
func (t Token) String() string {
	e := enc{tokenVersion}
	e.bytes(1, []byte(t.Name))
	for _, a := range t.Addrs {
		e.bytes(2, a.Bytes())
	}
	e.list(3, t.Chain)
	e.bytes(4, t.Seed[:])
	sum := sha256.Sum256(e)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(e, sum[:tokenChecksum]...))
}

// ParseToken reads an invite's string. It checks the form only; CheckInvite says
// whether its chain counts. White space around it is dropped.
func ParseToken(s string) (Token, error) {
	s = strings.TrimSpace(s)
	if len(s) > MaxToken {
		return Token{}, fmt.Errorf("%w: an invite of %d characters", ErrTooLarge, len(s))
	}
	text, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok {
		return Token{}, fmt.Errorf("%w: an invite begins with %s", ErrMalformed, tokenPrefix)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 1+tokenChecksum || bytes.ContainsAny([]byte(text), "\r\n") {
		return Token{}, fmt.Errorf("%w: the invite is cut or mistyped", ErrMalformed)
	}
	b, end := b[:len(b)-tokenChecksum], b[len(b)-tokenChecksum:]
	if sum := sha256.Sum256(b); !bytes.Equal(sum[:tokenChecksum], end) {
		return Token{}, fmt.Errorf("%w: the invite is cut or mistyped", ErrMalformed)
	}
	if b[0] != tokenVersion {
		return Token{}, fmt.Errorf("%w: an invite of version %d; this shoal knows version %d", ErrMalformed, b[0], tokenVersion)
	}
	t, err := decodeToken(b[1:])
	if err == nil && t.String() != s {
		err = fmt.Errorf("%w: not in its one encoding", ErrMalformed)
	}
	if err != nil {
		return Token{}, err
	}
	return t, nil
}

func decodeToken(b []byte) (t Token, err error) {
	err = decode(b, func(f field) error {
		switch {
		case f.n == 1:
			t.Name = string(f.bytes)
		case f.n == 2 && len(t.Addrs) < MaxAddrs && len(f.bytes) <= MaxAddr:
			a, err := ma.NewMultiaddrBytes(f.bytes)
			if err != nil {
				return fmt.Errorf("%w: address: %w", ErrMalformed, err)
			}
			if _, err := a.ValueForProtocol(ma.P_P2P); err != nil {
				return fmt.Errorf("%w: address %v names no peer", ErrMalformed, a)
			}
			t.Addrs = append(t.Addrs, a)
		case f.n == 3 && len(t.Chain) < MaxChain && len(f.bytes) <= MaxLink:
			t.Chain = append(t.Chain, slices.Clone(f.bytes))
		case f.n == 4 && len(f.bytes) == SeedSize:
			t.Seed = [SeedSize]byte(f.bytes)
		default:
			return fmt.Errorf("%w: field %d", ErrMalformed, f.n)
		}
		return nil
	})
	if err == nil {
		err = CheckName(t.Name)
	}
	return t, err
}
