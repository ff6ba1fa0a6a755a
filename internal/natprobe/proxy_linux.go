package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
)

// proxy is the HTTP proxy of a site: it makes tunnels to the hosts that it is told
// of, each "NAME:PORT=ADDR", and refuses all else. It says "up" when it listens.
func proxy(at string, known []string) error {
	hosts := map[string]string{}
	for _, k := range known {
		name, to, ok := strings.Cut(k, "=")
		if !ok {
			return fmt.Errorf("%q is not NAME:PORT=ADDR", k)
		}
		hosts[name] = to
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	fmt.Println("up")
	return http.Serve(l, origintest.NewProxy(hosts))
}

// certificate writes a certificate for a name, its own root, and its key.
func certificate(name, cert, key string) error {
	c, k, err := origintest.Certificate(name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(cert, c, 0o600); err != nil {
		return err
	}
	return os.WriteFile(key, k, 0o600)
}
