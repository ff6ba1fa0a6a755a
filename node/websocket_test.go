package node

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
)

// pair writes a certificate for names and its key, and gives their paths.
func pair(t *testing.T, names ...string) (cert, key string) {
	t.Helper()
	c, k, err := origintest.Certificate(names...)
	must(t, err)
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	must(t, os.WriteFile(cert, c, 0o600))
	must(t, os.WriteFile(key, k, 0o600))
	return cert, key
}

// WebSocket over TLS is told by names that its certificate is for, or as the user says.
func TestNames(t *testing.T) {
	t.Parallel()
	cert, key := pair(t, "a.example", "*.b.example", "192.0.2.1")
	listen := []string{"/ip4/192.0.2.1/tcp/7461", "/ip4/192.0.2.1/tcp/443/tls/ws", "/ip4/192.0.2.2/tcp/443/tls/ws", "/ip4/192.0.2.1/tcp/80/ws"}
	for _, tt := range []struct {
		name   string
		cfg    Config
		want   []string
		public bool
	}{
		{"by certificate", Config{Listen: listen, TLSCert: cert, TLSKey: key}, []string{
			"/ip4/192.0.2.1/tcp/7461", "/ip4/192.0.2.1/tcp/443/tls/ws", "/dns4/a.example/tcp/443/tls/ws", "/ip4/192.0.2.1/tcp/80/ws"}, true},
		{"as given", Config{Listen: listen, TLSCert: cert, TLSKey: key, Address: []string{"/dns4/c.example/tcp/8443/tls/ws"}}, []string{
			"/ip4/192.0.2.1/tcp/7461", "/ip4/192.0.2.1/tcp/80/ws", "/dns4/c.example/tcp/8443/tls/ws"}, true},
		{"another address", Config{Listen: listen[:1], Address: []string{"/ip4/192.168.0.1/tcp/1"}}, []string{"/ip4/192.0.2.1/tcp/7461", "/ip4/192.168.0.1/tcp/1"}, false},
	} {
		w, err := newNames(tt.cfg)
		must(t, err)
		var got []string
		for _, a := range w.tell(addrsOf(tt.cfg.Listen...)) {
			got = append(got, a.String())
		}
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v", tt.name, got)
		}
		if w.public(tt.cfg.Listen) != tt.public {
			t.Errorf("%s: public %v", tt.name, !tt.public)
		}
	}
}

// A renewed certificate is taken, one that is half written is not.
func TestCertificateRenewed(t *testing.T) {
	t.Parallel()
	cert, key := pair(t, "a.example")
	c := &certificate{cert: cert, key: key}
	old := c.leaf()
	write := func(from string, at time.Time) {
		b, err := os.ReadFile(from)
		must(t, err)
		must(t, os.WriteFile(cert, b, 0o600))
		must(t, os.Chtimes(cert, at, at))
		c.looked = time.Time{}
	}
	other, otherKey := pair(t, "b.example")
	write(other, time.Unix(1, 0)) // its key is not there yet
	if got := c.leaf(); got == nil || !got.Equal(old) {
		t.Error("a certificate without its key is used")
	}
	b, err := os.ReadFile(otherKey)
	must(t, err)
	must(t, os.WriteFile(key, b, 0o600))
	if got := c.leaf(); !got.Equal(old) {
		t.Error("the file is looked at each time")
	}
	write(other, time.Unix(1, 0))
	if got := c.leaf(); got.Equal(old) {
		t.Error("the renewed certificate is not taken")
	}
}

// WebSocket is dialled when all that is direct had its time, and before relays.
func TestRankWebSocket(t *testing.T) {
	t.Parallel()
	addrs := addrsOf("/dns4/a.example/tcp/443/tls/ws", "/ip4/1.2.3.4/udp/1/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit",
		"/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/udp/1/quic-v1", "/ip4/192.168.1.1/tcp/80/ws", "/ip4/192.168.1.1/tcp/1")
	at := map[string]time.Duration{}
	for _, a := range rankDials(addrs) {
		at[transportName(a.Addr)] = max(at[transportName(a.Addr)], a.Delay)
	}
	if len(at) != 5 || at["wss"] < at["tcp"]+250*time.Millisecond || at["ws"] != at["wss"] || at["p2p-circuit"] <= at["wss"] {
		t.Errorf("delays %v", at)
	}
	if got := rankDials([]ma.Multiaddr{addrs[0]}); len(got) != 1 || got[0].Delay != 0 {
		t.Errorf("alone it waits: %v", got)
	}
}
