package node

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/shoal-p2p/shoal/internal/route"
)

// names are the addresses by which others dial this node beside those that it
// listens on: given by the user, or those of its certificate.
type names struct {
	given []ma.Multiaddr
	cert  *certificate // nil without one
}

// newNames reads what a Config says of names.
func newNames(cfg Config) (*names, error) {
	w := &names{}
	for _, s := range cfg.Address {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("%w: address %q: %w", ErrUsage, s, err)
		}
		w.given = append(w.given, a)
	}
	if cfg.TLSCert != "" || cfg.TLSKey != "" {
		w.cert = &certificate{cert: cfg.TLSCert, key: cfg.TLSKey}
		if _, err := w.cert.get(nil); err != nil {
			return nil, fmt.Errorf("%w: tls-cert and tls-key: %w", ErrUsage, err)
		}
	}
	for _, s := range cfg.Listen {
		if a, err := ma.NewMultiaddr(s); err == nil && transportName(a) == "wss" && w.cert == nil {
			return nil, fmt.Errorf("%w: listen on %s: WebSocket over TLS needs the certificate of a name: tls-cert and tls-key (flags of node, keys of config.toml, SHOAL_TLS_CERT and SHOAL_TLS_KEY)", ErrUsage, s)
		}
	}
	return w, nil
}

// public reports whether a name among them is one of the internet.
func (w *names) public(listen []string) bool {
	addrs := slices.Clone(w.given)
	for _, s := range listen {
		if a, err := ma.NewMultiaddr(s); err == nil {
			addrs = append(addrs, w.certified(a)...)
		}
	}
	return slices.ContainsFunc(addrs, manet.IsPublicAddr)
}

// tell is what the host tells of its addresses: WebSocket over TLS by names, since
// who dials an IP address could not check the certificate.
func (w *names) tell(addrs []ma.Multiaddr) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, a := range addrs {
		switch {
		case transportName(a) != "wss":
			out = append(out, a)
		case !slices.ContainsFunc(w.given, route.WebSocket):
			out = append(out, w.certified(a)...)
		}
	}
	return ma.Unique(append(out, w.given...))
}

// certified are the addresses of a listener on /tls/ws for each name of the
// certificate, 4 at most, and its own if the certificate is for its IP address.
func (w *names) certified(listen ma.Multiaddr) []ma.Multiaddr {
	if w.cert == nil || transportName(listen) != "wss" {
		return nil
	}
	leaf := w.cert.leaf()
	_, at, err := manet.DialArgs(listen)
	if leaf == nil || err != nil {
		return nil
	}
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return nil
	}
	var out []ma.Multiaddr
	if net.ParseIP(host) != nil && leaf.VerifyHostname(host) == nil {
		out = append(out, listen)
	}
	for _, name := range leaf.DNSNames {
		if a, err := ma.NewMultiaddr("/dns4/" + name + "/tcp/" + port + "/tls/ws"); err == nil && !strings.Contains(name, "*") && len(out) < 4 {
			out = append(out, a)
		}
	}
	return out
}

// certificate is read again when its file has changed: most are renewed every few
// weeks.
type certificate struct {
	cert, key string // files

	mu     sync.Mutex
	now    *tls.Certificate
	from   time.Time // when the file was written that now is from
	looked time.Time
}

// lookAgain is how long a certificate is used without a look at its file.
const lookAgain = time.Minute

// get is a tls.Config's GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now != nil && time.Since(c.looked) < lookAgain {
		return c.now, nil
	}
	c.looked = time.Now()
	fi, err := os.Stat(c.cert)
	if err == nil && (c.now == nil || !fi.ModTime().Equal(c.from)) {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.cert, c.key); err == nil {
			c.now, c.from = &pair, fi.ModTime()
		}
	}
	if c.now == nil {
		return nil, err
	}
	return c.now, nil // the old one, if the new is not whole yet
}

// leaf is the certificate of the node itself, nil if it cannot be read.
func (c *certificate) leaf() *x509.Certificate {
	now, err := c.get(nil)
	if err != nil {
		return nil
	}
	return now.Leaf
}
