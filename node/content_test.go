package node

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
)

// open is Open of content that is closed with the test.
func open(t *testing.T, n *Node, target merkle.Target, opt FetchOptions) *Content {
	t.Helper()
	opt.Timeout = 20 * time.Second
	c, err := n.Open(t.Context(), target, opt)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

// Reads anywhere are right while the content arrives, and cost little more than
// what was read.
func TestReadWhileFetching(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"unixfs-v1-2025", "unixfs-v0-2015"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			data := noise(130, 6*mib+321)
			a, b := start(t, upload("20MB/s")), start(t)
			target := share(t, a, put(t, "data.bin", data), AddOptions{Profile: profile})
			c := open(t, b, target, from(a))
			if c.Size() != int64(len(data)) {
				t.Fatalf("size %d; want %d", c.Size(), len(data))
			}
			r := rand.New(rand.NewPCG(1, 2))
			buf := make([]byte, 300_000)
			for range 40 {
				off := r.Int64N(c.Size())
				p := buf[:1+r.IntN(len(buf))]
				n, err := c.ReadAt(p, off)
				want := data[off:min(off+int64(len(p)), c.Size())]
				if !bytes.Equal(p[:n], want) {
					t.Fatalf("ReadAt(%d bytes, %d) gave %d wrong bytes", len(p), off, n)
				}
				if (n < len(p)) != errors.Is(err, io.EOF) && err != nil {
					t.Fatalf("ReadAt(%d bytes, %d) = %d, %v", len(p), off, n, err)
				}
			}
			if _, err := c.ReadAt(buf, c.Size()); !errors.Is(err, io.EOF) {
				t.Errorf("ReadAt at the end: %v; want io.EOF", err)
			}
		})
	}
}

// What is not read is not fetched, but for a little ahead.
func TestReadLittle(t *testing.T) {
	t.Parallel()
	data := noise(131, 40*mib)
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	c := open(t, b, target, from(a))
	buf := make([]byte, 1000)
	_, err := c.ReadAt(buf, 5*mib)
	must(t, err)
	if !bytes.Equal(buf, data[5*mib:][:1000]) {
		t.Error("wrong bytes")
	}
	received := func() int64 { return b.exchange.Balance(a.self).Received }
	for before := int64(-1); received() != before; time.Sleep(300 * time.Millisecond) { // until nothing more comes
		before = received()
	}
	if got := received(); got > (readAhead+2)*mib {
		t.Errorf("%d bytes came for one read; want at most what is read ahead", got)
	}
}

func TestReaderContract(t *testing.T) {
	t.Parallel()
	data := noise(132, 2*mib+100)
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	mustGet(t, b, target, from(a), data)
	c := open(t, b, target, FetchOptions{})
	must(t, iotest.TestReader(c, data))
}

// http.ServeContent works on it, ranges included.
func TestServeContent(t *testing.T) {
	t.Parallel()
	data := noise(133, 3*mib)
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	c := open(t, b, target, from(a))
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/data.bin", nil)
	r.Header.Set("Range", "bytes=1500000-2500000")
	http.ServeContent(w, r, "data.bin", time.Time{}, c)
	if w.Code != http.StatusPartialContent || !bytes.Equal(w.Body.Bytes(), data[1500000:2500001]) {
		t.Errorf("status %d with %d bytes", w.Code, w.Body.Len())
	}
}

func TestCatRange(t *testing.T) {
	t.Parallel()
	data := noise(134, 2*mib+10)
	end := int64(len(data))
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	tests := []struct {
		from, to int64
		want     []byte
	}{
		{0, -1, data},
		{0, 0, data[:1]},
		{mib - 2, mib + 2, data[mib-2 : mib+3]},
		{end - 1, -1, data[end-1:]},
		{end - 5, end + 100, data[end-5:]},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		if err := b.Cat(t.Context(), target, tt.from, tt.to, &out, from(a)); err != nil {
			t.Errorf("Cat %d to %d: %v", tt.from, tt.to, err)
		}
		if !bytes.Equal(out.Bytes(), tt.want) {
			t.Errorf("Cat %d to %d gave %d bytes that are not the %d expected", tt.from, tt.to, out.Len(), len(tt.want))
		}
	}
	for _, at := range []int64{end, end + 5} {
		if err := b.Cat(t.Context(), target, at, -1, io.Discard, from(a)); !errors.Is(err, ErrUsage) {
			t.Errorf("Cat from %d of %d: %v; want ErrUsage", at, end, err)
		}
	}
}

func TestCatEmptyAndDirectory(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t)
	empty := share(t, a, put(t, "empty", nil), AddOptions{})
	var out bytes.Buffer
	if err := b.Cat(t.Context(), empty, 0, -1, &out, from(a)); err != nil || out.Len() != 0 {
		t.Errorf("Cat of an empty file gave %q, %v", out.String(), err)
	}
	dir := share(t, a, makeTree(t), AddOptions{})
	if err := b.Cat(t.Context(), dir, 0, -1, &out, from(a)); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "directory") {
		t.Errorf("Cat of a directory: %v; want ErrUsage that says so", err)
	}
	dir.Path = "bin/run.sh"
	if err := b.Cat(t.Context(), dir, 0, -1, &out, from(a)); err != nil || out.String() != "#!/bin/sh\n" {
		t.Errorf("Cat of a file in a directory gave %q, %v", out.String(), err)
	}
}

// A reader that waits in vain gets the error of the fetch, and none before.
func TestReadInVain(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", noise(135, 3*mib)), AddOptions{})
	opt := from(a)
	opt.Timeout = 5 * time.Second // long enough to open on a busy machine
	c, err := b.Open(t.Context(), target, opt)
	must(t, err)
	defer c.Close()
	must(t, a.Close())
	_, err = c.ReadAt(make([]byte, 10), 2*mib)
	as[*UnavailableError](t, err)
}
