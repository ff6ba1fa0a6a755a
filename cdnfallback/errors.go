package cdnfallback

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// The kinds of an [Error]. Test for them with errors.Is.
var (
	// ErrGone: the URL names nothing there (HTTP 404 or 410).
	ErrGone = errors.New("not there")
	// ErrRefused: the origin wants other credentials, or refuses the request (other HTTP 4xx).
	ErrRefused = errors.New("access refused")
	// ErrBusy: the origin asks to come back later (HTTP 429 or 503); see Error.RetryAfter.
	ErrBusy = errors.New("busy")
	// ErrServer: an answer that does not belong here (other 5xx, other 2xx, broken HTTP).
	ErrServer = errors.New("unexpected answer")
	// ErrUnreachable: no name, no route, no connection, or it broke before the answer.
	ErrUnreachable = errors.New("unreachable")
	// ErrTLS: the server's certificate or handshake is not acceptable.
	ErrTLS = errors.New("TLS failed")
	// ErrPrivate: the address is loopback, link-local or private, and the user did not name it.
	ErrPrivate = errors.New("address is not public")
	// ErrRedirect: too many redirects, a circle, a scheme other than http(s), or https to http.
	ErrRedirect = errors.New("redirect refused")
	// ErrDirectory: the URL without a path redirects to itself with a slash: it is a directory.
	ErrDirectory = errors.New("is a directory")
	// ErrStalled: no answer, or fewer than 4 KiB of it, within the time-out.
	ErrStalled = errors.New("stalled")
	// ErrTruncated: the connection ended before the body did. Asking again may help.
	ErrTruncated = errors.New("ended early")
	// ErrWrongLength: the length that the origin declares or sends is not the content's.
	ErrWrongLength = errors.New("wrong length")
	// ErrRange: the answer is for another range than the one asked for, or HTTP 416.
	ErrRange = errors.New("wrong range")
	// ErrNoRanges: the origin sends whole files only; read it with Stream.
	ErrNoRanges = errors.New("no range requests")
	// ErrEncoding: the body is compressed although that was not asked for.
	ErrEncoding = errors.New("body is encoded")
	// ErrChanged: ETag or Last-Modified is not the one of the earlier request.
	ErrChanged = errors.New("content changed between requests")
	// ErrNotBlock: the answer is not a raw block, so the URL is no trustless gateway.
	ErrNotBlock = errors.New("not a raw block")
)

// Error is a failure that is the origin's, or the way to it. The end of the
// caller's own context is never an Error.
type Error struct {
	Origin     string        // host and port as named, without credentials or path
	Status     int           // HTTP status, 0 without one
	Kind       error         // one of the Err values of this package
	RetryAfter time.Duration // what the origin asked for, 0 if it did not; unbounded
	Err        error         // the details, never nil
}

// Error says which origin, what, why and what to do.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "origin %s: %v", e.Origin, e.Kind)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, " (it asks to wait %v)", e.RetryAfter)
	}
	return b.String()
}

// Unwrap gives the kind and the details.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// fault makes an Error without a status.
func (o *Origin) fault(kind error, format string, args ...any) *Error {
	return &Error{Origin: o.host, Kind: kind, Err: fmt.Errorf(format, args...)}
}

// refusal turns an answer with a status that carries no content into an Error.
func (o *Origin) refusal(resp *http.Response, now time.Time) *Error {
	e := &Error{Origin: o.host, Status: resp.StatusCode}
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound || code == http.StatusGone:
		e.Kind, e.Err = ErrGone, errors.New("check the path of the URL, and that the file was uploaded")
	case code == http.StatusRequestedRangeNotSatisfiable:
		e.Kind, e.Err = ErrRange, errors.New("the file there is shorter than the content is")
		if r, err := parseContentRange(resp.Header.Get("Content-Range")); err == nil && r.total >= 0 {
			e.Err = fmt.Errorf("the file there has only %d bytes; it is another one, or not all of it", r.total)
		}
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		e.Kind, e.Err = ErrBusy, errors.New("it takes no more requests now")
		e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), now)
	case code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusProxyAuthRequired:
		e.Kind, e.Err = ErrRefused, errors.New("check the credentials (--origin-header, .netrc) or that a signed URL has not expired")
	case code >= 400 && code < 500:
		e.Kind, e.Err = ErrRefused, errors.New("the origin does not take this request")
	case code >= 500:
		e.Kind, e.Err = ErrServer, errors.New("the origin or a cache before it has a fault")
	default:
		e.Kind, e.Err = ErrServer, errors.New("200 or 206 with the content was expected")
	}
	return e
}

// classify names the kind of a failure to connect or to get an answer.
func classify(err error) error {
	var (
		cert   *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
	)
	switch {
	case errors.Is(err, ErrPrivate):
		return ErrPrivate
	case errors.As(err, &cert), errors.As(err, &record), errors.As(err, &alert),
		strings.Contains(err.Error(), "tls: "), // handshake faults have no type of their own
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return ErrTLS
	case strings.Contains(err.Error(), "malformed HTTP"), strings.Contains(err.Error(), "server response headers exceeded"):
		return ErrServer
	}
	return ErrUnreachable
}

// privateError is an address that is further inside than allowed. It is ErrPrivate.
type privateError struct {
	ip    netip.Addr
	reach reach
}

func (e *privateError) Error() string {
	return fmt.Sprintf("%v is %v; only an origin that you name yourself (--origin) may be there", e.ip, e.reach)
}

func (e *privateError) Is(target error) bool { return target == ErrPrivate }
