package cdnfallback

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
)

// streamed reads the file of site whole, in virtual time.
func streamed(ctx context.Context, t *testing.T, h http.Handler) (got []byte, size int64, took time.Duration, err error) {
	t.Helper()
	rt, stop := origintest.Pipe(h)
	defer stop()
	o, err := New(Config{URL: "http://cdn.example.com/file", Transport: rt})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r, size, err := o.Stream(ctx)
	if err != nil {
		return nil, 0, time.Since(began), err
	}
	defer r.Close()
	got, err = io.ReadAll(r)
	return got, size, time.Since(began), err
}

func TestStream(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	file := noise(size)
	tests := map[string]struct {
		fault    origintest.Fault
		requests int
		size     int64
		kind     error // nil: the file comes whole
	}{
		"honest":               {fault: origintest.Fault{}, requests: 1, size: size},
		"no ranges":            {fault: origintest.Fault{NoRange: true}, requests: 1, size: size},
		"no length":            {fault: origintest.Fault{Short: 1 << 30}, requests: 1, size: -1},
		"no validator":         {fault: origintest.Fault{NoValidator: true}, requests: 1, size: size},
		"cut once":             {fault: origintest.Fault{Cut: 300_000, Once: true}, requests: 2, size: size},
		"cut without length":   {fault: origintest.Fault{Cut: 300_000, Short: 1 << 30, Once: true}, requests: 2, size: -1},
		"cut again and again":  {fault: origintest.Fault{Cut: 100_000}, requests: 11, size: size},
		"stalls once":          {fault: origintest.Fault{HangBody: 300_000, Once: true}, requests: 2, size: size},
		"gets nowhere":         {fault: origintest.Fault{Cut: 1000}, requests: 6, kind: ErrTruncated},
		"cut, no validator":    {fault: origintest.Fault{Cut: 300_000, NoValidator: true}, requests: 1, kind: ErrTruncated},
		"cut, no ranges":       {fault: origintest.Fault{Cut: 300_000, NoRange: true}, requests: 2, kind: ErrNoRanges},
		"cut, changes":         {fault: origintest.Fault{Cut: 300_000, NewETag: true}, requests: 2, kind: ErrChanged},
		"shorter than it says": {fault: origintest.Fault{Length: 10}, requests: 2, kind: ErrRange},
		"not there":            {fault: origintest.Fault{Status: 404}, requests: 1, kind: ErrGone},
		"part":                 {fault: origintest.Fault{Status: 206}, requests: 1, kind: ErrRange},
		"encoded":              {fault: origintest.Fault{Gzip: true}, requests: 1, kind: ErrEncoding},
		"directory":            {fault: origintest.Fault{Redirect: "/file/", Once: true}, requests: 2, kind: ErrDirectory},
		"larger than any":      {fault: origintest.Fault{Length: MaxStream}, requests: 1, kind: ErrWrongLength},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				site := origintest.New()
				site.File("/file", bytes.NewReader(file), size)
				site.Text("/file/", "<a href=x>x</a>")
				site.SetFault(tt.fault)
				got, n, _, err := streamed(t.Context(), t, site)
				if !errors.Is(err, tt.kind) {
					t.Fatalf("got %v, want %v", err, tt.kind)
				}
				if tt.kind == nil && (!bytes.Equal(got, file) || n != tt.size) {
					t.Errorf("got %d bytes of %d", len(got), n)
				}
				if !bytes.HasPrefix(file, got) {
					t.Errorf("the %d bytes that came are not the file's", len(got))
				}
				if n := len(site.Requests()); n != tt.requests {
					t.Errorf("%d requests, want %d: %+v", n, tt.requests, site.Requests())
				}
			})
		})
	}
}

// A resume asks for the rest of the same state, and no byte is sent twice.
func TestStreamResumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		site := origintest.New()
		site.File("/file", bytes.NewReader(noise(size)), size)
		site.SetFault(origintest.Fault{Cut: 300_000, Once: true})
		_, _, took, err := streamed(t.Context(), t, site)
		if err != nil {
			t.Fatal(err)
		}
		if r := site.Requests()[1]; r.Range != "bytes=300000-" || r.Header.Get("If-Range") != `"0-1048576"` {
			t.Errorf("resumed with Range %q, If-Range %q", r.Range, r.Header.Get("If-Range"))
		}
		if site.Served() != size {
			t.Errorf("%d bytes were sent, want %d", site.Served(), size)
		}
		if took < MinBackoff/2 || took > MinBackoff {
			t.Errorf("took %v, want one back-off", took)
		}
	})
}

// A busy origin is left alone as long as it asks, and the caller's end comes first.
func TestStreamWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		file := noise(size)
		var site *origintest.Origin
		cut := func() http.Handler {
			n := 0
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch n++; n {
				case 1:
					site.SetFault(origintest.Fault{Cut: 300_000})
				case 2:
					site.SetFault(origintest.Fault{Status: 503, RetryAfter: "90"})
				default:
					site.SetFault(origintest.Fault{})
				}
				site.ServeHTTP(w, r)
			})
		}
		site = origintest.New()
		site.File("/file", bytes.NewReader(file), size)
		got, _, took, err := streamed(t.Context(), t, cut())
		if err != nil || !bytes.Equal(got, file) || took < 90*time.Second || took > 92*time.Second {
			t.Errorf("got %d bytes, %v after %v", len(got), err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_, _, took, err = streamed(ctx, t, cut())
		if _, fault := errors.AsType[*Error](err); !errors.Is(err, context.DeadlineExceeded) || fault || took != 30*time.Second {
			t.Errorf("got %v after %v", err, took)
		}
	})
}
