package cdnfallback

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
)

// noise is n bytes that differ everywhere.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

// serve starts h on loopback and gives a named origin for it with path.
func serve(t *testing.T, h http.Handler, path string, change ...func(*Config)) *Origin {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	cfg := Config{URL: s.URL + path, Named: true}
	for _, c := range change {
		c(&cfg)
	}
	o, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

// read opens a range and reads it.
func read(ctx context.Context, o *Origin, path string, off, n int64, want Validator) ([]byte, error) {
	b, err := o.Range(ctx, path, off, n, want)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

const fileSize = 3 << 20

type asked struct{ off, n int64 }

var (
	known = Validator{Size: fileSize}
	part  = asked{2 << 20, 1000}
	head  = asked{0, 1000}
	all   = asked{0, fileSize}
)

var rangeFaults = map[string]struct {
	fault origintest.Fault
	span  asked
	want  Validator
	kind  error // nil: the bytes come
}{
	"honest part":              {span: part, want: known},
	"honest head":              {span: head, want: known},
	"honest whole":             {span: all, want: known},
	"size not known":           {span: part},
	"last byte":                {span: asked{fileSize - 1, 1}, want: known},
	"404":                      {fault: origintest.Fault{Status: 404}, span: part, want: known, kind: ErrGone},
	"410":                      {fault: origintest.Fault{Status: 410}, span: part, want: known, kind: ErrGone},
	"401":                      {fault: origintest.Fault{Status: 401}, span: part, want: known, kind: ErrRefused},
	"403":                      {fault: origintest.Fault{Status: 403}, span: part, want: known, kind: ErrRefused},
	"400":                      {fault: origintest.Fault{Status: 400}, span: part, want: known, kind: ErrRefused},
	"429":                      {fault: origintest.Fault{Status: 429}, span: part, want: known, kind: ErrBusy},
	"503":                      {fault: origintest.Fault{Status: 503}, span: part, want: known, kind: ErrBusy},
	"500":                      {fault: origintest.Fault{Status: 500}, span: part, want: known, kind: ErrServer},
	"204":                      {fault: origintest.Fault{Status: 204}, span: part, want: known, kind: ErrServer},
	"304":                      {fault: origintest.Fault{Status: 304}, span: part, want: known, kind: ErrServer},
	"416":                      {span: asked{fileSize, 1}, kind: ErrRange},
	"whole file for head":      {fault: origintest.Fault{NoRange: true}, span: head, want: known},
	"whole file, cheap skip":   {fault: origintest.Fault{NoRange: true}, span: asked{1 << 20, 5000}, want: known},
	"whole file, dear skip":    {fault: origintest.Fault{NoRange: true}, span: part, want: known, kind: ErrNoRanges},
	"whole file is longer":     {fault: origintest.Fault{NoRange: true, Length: 5, HangBody: 1}, span: head, want: known, kind: ErrWrongLength},
	"whole file is shorter":    {fault: origintest.Fault{NoRange: true, Length: -5}, span: asked{fileSize - 10, 10}, kind: ErrWrongLength},
	"other total":              {fault: origintest.Fault{Length: 1}, span: part, want: known, kind: ErrWrongLength},
	"other first":              {fault: origintest.Fault{ContentRange: "bytes 1-1000/3145728"}, span: head, want: known, kind: ErrRange},
	"earlier first":            {fault: origintest.Fault{ContentRange: "bytes 0-1000/3145728"}, span: asked{1, 1000}, want: known, kind: ErrRange},
	"other last":               {fault: origintest.Fault{ContentRange: "bytes 0-1000/3145728"}, span: head, want: known, kind: ErrRange},
	"unsatisfied form":         {fault: origintest.Fault{ContentRange: "bytes */3145728"}, span: head, want: known, kind: ErrRange},
	"Content-Range unreadable": {fault: origintest.Fault{ContentRange: "pages 1-2/3"}, span: head, want: known, kind: ErrRange},
	"multipart":                {fault: origintest.Fault{Type: "multipart/byteranges; boundary=x"}, span: head, want: known, kind: ErrRange},
	"total is a star":          {fault: origintest.Fault{ContentRange: "bytes 0-999/*"}, span: head, want: known},
	"cut":                      {fault: origintest.Fault{Cut: 500}, span: part, want: known, kind: ErrTruncated},
	"whole cut":                {fault: origintest.Fault{Cut: 1 << 20}, span: all, want: known, kind: ErrTruncated},
	"short":                    {fault: origintest.Fault{Short: 500}, span: part, want: known, kind: ErrWrongLength},
	"endless part":             {fault: origintest.Fault{Endless: true}, span: part, want: known, kind: ErrWrongLength},
	"endless whole":            {fault: origintest.Fault{Endless: true}, span: all, want: known, kind: ErrWrongLength},
	"endless, cut by us":       {fault: origintest.Fault{Endless: true, NoRange: true}, span: head, want: known},
	"gzip":                     {fault: origintest.Fault{Gzip: true}, span: part, want: known, kind: ErrEncoding},
	"same ETag":                {span: part, want: Validator{Size: fileSize, ETag: `"0-3145728"`}},
	"weak ETag":                {span: part, want: Validator{Size: fileSize, ETag: `W/"0-3145728"`}},
	"other ETag, whole sent":   {span: part, want: Validator{Size: fileSize, ETag: `"old"`}, kind: ErrChanged},
	"other ETag, part sent":    {fault: origintest.Fault{NewETag: true}, span: part, want: Validator{Size: fileSize, ETag: `"old"`}, kind: ErrChanged},
	"other date":               {span: part, want: Validator{Size: fileSize, Modified: "Thu, 01 Jan 2026 00:00:00 GMT"}, kind: ErrChanged},
	"redirect to ftp":          {fault: origintest.Fault{Redirect: "ftp://x/y"}, span: part, want: known, kind: ErrRedirect},
	"redirect to a file":       {fault: origintest.Fault{Redirect: "file:///etc/hostname"}, span: part, want: known, kind: ErrRedirect},
	"redirect nowhere":         {fault: origintest.Fault{Redirect: "http://%zz/"}, span: part, want: known, kind: ErrRedirect},
	"redirect in a circle":     {fault: origintest.Fault{Redirect: "/file"}, span: part, want: known, kind: ErrRedirect},
	"one redirect":             {fault: origintest.Fault{Redirect: "/file?again", Once: true}, span: part, want: known},
	"directory":                {fault: origintest.Fault{Redirect: "/file/", Once: true}, span: head, want: known, kind: ErrDirectory},
}

func TestRangeFaults(t *testing.T) {
	t.Parallel()
	file := noise(fileSize)
	for name, tt := range rangeFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := origintest.New()
			site.File("/file", bytes.NewReader(file), fileSize)
			site.Text("/file/", string(file))
			site.SetFault(tt.fault)
			o := serve(t, site, "/file")
			got, err := read(t.Context(), o, "", tt.span.off, tt.span.n, tt.want)
			if tt.kind == nil {
				if err != nil || !bytes.Equal(got, file[tt.span.off:tt.span.off+tt.span.n]) {
					t.Fatalf("got %d bytes, %v", len(got), err)
				}
				return
			}
			if !errors.Is(err, tt.kind) {
				t.Fatalf("got %v, want %v", err, tt.kind)
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Origin != o.Host() || e.Kind != tt.kind {
				t.Fatalf("got %#v, want an Error of %s, %v", err, o.Host(), tt.kind)
			}
			if int64(len(got)) > tt.span.n {
				t.Fatalf("%d bytes came, %d were asked for", len(got), tt.span.n)
			}
		})
	}
}

// The time-outs pass in virtual time, over connections in memory.
func TestStalls(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault origintest.Fault
		after time.Duration
		kind  error
	}{
		"no header":        {origintest.Fault{HangHeader: true}, 15 * time.Second, ErrStalled},
		"no body":          {origintest.Fault{HangBody: 1}, 15 * time.Second, ErrStalled},
		"stops":            {origintest.Fault{HangBody: 100_000}, 15 * time.Second, ErrStalled},
		"drips":            {origintest.Fault{Drip: time.Second}, 15 * time.Second, ErrStalled},
		"slow but going":   {origintest.Fault{Drip: 3 * time.Millisecond}, 600 * time.Second, nil},
		"redirect, hangs":  {origintest.Fault{Redirect: "/hang"}, 15 * time.Second, ErrStalled},
		"refusal, honest":  {origintest.Fault{Status: 500}, 0, ErrServer},
		"callers deadline": {origintest.Fault{HangHeader: true, Skip: 0}, 10 * time.Second, context.DeadlineExceeded},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const size = 200_000
				site := origintest.New()
				site.File("/file", bytes.NewReader(noise(size)), size)
				site.SetFault(tt.fault)
				h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/hang" {
						<-r.Context().Done()
						return
					}
					site.ServeHTTP(w, r)
				})
				rt, stop := origintest.Pipe(h)
				defer stop()
				o, err := New(Config{URL: "http://cdn.example.com/file", Transport: rt})
				if err != nil {
					t.Fatal(err)
				}
				ctx := t.Context()
				if tt.kind == context.DeadlineExceeded {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.after)
					defer cancel()
				}
				began := time.Now()
				_, err = read(ctx, o, "", 0, size, Validator{Size: size})
				if !errors.Is(err, tt.kind) {
					t.Fatalf("got %v, want %v", err, tt.kind)
				}
				if got := time.Since(began); got.Round(100*time.Millisecond) != tt.after {
					t.Errorf("ended after %v, want %v", got, tt.after)
				}
				if _, fault := errors.AsType[*Error](err); fault == (tt.kind == context.DeadlineExceeded) && err != nil {
					t.Errorf("%v: the caller's own end must not be an Error, all else must", err)
				}
			})
		})
	}
}

// A reader that takes its time is not a stall of the origin.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 100_000
		file := noise(size)
		site := origintest.New()
		site.File("/file", bytes.NewReader(file), size)
		rt, stop := origintest.Pipe(site)
		defer stop()
		o, err := New(Config{URL: "http://cdn.example.com/file", Transport: rt})
		if err != nil {
			t.Fatal(err)
		}
		b, err := o.Range(t.Context(), "", 0, size, Validator{Size: size})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		var got []byte
		for buf := make([]byte, 1000); ; {
			time.Sleep(time.Minute)
			n, err := b.Read(buf)
			got = append(got, buf[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, file) {
			t.Fatalf("got %d bytes", len(got))
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	site := origintest.New()
	site.SetFault(origintest.Fault{Status: 429, RetryAfter: "7"})
	o := serve(t, site, "/file")
	_, err := read(t.Context(), o, "", 0, 10, Validator{})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.RetryAfter != 7*time.Second || e.Status != 429 {
		t.Fatalf("got %#v", err)
	}
}

// The length of a part has to be the one its Content-Range says.
func TestPartOfAnotherLength(t *testing.T) {
	t.Parallel()
	for _, length := range []string{"4", "6"} {
		o := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 5-9/100")
			w.Header().Set("Content-Length", length)
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, "567890"[:length[0]-'0'])
		}), "/f")
		b, err := o.Range(t.Context(), "", 5, 5, Validator{Size: 100})
		if !errors.Is(err, ErrWrongLength) {
			t.Errorf("length %s: got %v, %v", length, b, err)
		}
	}
}

// If-Range carries what the origin gave: a strong ETag, else the date.
func TestIfRange(t *testing.T) {
	t.Parallel()
	const date = "Fri, 02 Jan 2026 03:04:05 GMT"
	for want, v := range map[string]Validator{
		`"0-10"`: {ETag: `"0-10"`, Modified: date},
		date:     {ETag: `W/"0-10"`, Modified: date},
		"":       {ETag: `W/"0-10"`},
	} {
		site := origintest.New()
		site.Text("/f", "0123456789")
		o := serve(t, site, "/f")
		if _, err := read(t.Context(), o, "", 5, 5, v); err != nil {
			t.Errorf("%+v: %v", v, err)
		}
		if got := site.Requests()[0].Header.Get("If-Range"); got != want {
			t.Errorf("%+v: got If-Range %q, want %q", v, got, want)
		}
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for want, all := range map[error][]error{
		ErrPrivate:     {&net.OpError{Op: "dial", Err: &privateError{}}},
		ErrTLS:         {&tls.CertificateVerificationError{Err: io.EOF}, tls.RecordHeaderError{}, tls.AlertError(40), errors.New("remote error: tls: x")},
		ErrServer:      {errors.New("net/http: malformed HTTP response"), errors.New("net/http: server response headers exceeded 1 bytes")},
		ErrUnreachable: {io.EOF, &net.DNSError{}, &net.OpError{Op: "dial", Err: io.EOF}},
	} {
		for _, err := range all {
			if got := classify(fmt.Errorf("get: %w", err)); got != want {
				t.Errorf("%v: got %v, want %v", err, got, want)
			}
		}
	}
}
