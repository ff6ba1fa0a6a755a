package cdnfallback

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/shoal-p2p/shoal/merkle"
)

// Reach tells how far inside an address is: public, in a private network, or on
// this machine. The zero Reach is public.
type Reach = reach

// ThisMachine is the Reach of all addresses.
const ThisMachine Reach = local

// ShoalFile opens a .shoal file, a signed manifest or a bare tree: the one at the
// URL itself or, if beside, the one at URL.shoal. Merkle reads it. It is bounded
// at merkle.MaxSigned; a longer one is ErrWrongLength. ErrGone when there is
// none, also when the server answers with a page instead. near is how far inside
// the server stands that gave it, redirects counted.
func (o *Origin) ShoalFile(ctx context.Context, beside bool) (r io.ReadCloser, near Reach, err error) {
	u := o.base
	if beside {
		if u, err = o.withPath(strings.TrimSuffix(o.base.EscapedPath(), "/") + ".shoal"); err != nil {
			return nil, 0, err
		}
	}
	resp, err := o.get(ctx, u, http.Header{})
	if err != nil {
		return nil, 0, err
	}
	b, err := o.shoalBody(resp)
	if err != nil {
		resp.close()
		return nil, 0, err
	}
	return b, resp.near, nil
}

// shoalBody checks an answer to ShoalFile.
func (o *Origin) shoalBody(r *response) (*Body, error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.StatusCode != http.StatusOK:
		return nil, o.fault(ErrRange, "a part (HTTP 206) although the whole file was asked for")
	case kind == "text/html":
		return nil, o.fault(ErrGone, "a page stands where the .shoal file would be")
	case r.ContentLength > merkle.MaxSigned:
		return nil, o.fault(ErrWrongLength, "a .shoal file of %d bytes; the limit is %d", r.ContentLength, merkle.MaxSigned)
	}
	b := &Body{o: o, resp: r, state: validator(r.Header, r.ContentLength), want: r.ContentLength, exact: true}
	if r.ContentLength < 0 {
		b.want, b.exact, b.open = merkle.MaxSigned, false, true
	}
	return b, nil
}
