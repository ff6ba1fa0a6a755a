package cdnfallback

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// BenchmarkRange reads ranges of 16 MiB into a buffer of 1 MiB, over loopback
// from net/http. bytes/op of memory shows that nothing is copied aside.
func BenchmarkRange(b *testing.B) {
	const size = 64 << 20
	file := make([]byte, size)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
	})
	plain := httptest.NewServer(h)
	defer plain.Close()
	tls := httptest.NewUnstartedServer(h)
	tls.EnableHTTP2 = true
	tls.StartTLS()
	defer tls.Close()
	for name, cfg := range map[string]Config{
		"http1": {URL: plain.URL},
		"http2": {URL: tls.URL, RootCAs: pool(tls)},
	} {
		b.Run(name, func(b *testing.B) {
			cfg.Named = true
			o, err := New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer o.Close()
			const n = 16 << 20
			buf := make([]byte, 1<<20)
			b.SetBytes(n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				body, err := o.Range(b.Context(), "", int64(i%4)*n, n, Validator{Size: size})
				if err != nil {
					b.Fatal(err)
				}
				for range n / len(buf) {
					if _, err := io.ReadFull(body, buf); err != nil {
						b.Fatal(err)
					}
				}
				body.Close()
			}
		})
	}
}
