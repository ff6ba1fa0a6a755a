package cdnfallback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// maxRedirects is what curl and browsers end at, or before.
const maxRedirects = 10

// hop is one request of a chain of redirects.
type hop struct {
	url     *url.URL
	reach   reach // addresses it may go to
	trusted bool  // gets the credentials: no other host was in between
}

// response is an answer with its body still to be read.
type response struct {
	*http.Response
	final *url.URL // where the redirects led
	near  reach    // of the address that answered, or of one on the way if that was further out
	dog   *watchdog
	// ended is the end of the caller's context, nil before. cancel ends the
	// request; a stall does so through dog.
	ended   func() error
	stalled func() bool
	cancel  context.CancelFunc
}

// close ends the request and frees its connection.
func (r *response) close() {
	r.dog.stop()
	r.Body.Close()
	r.cancel()
}

var errStalled = errors.New("stalled")

// get sends a GET with the fields of h and follows redirects. The status of the
// answer is 200 or 206, and its body is not encoded. The caller closes it.
func (o *Origin) get(ctx context.Context, u *url.URL, h http.Header) (*response, error) {
	rctx, cancel := context.WithCancelCause(ctx)
	r := &response{
		dog:     newWatchdog(o.answer, func() { cancel(errStalled) }),
		ended:   func() error { return context.Cause(ctx) },
		stalled: func() bool { return context.Cause(rctx) == errStalled },
		cancel:  func() { cancel(context.Canceled) },
	}
	began := time.Now()
	err := o.follow(rctx, r, u, h)
	if err == nil {
		err = o.acceptable(r)
		if err != nil {
			r.discard(r.Response)
			r.close()
		}
	} else {
		r.dog.stop()
		r.cancel()
	}
	if err != nil {
		err = o.why(r, err)
		o.log.Debug("origin request failed", "source", o.host, "dur", time.Since(began), "err", err)
		return nil, err
	}
	o.log.Debug("origin answers", "source", o.host, "dur", time.Since(began))
	r.dog.setWindow(o.stall)
	return r, nil
}

// why gives err its final form: the caller's own end and a stall come first.
func (o *Origin) why(r *response, err error) error {
	if cause := r.ended(); cause != nil {
		return fmt.Errorf("origin %s: %w", o.host, cause)
	}
	if r.stalled() {
		return o.fault(ErrStalled, "no answer for %v", o.answer)
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return o.fault(classify(err), "%w", err)
}

// acceptable checks what holds for every answer with content.
func (o *Origin) acceptable(r *response) error {
	if r.StatusCode != http.StatusOK && r.StatusCode != http.StatusPartialContent {
		return o.refusal(r.Response, time.Now())
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return o.fault(ErrEncoding, "the answer is encoded as %.40q although identity was asked for; turn compression off for this content", e)
	}
	return nil
}

// follow goes from hop to hop and puts the answer of the last into r.
func (o *Origin) follow(ctx context.Context, r *response, u *url.URL, h http.Header) error {
	at := hop{url: u, reach: o.reach, trusted: true}
	seen := map[string]bool{}
	for range maxRedirects + 1 {
		if seen[at.url.String()] {
			return o.fault(ErrRedirect, "redirects lead in a circle, back to %s", display(at.url))
		}
		seen[at.url.String()] = true
		r.dog.wait()
		resp, from, err := o.send(ctx, at, h)
		r.dog.got(minProgress)
		if err != nil {
			return err
		}
		if !redirects(resp.StatusCode) {
			r.Response, r.final, r.near = resp, at.url, min(at.reach, from)
			return nil
		}
		r.discard(resp)
		resp.Body.Close()
		if at, err = o.next(at, resp, from); err != nil {
			return err
		}
	}
	return o.fault(ErrRedirect, "more than %d redirects", maxRedirects)
}

// send does one hop. from is the reach of the address that answered: at.reach
// when it cannot be known, public behind a proxy, which may ask whom it likes.
func (o *Origin) send(ctx context.Context, at hop, h http.Header) (resp *http.Response, from reach, err error) {
	var remote atomic.Uint32
	remote.Store(uint32(at.reach))
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		if ap, err := netip.ParseAddrPort(c.Conn.RemoteAddr().String()); err == nil {
			remote.Store(uint32(reachOf(ap.Addr())))
		}
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.url.String(), nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header = h.Clone()
	req.Header.Set("User-Agent", o.agent)
	req.Header.Set("Accept-Encoding", "identity")
	if at.trusted {
		for name, values := range o.header {
			req.Header[name] = values
		}
	}
	if o.proxied(req) {
		if err := o.checkProxied(ctx, at); err != nil {
			return nil, 0, err
		}
		resp, err = o.through.RoundTrip(req)
		return resp, public, err
	}
	if ip, err := netip.ParseAddr(at.url.Hostname()); err == nil {
		if err := at.reach.check(ip); err != nil {
			return nil, 0, err
		}
	}
	resp, err = o.via[at.reach].RoundTrip(req)
	return resp, reach(remote.Load()), err
}

// proxied tells whether req goes through a proxy. What is wrong with the
// proxy's URL is said by the transport.
func (o *Origin) proxied(req *http.Request) bool {
	if o.proxy == nil {
		return false
	}
	u, err := o.proxy(req)
	return u != nil || err != nil
}

func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// next is the hop that resp, a redirect, leads to.
//
// Rules: http and https only, and not from https to http, which would show to
// the path what is fetched. Credentials in a Location are dropped; ours stay
// with the named host, and are not sent again once another host was asked. The
// target may not be further inside than the server that sent us there.
func (o *Origin) next(at hop, resp *http.Response, from reach) (hop, error) {
	to, err := at.url.Parse(resp.Header.Get("Location"))
	switch {
	case err != nil || resp.Header.Get("Location") == "":
		return hop{}, o.fault(ErrRedirect, "HTTP %d without a Location that can be read", resp.StatusCode)
	case to.Scheme != "http" && to.Scheme != "https" || to.Hostname() == "":
		return hop{}, o.fault(ErrRedirect, "to scheme %.20q; only http and https are followed", to.Scheme)
	case at.url.Scheme == "https" && to.Scheme == "http":
		return hop{}, o.fault(ErrRedirect, "from https to http (%s)", display(to))
	}
	to.User, to.Fragment, to.RawFragment = nil, "", ""
	o.log.Debug("origin redirects", "source", o.host, "reason", fmt.Sprintf("HTTP %d to %s", resp.StatusCode, to.Host))
	return hop{
		url:     to,
		reach:   min(at.reach, from),
		trusted: at.trusted && sameHost(o.base, to),
	}, nil
}

// sameHost tells whether to is the named host itself: the same name and port, or
// its https side.
func sameHost(named, to *url.URL) bool {
	if !strings.EqualFold(named.Hostname(), to.Hostname()) {
		return false
	}
	if named.Scheme == to.Scheme {
		return port(named) == port(to)
	}
	return port(named) == "80" && port(to) == "443" // http to https
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// discard reads a short body that says why there is no content, so that its
// connection can be used again.
func (r *response) discard(resp *http.Response) {
	const short = 4 << 10
	if resp.ContentLength >= 0 && resp.ContentLength <= short {
		r.dog.wait()
		io.CopyN(io.Discard, resp.Body, short) // an error only costs the connection
		r.dog.got(minProgress)
	}
}
