package cdnfallback

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
)

// Report is what Examine found at an origin that answers.
type Report struct {
	Kind    Kind          // what its URL looks like, or the empty block shows
	Found   bool          // something stands at the URL itself
	Ranges  bool          // it sends parts; only if Found
	Tree    bool          // URL.shoal is there; only if Found
	Proto   string        // such as HTTP/2.0
	TLS     string        // such as TLS 1.3; "" without
	Expires time.Time     // of the server's certificate; zero without TLS
	Proxied bool          // asked through a proxy
	Took    time.Duration // from the request to the answer's header, connecting included
	// Ahead is the origin's clock less ours, give or take Took/2 and a second; zero
	// unless Dated.
	Ahead time.Duration
	Dated bool
}

// Examine asks an origin for its first byte and looks at how it answers. An
// origin that cannot be reached, or refuses, is an *Error as with other requests.
func (o *Origin) Examine(ctx context.Context) (Report, error) {
	var rep Report
	kind, err := o.decide(ctx, cid.Undef)
	if err != nil {
		return rep, err
	}
	u := o.base
	if kind == Gateway { // the URL itself is no content
		u, err = o.blockURL(emptyCID)
		if err != nil {
			return rep, err
		}
	}
	began := time.Now()
	r, err := o.get(ctx, u, http.Header{"Range": {"bytes=0-0"}})
	rep.Kind, rep.Took = kind, time.Since(began)
	if e, ok := errors.AsType[*Error](err); ok && kind == Tree && (e.Kind == ErrGone || e.Status == http.StatusForbidden) {
		rep.Proto = "HTTP" // it answers; a directory need not show itself
		return rep, nil
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == ErrRange && e.Status == http.StatusRequestedRangeNotSatisfiable {
		return rep, nil // an empty file
	}
	if err != nil {
		return rep, err
	}
	defer r.close()
	rep.Found, rep.Ranges, rep.Proto = true, r.StatusCode == http.StatusPartialContent, r.Proto
	if o.proxied(r.Request) {
		rep.Proxied = true
	}
	if r.TLS != nil {
		rep.TLS = tls.VersionName(r.TLS.Version)
		if len(r.TLS.PeerCertificates) > 0 {
			rep.Expires = r.TLS.PeerCertificates[0].NotAfter
		}
	}
	if date, err := http.ParseTime(r.Header.Get("Date")); err == nil {
		// A date has whole seconds: half of one is the best guess at the rest.
		rep.Ahead, rep.Dated = date.Add(time.Second/2).Sub(began.Add(rep.Took/2)), true
	}
	if kind == File && !strings.HasSuffix(o.base.Path, "/") {
		if tree, _, err := o.ShoalFile(ctx, true); err == nil {
			rep.Tree = true
			tree.Close()
		}
	}
	return rep, nil
}
