package cdnfallback

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
)

// Kind tells what stands at an origin's URL.
type Kind uint8

// The kinds.
const (
	Unknown Kind = iota
	// File is one file, or a directory whose URL has no slash at its end: Range
	// with a path asks below it.
	File
	// Tree is a directory: its files are read with Range and their path.
	Tree
	// Gateway serves blocks by CID: they are read with Block.
	Gateway
)

func (k Kind) String() string {
	return [...]string{"unknown", "file", "tree", "gateway"}[k]
}

const rawBlock = "application/vnd.ipld.raw"

// emptyCID is the empty identity CID, which every trustless gateway answers from
// the name alone: the probe of the trustless gateway specification.
var emptyCID = cid.MustParse("bafkqaaa")

// Kind tells what the origin is; root is what is about to be fetched from it.
//
// A URL whose path ends in /ipfs or has /ipfs/CID in it is a gateway, another
// path with a slash at its end a tree, any other a file. A URL with no path may
// be a gateway or a tree: it is asked for the empty block, and if it does not
// give that for the block of root. The answer is kept; an error (no answer, or a busy
// origin) decides nothing, and the next call asks again.
func (o *Origin) Kind(ctx context.Context, root cid.Cid) (Kind, error) {
	o.mu.Lock()
	kind := o.kind
	o.mu.Unlock()
	if kind != Unknown {
		return kind, nil
	}
	kind, err := o.decide(ctx, root)
	if err != nil {
		return Unknown, err
	}
	o.mu.Lock()
	o.kind = kind
	o.mu.Unlock()
	return kind, nil
}

func (o *Origin) decide(ctx context.Context, root cid.Cid) (Kind, error) {
	switch _, shaped := gatewayBase(o.base); {
	case shaped:
		return Gateway, nil
	case strings.Trim(o.base.Path, "/") == "" && o.base.RawQuery == "":
		return o.probe(ctx, root)
	case strings.HasSuffix(o.base.Path, "/"):
		return Tree, nil
	}
	return File, nil
}

// probe asks a bare host for blocks.
func (o *Origin) probe(ctx context.Context, root cid.Cid) (Kind, error) {
	for _, c := range []cid.Cid{emptyCID, root} {
		if !c.Defined() {
			continue
		}
		b, kind, err := o.block(ctx, c)
		if err == nil {
			sum, err := c.Prefix().Sum(b)
			if err == nil && sum.Equals(c) && (kind == rawBlock || len(b) > 0) {
				return Gateway, nil
			}
			continue // it answers any path
		}
		if ctx.Err() != nil || errors.Is(err, ErrBusy) || errors.Is(err, ErrUnreachable) ||
			errors.Is(err, ErrTLS) || errors.Is(err, ErrPrivate) {
			return Unknown, err
		}
	}
	return Tree, nil
}

// gatewayBase is the path, escaped and without a slash at its end, below which
// /ipfs/CID stands. shaped tells whether the URL itself shows that it is a gateway.
func gatewayBase(u *url.URL) (base string, shaped bool) {
	p := strings.TrimSuffix(u.EscapedPath(), "/")
	if base, ok := strings.CutSuffix(p, "/ipfs"); ok {
		return base, true
	}
	for at := 0; ; {
		i := strings.Index(p[at:], "/ipfs/")
		if i < 0 {
			return p, false
		}
		at += i
		name, _, _ := strings.Cut(p[at+len("/ipfs/"):], "/")
		if _, err := cid.Decode(name); err == nil {
			return p[:at], true
		}
		at += len("/ipfs")
	}
}

// Block asks a gateway for the block of c: at most merkle.MaxBlock bytes, not
// verified. An answer that declares another type than a raw block, or none that
// fits any bytes, is ErrNotBlock.
func (o *Origin) Block(ctx context.Context, c cid.Cid) ([]byte, error) {
	b, _, err := o.block(ctx, c)
	return b, err
}

// block is Block, and tells the media type too, "" if none is declared.
func (o *Origin) block(ctx context.Context, c cid.Cid) (block []byte, kind string, err error) {
	u, err := o.blockURL(c)
	if err != nil {
		return nil, "", err
	}
	r, err := o.get(ctx, u, http.Header{"Accept": {rawBlock}})
	if err != nil {
		return nil, "", err
	}
	defer r.close()
	if kind, err = o.isBlock(r); err != nil {
		return nil, "", err
	}
	b := &Body{o: o, resp: r, want: r.ContentLength, exact: true}
	if r.ContentLength < 0 {
		b.want, b.exact, b.open = merkle.MaxBlock, false, true
	}
	block, err = readBlock(b)
	return block, kind, err
}

// isBlock checks the header of an answer to Block and gives its media type.
func (o *Origin) isBlock(r *response) (kind string, err error) {
	field := r.Header.Get("Content-Type")
	if field != "" {
		kind, _, err = mime.ParseMediaType(field)
	}
	switch {
	case r.StatusCode != http.StatusOK:
		return "", o.fault(ErrRange, "a part (HTTP 206) although a block was asked for")
	case err != nil || field != "" && kind != rawBlock && kind != "application/octet-stream":
		return "", o.fault(ErrNotBlock, "it sends %.60q and not %s, so this is no trustless gateway", field, rawBlock)
	case r.ContentLength > merkle.MaxBlock:
		return "", o.fault(ErrWrongLength, "a block of %d bytes; the limit is %d", r.ContentLength, merkle.MaxBlock)
	}
	return kind, nil
}

// readBlock reads b whole, into memory of the declared size if there is one.
func readBlock(b *Body) (block []byte, err error) {
	if b.open {
		block, err = io.ReadAll(b)
	} else {
		block = make([]byte, b.want)
		_, err = io.ReadFull(b, block)
	}
	if err != nil {
		return nil, err
	}
	return block, nil
}

// blockURL is where a gateway has a block.
func (o *Origin) blockURL(c cid.Cid) (*url.URL, error) {
	base, _ := gatewayBase(o.base)
	u, err := o.withPath(base + "/ipfs/" + c.String())
	if err != nil {
		return nil, err
	}
	q := u.Query()
	q.Set("format", "raw")
	u.RawQuery = q.Encode()
	return u, nil
}
