package cdnfallback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
)

// MaxStream bounds a file whose size the origin does not tell, bytes: the
// largest that a tree can name.
const MaxStream int64 = merkle.MaxPieces * merkle.MaxLeaf

// Limits of resuming a stream.
const (
	maxResumes  = 5        // in a row that bring less than resumeGains
	resumeGains = 64 << 10 // bytes
)

// Stream opens the whole file at the URL from its start, for content whose tree
// is not known. size is -1 when the origin does not tell it.
//
// A connection that is lost or stalls is resumed where it ended, after a
// Backoff, if the origin names the file's state by ETag or Last-Modified and
// still has that state; up to 5 times in a row without getting on. ctx bounds
// the whole stream, the waits included.
func (o *Origin) Stream(ctx context.Context) (r io.ReadCloser, size int64, err error) {
	b, err := o.openStream(ctx, 0, Validator{})
	if err != nil {
		return nil, 0, err
	}
	size = b.want
	if b.open {
		size = -1
	}
	s := &stream{o: o, body: b, state: b.state, rng: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	s.reopen = func(off int64) (*Body, error) { return o.openStream(ctx, off, s.state) }
	s.pause = func(until time.Time) error { return pause(ctx, until) }
	return s, size, nil
}

// openStream opens all bytes from off on, of the file in the state want.
func (o *Origin) openStream(ctx context.Context, off int64, want Validator) (*Body, error) {
	h := http.Header{}
	if off > 0 {
		h.Set("Range", fmt.Sprintf("bytes=%d-", off))
		setIfRange(h, want)
	}
	r, err := o.get(ctx, o.base, h)
	if err != nil {
		return nil, err
	}
	b, err := o.streamed(r, h, off, want)
	if err != nil {
		r.close()
		return nil, err
	}
	return b, nil
}

// streamed checks an answer to openStream.
func (o *Origin) streamed(r *response, h http.Header, off int64, want Validator) (*Body, error) {
	if off > 0 {
		if r.StatusCode != http.StatusPartialContent {
			if got := validator(r.Header, r.ContentLength); want.differs(got) {
				return nil, o.changed(want, got)
			}
			return nil, o.fault(ErrNoRanges, "the download broke after %d bytes and the origin cannot resume", off)
		}
		return o.partial(r, h, off, -1, want)
	}
	if isDirectory(o, r) {
		return nil, o.fault(ErrDirectory,
			"%s redirects to itself with a slash; to fetch a directory, put its .shoal file beside it, or find a peer", display(o.base))
	}
	if r.StatusCode != http.StatusOK {
		return nil, o.fault(ErrRange, "a part (HTTP 206) although the whole file was asked for")
	}
	b := &Body{o: o, resp: r, state: validator(r.Header, r.ContentLength), want: r.ContentLength, exact: true}
	if r.ContentLength < 0 {
		b.want, b.open, b.exact = MaxStream, true, false
	}
	if b.want > MaxStream {
		return nil, o.fault(ErrWrongLength, "%d bytes are more than any content can have", b.want)
	}
	return b, nil
}

// stream is a Body that goes on in another one when it breaks.
type stream struct {
	o       *Origin
	body    *Body // nil after a failed resume
	state   Validator
	read    int64 // bytes given to the caller
	gained  int64 // since the last resume
	resumes int   // in a row
	backoff Backoff
	rng     *rand.Rand
	err     error

	reopen func(off int64) (*Body, error)
	pause  func(until time.Time) error
}

// Read reads into p, resuming as Stream says.
func (s *stream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.body.Read(p)
	s.read += int64(n)
	s.gained += int64(n)
	if err == nil || err == io.EOF {
		s.err = err
		return n, err
	}
	if err = s.resume(err); err != nil {
		s.err = err
		return n, err
	}
	return n, nil
}

// resume opens the rest of the file after cause, or says why it cannot.
func (s *stream) resume(cause error) error {
	s.body.Close()
	if s.gained >= resumeGains {
		s.resumes, s.backoff = 0, Backoff{}
	}
	s.gained = 0
	for {
		if !Passing(cause) {
			return cause
		}
		if s.state.ifRange() == "" {
			return fmt.Errorf("%w; it cannot be resumed, as the origin gives no ETag or Last-Modified", cause)
		}
		if s.resumes++; s.resumes > maxResumes {
			return fmt.Errorf("%w; resumed %d times without getting on", cause, maxResumes)
		}
		if err := s.pause(s.backoff.OnFailure(time.Now(), cause, s.rng)); err != nil {
			return fmt.Errorf("origin %s: %w", s.o.host, err)
		}
		s.o.log.Debug("origin stream resumes", "source", s.o.host, "offset", s.read, "err", cause)
		b, err := s.reopen(s.read)
		if err == nil {
			s.body = b
			return nil
		}
		cause = err
	}
}

// Passing tells whether err may be gone at the next try.
func Passing(err error) bool {
	for _, kind := range []error{ErrTruncated, ErrStalled, ErrUnreachable, ErrBusy, ErrServer} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// pause waits until a time or the end of ctx.
func pause(ctx context.Context, until time.Time) error {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// Close ends the stream.
func (s *stream) Close() error {
	if s.err == nil {
		s.err = http.ErrBodyReadAfterClose
	}
	return s.body.Close()
}
