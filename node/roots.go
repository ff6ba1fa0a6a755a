package node

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxCA is the largest file of root certificates read, in bytes; those of whole
// systems have a quarter of it.
const maxCA = 1 << 20

var errNoRoots = errors.New("no certificate in it can be read; a root certificate is a PEM file of at most 1 MiB that begins with -----BEGIN CERTIFICATE-----")

// ReadCA reads a file of root certificates as PEM, "" for none. ErrUsage if it
// has none that can be read.
func ReadCA(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%w: ca: %w", ErrUsage, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCA+1))
	if err != nil {
		return "", fmt.Errorf("ca: read %s: %w", path, err)
	}
	if _, err := rootsWith(string(text)); err != nil || len(text) == 0 {
		err = cmp.Or(err, errNoRoots)
		return "", fmt.Errorf("%w: ca %s: %w", ErrUsage, path, err)
	}
	return string(text), nil
}

// rootsWith are the system's root certificates and those of some texts, nil for
// the system's alone.
func rootsWith(pem ...string) (*x509.CertPool, error) {
	var pool *x509.CertPool
	for _, text := range pem {
		if text == "" {
			continue
		}
		if pool == nil {
			var err error
			if pool, err = x509.SystemCertPool(); err != nil {
				pool = x509.NewCertPool() // a system without any
			}
		}
		if len(text) > maxCA || !pool.AppendCertsFromPEM([]byte(text)) {
			return nil, errNoRoots
		}
	}
	return pool, nil
}
