package node

import (
	"crypto/tls"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
)

// writeCA writes a root certificate and returns its path.
func writeCA(t testing.TB) string {
	t.Helper()
	cert, _, err := origintest.Certificate("127.0.0.1")
	must(t, err)
	path := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(path, cert, 0o600))
	return path
}

// An origin whose certificate a root of the node's or of the fetch vouches for
// is read, and no other.
func TestOriginWithOwnRoot(t *testing.T) {
	t.Parallel()
	data := noise(54, mib+1)
	target, tree := hash(t, put(t, "data.bin", data), AddOptions{})
	o, _ := origin(t, "data.bin", data, tree)
	cert, key, err := origintest.Certificate("127.0.0.1")
	must(t, err)
	pair, err := tls.X509KeyPair(cert, key)
	must(t, err)
	s := httptest.NewUnstartedServer(o)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	t.Cleanup(s.Close)
	path := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(path, cert, 0o600))

	opt := FetchOptions{Origins: []string{s.URL + "/data.bin"}, Timeout: 3 * time.Second}
	_, err = get(t, start(t), target, opt)
	if e := as[*UnavailableError](t, err); !strings.Contains(strings.Join(e.Tried, " "), "TLS failed") {
		t.Errorf("without the root: tried %q", e.Tried)
	}
	mustGet(t, start(t, func(c *Config) { c.CA = path }), target, opt, data)
	opt.CA = string(cert)
	mustGet(t, start(t), target, opt, data)
}

func TestReadCA(t *testing.T) {
	t.Parallel()
	if text, err := ReadCA(""); err != nil || text != "" {
		t.Errorf("got %q, %v", text, err)
	}
	for name, text := range map[string]string{"empty": "", "no PEM": "x", "too long": strings.Repeat("x", maxCA+1)} {
		if _, err := ReadCA(put(t, "ca.pem", []byte(text))); !errors.Is(err, ErrUsage) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := ReadCA("/nowhere/ca.pem"); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "/nowhere/ca.pem") {
		t.Errorf("no file: got %v", err)
	}
}
