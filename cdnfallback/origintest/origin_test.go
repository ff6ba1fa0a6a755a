package origintest_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
)

// The fake is honest: it answers as http.ServeContent does where both can.
func TestHonest(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	site.Text("/f", "0123456789")
	rt, stop := origintest.Pipe(site)
	defer stop()
	for field, want := range map[string]struct {
		status int
		body   string
		part   string
	}{
		"":           {200, "0123456789", ""},
		"bytes=2-4":  {206, "234", "bytes 2-4/10"},
		"bytes=2-":   {206, "23456789", "bytes 2-9/10"},
		"bytes=8-99": {206, "89", "bytes 8-9/10"},
		"bytes=10-":  {416, "", "bytes */10"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/f", nil)
		if err != nil {
			t.Fatal(err)
		}
		if field != "" {
			req.Header.Set("Range", field)
		}
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want.status || string(body) != want.body || resp.Header.Get("Content-Range") != want.part {
			t.Errorf("%q: got %d %q %q, %v; want %+v", field, resp.StatusCode, body, resp.Header.Get("Content-Range"), err, want)
		}
	}
	if site.Served() != 10+3+8+2 || len(site.Requests()) != 5 {
		t.Errorf("%d bytes in %d requests", site.Served(), len(site.Requests()))
	}
}

// Skip, Once and Only say which requests meet a fault.
func TestWhich(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	site.Text("/f", "x")
	site.Text("/g", "x")
	rt, stop := origintest.Pipe(site)
	defer stop()
	site.SetFault(origintest.Fault{
		Status: 500, Skip: 1, Once: true,
		Only: func(r *http.Request) bool { return r.URL.Path == "/f" },
	})
	for i, want := range []struct {
		path   string
		status int
	}{{"/f", 200}, {"/g", 200}, {"/f", 500}, {"/f", 200}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x"+want.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want.status {
			t.Errorf("request %d: got %d, want %d", i, resp.StatusCode, want.status)
		}
	}
}

// A pipe keeps no goroutine when it is stopped, and time in it is the bubble's.
func TestPipeInBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := origintest.New()
		site.Text("/f", "0123456789")
		site.SetFault(origintest.Fault{Drip: time.Hour})
		rt, stop := origintest.Pipe(site)
		defer stop()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/f", nil)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || string(b) != "0123456789" || time.Since(began) != 9*time.Hour {
			t.Errorf("got %q, %v after %v", b, err, time.Since(began))
		}
	})
}
