package cdnfallback

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Validator names one state of a file at the origin, to notice when it changes
// between requests (RFC 9110, 8.8). The zero value is any state.
type Validator struct {
	Size     int64  // bytes of the whole file; 0: not known
	ETag     string // as the origin gave it, "" if it gave none
	Modified string // Last-Modified as the origin gave it
}

// validator reads the fields of an answer.
func validator(h http.Header, size int64) Validator {
	return Validator{Size: max(size, 0), ETag: h.Get("ETag"), Modified: h.Get("Last-Modified")}
}

// differs tells whether got is another state than v. What either does not know
// is not compared; an ETag decides alone, weak or strong.
func (v Validator) differs(got Validator) bool {
	if v.ETag != "" && got.ETag != "" {
		return strings.TrimPrefix(v.ETag, "W/") != strings.TrimPrefix(got.ETag, "W/")
	}
	return v.Modified != "" && got.Modified != "" && v.Modified != got.Modified
}

// ifRange is what If-Range may carry: a strong ETag, else the date (RFC 9110, 13.1.5).
func (v Validator) ifRange() string {
	if v.ETag != "" && !strings.HasPrefix(v.ETag, "W/") {
		return v.ETag
	}
	return v.Modified
}

// Body is the bytes of a file or range. It reads from the connection into the
// caller's buffer, without a copy when the buffer has at least 256 KiB. One
// owner; Close it always.
type Body struct {
	o     *Origin
	resp  *response
	state Validator
	want  int64 // bytes of the body, or its limit if !exact
	read  int64
	exact bool // want is the body's end; false: a longer one may be cut there, or want is a limit
	open  bool // the length is not known: end where the origin does, want is a limit
	err   error
}

// Validator is the state that the origin says the file is in.
func (b *Body) Validator() Validator { return b.state }

// Read reads into p. At the end of what was asked for it gives io.EOF; an early
// or late end, a stall and a lost connection are an *Error.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.read == b.want {
		b.err = b.end()
		return 0, b.err
	}
	p = p[:min(int64(len(p)), b.want-b.read)]
	b.resp.dog.wait()
	n, err := b.resp.Body.Read(p)
	b.resp.dog.got(n)
	b.read += int64(n)
	if err == nil || b.read == b.want {
		return n, nil // an error here comes again, or does not matter
	}
	if err == io.EOF && b.open {
		b.err = io.EOF
	} else {
		b.err = b.fail(err)
	}
	return n, b.err
}

// end is the error after the last byte: io.EOF, unless the origin has more.
func (b *Body) end() error {
	if !b.exact && !b.open {
		return io.EOF
	}
	if b.resp.ContentLength >= 0 {
		return io.EOF // the header was checked, and net/http holds the body to it
	}
	b.resp.dog.wait()
	n, err := io.ReadFull(b.resp.Body, make([]byte, 1))
	b.resp.dog.got(n)
	switch {
	case n > 0:
		return b.o.fault(ErrWrongLength, "it sends more than %d bytes", b.want)
	case err != io.EOF:
		return b.fail(err)
	}
	return io.EOF
}

// fail gives an error of the connection its final form.
func (b *Body) fail(err error) error {
	if cause := b.resp.ended(); cause != nil {
		return fmt.Errorf("origin %s: %w", b.o.host, cause)
	}
	if b.resp.stalled() {
		return b.o.fault(ErrStalled, "no more than %d bytes in %v, after %d", minProgress, b.o.stall, b.read)
	}
	of := ""
	if !b.open {
		of = fmt.Sprintf(" of %d", b.want)
	}
	switch {
	case err == io.EOF && (len(b.resp.TransferEncoding) > 0 || b.resp.ProtoMajor >= 2):
		return b.o.fault(ErrWrongLength, "it sends only %d%s bytes", b.read, of)
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return b.o.fault(ErrTruncated, "the connection closed after %d%s bytes", b.read, of)
	}
	return b.o.fault(ErrTruncated, "after %d%s bytes: %w", b.read, of, err)
}

// skip reads n bytes away.
func (b *Body) skip(n int64) error {
	_, err := io.CopyN(io.Discard, b, n)
	return err
}

// Close ends the request. The connection is kept if the body was read to its end.
func (b *Body) Close() error {
	b.resp.close()
	if b.err == nil {
		b.err = http.ErrBodyReadAfterClose
	}
	return nil
}
