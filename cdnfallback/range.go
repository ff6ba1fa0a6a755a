package cdnfallback

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
)

// maxSkip is how many bytes before a range are read away when the origin sends
// the whole file. More would cost its bytes for nothing.
const maxSkip = 1 << 20

// Range opens n bytes from off of the file at path below the URL ("" for the URL
// itself; else slash-separated and not escaped). off >= 0, n > 0.
//
// want.Size is the size that the verified tree gives the file, and the origin
// must agree with it; when it is 0 only off and n are checked. The other fields
// of want, from Body.Validator of an earlier answer, make a change of the file
// ErrChanged.
//
// An origin that sends the whole file instead is read from its start if off is
// at most 1 MiB; else it is ErrNoRanges. See also NoRanges.
func (o *Origin) Range(ctx context.Context, path string, off, n int64, want Validator) (*Body, error) {
	if off < 0 || n <= 0 || off > math.MaxInt64-n || want.Size > 0 && off+n > want.Size {
		return nil, fmt.Errorf("origin %s: no range of %d bytes from %d in a file of %d", o.host, n, off, want.Size)
	}
	u, err := o.at(path)
	if err != nil {
		return nil, err
	}
	h := http.Header{}
	if off > 0 || n != want.Size { // the whole file is asked for plainly: caches like that
		h.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
		setIfRange(h, want)
	}
	r, err := o.get(ctx, u, h)
	if err != nil {
		return nil, err
	}
	var b *Body
	if path == "" && isDirectory(o, r) {
		err = o.fault(ErrDirectory, "%s redirects to itself with a slash; give the URL of the file", display(o.base))
	} else {
		b, err = o.ranged(r, h, off, n, want)
	}
	if err != nil {
		r.close()
		o.log.Debug("origin answer refused", "source", o.host, "err", err)
		return nil, err
	}
	return b, nil
}

func setIfRange(h http.Header, want Validator) {
	if v := want.ifRange(); v != "" {
		h.Set("If-Range", v)
	}
}

// ranged checks an answer against the request of h and makes its Body.
func (o *Origin) ranged(r *response, h http.Header, off, n int64, want Validator) (*Body, error) {
	if r.StatusCode == http.StatusPartialContent {
		return o.partial(r, h, off, n, want)
	}
	got := validator(r.Header, r.ContentLength)
	size := r.ContentLength
	switch {
	case want.differs(got):
		return nil, o.changed(want, got)
	case want.Size > 0 && size >= 0 && size != want.Size:
		return nil, o.fault(ErrWrongLength, "the file there has %d bytes, the content %d", size, want.Size)
	case size >= 0 && off+n > size:
		return nil, o.fault(ErrWrongLength, "the file there has %d bytes, and %d from %d are needed", size, n, off)
	}
	if h.Get("Range") != "" {
		o.wholeOnly.Store(true)
		if off > maxSkip {
			return nil, o.fault(ErrNoRanges, "it sends the whole file although bytes from %d on were asked for", off)
		}
	}
	b := &Body{o: o, resp: r, state: got, want: off + n, exact: want.Size > 0 && off+n == want.Size}
	if err := b.skip(off); err != nil {
		return nil, err
	}
	return b, nil
}

// partial checks a 206 answer. n < 0 asks for all that follows off.
func (o *Origin) partial(r *response, h http.Header, off, n int64, want Validator) (*Body, error) {
	if h.Get("Range") == "" {
		return nil, o.fault(ErrRange, "a part (HTTP 206) although the whole file was asked for")
	}
	if t := r.Header.Get("Content-Type"); strings.HasPrefix(strings.ToLower(t), "multipart/") {
		return nil, o.fault(ErrRange, "a multipart answer to one range")
	}
	field := r.Header.Get("Content-Range")
	cr, err := parseContentRange(field)
	if err != nil || cr.first < 0 {
		return nil, o.fault(ErrRange, "HTTP 206 with Content-Range %.80q", field)
	}
	got := validator(r.Header, cr.total)
	if want.differs(got) {
		return nil, o.changed(want, got)
	}
	if want.Size > 0 && cr.total >= 0 && cr.total != want.Size {
		return nil, o.fault(ErrWrongLength, "the file there has %d bytes, the content %d", cr.total, want.Size)
	}
	if n < 0 {
		n = max(cr.total, want.Size, cr.last+1) - off
	}
	if cr.first != off || cr.last != off+n-1 {
		return nil, o.fault(ErrRange, "bytes %d to %d were asked for, %d to %d are sent", off, off+n-1, cr.first, cr.last)
	}
	if r.ContentLength >= 0 && r.ContentLength != n {
		return nil, o.fault(ErrWrongLength, "Content-Range has %d bytes, Content-Length %d", n, r.ContentLength)
	}
	o.wholeOnly.Store(false)
	return &Body{o: o, resp: r, state: got, want: n, exact: true}, nil
}

func (o *Origin) changed(want, got Validator) error {
	return o.fault(ErrChanged, "it was ETag %.80q of %.40q and is now %.80q of %.40q",
		want.ETag, want.Modified, got.ETag, got.Modified)
}

// isDirectory tells whether the redirects added just a slash to the origin's URL.
func isDirectory(o *Origin, r *response) bool {
	return r.final.Host == o.base.Host && !strings.HasSuffix(o.base.Path, "/") && r.final.Path == o.base.Path+"/"
}
