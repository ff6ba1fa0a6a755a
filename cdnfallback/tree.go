package cdnfallback

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/shoal-p2p/shoal/merkle"
)

// maxTreeFile bounds a tree file, bytes: the blocks and what CAR adds to each.
// The smallest interior block that is worth one has more than 64 bytes, and CAR
// adds up to 42 (a varint and a CID).
const maxTreeFile = 2 * merkle.MaxInterior

// TreeFile opens the tree that stands beside the content as URL.shoal: a CAR of
// its interior blocks, read by merkle.ReadCAR and verified by merkle.Tree. It is
// bounded at twice merkle.MaxInterior; a longer one is ErrWrongLength. ErrGone
// when there is none, also when the server answers with a page instead.
func (o *Origin) TreeFile(ctx context.Context) (io.ReadCloser, error) {
	u, err := o.withPath(strings.TrimSuffix(o.base.EscapedPath(), "/") + ".shoal")
	if err != nil {
		return nil, err
	}
	r, err := o.get(ctx, u, http.Header{})
	if err != nil {
		return nil, err
	}
	b, err := o.treeBody(r)
	if err != nil {
		r.close()
		return nil, err
	}
	return b, nil
}

// treeBody checks an answer to TreeFile.
func (o *Origin) treeBody(r *response) (*Body, error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.StatusCode != http.StatusOK:
		return nil, o.fault(ErrRange, "a part (HTTP 206) although the whole file was asked for")
	case kind == "text/html":
		return nil, o.fault(ErrGone, "a page stands where the .shoal file would be")
	case r.ContentLength > maxTreeFile:
		return nil, o.fault(ErrWrongLength, "a .shoal file of %d bytes; the limit is %d", r.ContentLength, maxTreeFile)
	}
	b := &Body{o: o, resp: r, state: validator(r.Header, r.ContentLength), want: r.ContentLength, exact: true}
	if r.ContentLength < 0 {
		b.want, b.exact, b.open = maxTreeFile, false, true
	}
	return b, nil
}
