package origintest

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Fault is what is wrong with an origin. Fields may be set together where that
// makes sense; the zero value is honest.
type Fault struct {
	// Skip requests are served honestly before the fault begins; Once ends it
	// after one request; Only, if not nil, limits it to some.
	Skip int
	Once bool
	Only func(*http.Request) bool

	Status       int           // answer with this status and no content
	RetryAfter   string        // the field, with Status
	Redirect     string        // answer with Status (302 if zero) and this Location
	HangHeader   bool          // never answer
	NoRange      bool          // send the whole file always
	Lie          bool          // change one bit of each body
	LieAt        int64         // change one bit of the file at this offset, from 1 on
	ContentRange string        // send this field instead of the right one
	Shift        int64         // send the bytes this far after those that the header says
	Length       int64         // add this to the length of the whole file that is told
	Cut          int64         // cut the connection after so many bytes of body
	HangBody     int64         // stop sending after so many bytes of body
	Short        int64         // end the body, properly, after so many bytes, with no length told
	Endless      bool          // go on after the end with zeros, with no length told
	Drip         time.Duration // send a byte, wait this long, and so on
	Gzip         bool          // compress, and say so
	NoValidator  bool          // no ETag, no Last-Modified
	NewETag      bool          // another ETag in each answer, and If-Range ignored
	Type         string        // this Content-Type
}

// early serves the faults that need no content; false if there is none.
func (f Fault) early(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case f.HangHeader:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case f.Redirect != "":
		w.Header().Set("Location", f.Redirect)
		w.WriteHeader(max(f.Status, http.StatusFound))
	case f.Status != 0:
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		w.WriteHeader(f.Status)
	default:
		return false
	}
	return true
}

// span is the part of a file that is sent.
type span struct{ from, to int64 } // to is not included

// serve sends what r asks of at, with the fault.
func (f Fault) serve(w http.ResponseWriter, r *http.Request, at file) {
	f.validators(w.Header(), at)
	if f.Type != "" {
		w.Header().Set("Content-Type", f.Type)
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	part, status := f.part(r, at)
	if status == http.StatusRequestedRangeNotSatisfiable {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", at.size+f.Length))
		w.WriteHeader(status)
		return
	}
	if status == http.StatusPartialContent {
		field := fmt.Sprintf("bytes %d-%d/%d", part.from, part.to-1, at.size+f.Length)
		if f.ContentRange != "" {
			field = f.ContentRange
		}
		w.Header().Set("Content-Range", field)
	}
	length := part.to - part.from
	if status == http.StatusOK {
		length += f.Length
	}
	if f.Gzip {
		w.Header().Set("Content-Encoding", "gzip")
	}
	if f.Short == 0 && !f.Endless && !f.Gzip {
		w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		f.send(w, r, at, part)
	}
}

// answers makes the ETags of NewETag differ.
var answers atomic.Int64

func (f Fault) validators(h http.Header, at file) {
	if f.NoValidator {
		return
	}
	h.Set("ETag", at.etag)
	h.Set("Last-Modified", modified.Format(http.TimeFormat))
	if f.NewETag {
		h.Set("ETag", fmt.Sprintf(`"answer-%d"`, answers.Add(1)))
	}
}

// part reads Range (one range) and If-Range. The status is 200, 206 or 416.
func (f Fault) part(r *http.Request, at file) (span, int) {
	all := span{0, at.size}
	field, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	from, to, ok2 := strings.Cut(field, "-")
	if !ok || !ok2 || f.NoRange {
		return all, http.StatusOK
	}
	if v := r.Header.Get("If-Range"); v != "" && !f.NewETag && v != at.etag && v != modified.Format(http.TimeFormat) {
		return all, http.StatusOK
	}
	first, err := strconv.ParseInt(from, 10, 64)
	if err != nil {
		return all, http.StatusOK
	}
	end := at.size
	if last, err := strconv.ParseInt(to, 10, 64); err == nil {
		end = min(last+1, at.size)
	}
	if first >= end {
		return all, http.StatusRequestedRangeNotSatisfiable
	}
	return span{first, end}, http.StatusPartialContent
}

// send writes the body.
func (f Fault) send(w http.ResponseWriter, r *http.Request, at file, part span) {
	var body io.Reader = io.NewSectionReader(at.data, part.from+f.Shift, part.to-part.from)
	if f.Lie {
		body = &liar{r: body}
	}
	if skip := f.LieAt - part.from; f.LieAt > 0 && skip >= 0 && skip < part.to-part.from {
		body = io.MultiReader(io.LimitReader(body, skip), &liar{r: body})
	}
	for _, limit := range []int64{f.Cut, f.HangBody, f.Short} {
		if limit > 0 {
			body = io.LimitReader(body, limit)
		}
	}
	if f.Endless {
		body = io.MultiReader(body, zeros{})
	}
	switch {
	case f.Gzip:
		z := gzip.NewWriter(w)
		io.Copy(z, body)
		z.Close()
	case f.Drip > 0:
		drip(w, r, body, f.Drip)
	default:
		io.Copy(w, body)
	}
	http.NewResponseController(w).Flush()
	if f.HangBody > 0 {
		<-r.Context().Done()
	}
	if f.Cut > 0 || f.HangBody > 0 {
		panic(http.ErrAbortHandler)
	}
}

// drip sends a byte at a time.
func drip(w http.ResponseWriter, r *http.Request, body io.Reader, every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		if _, err := io.CopyN(w, body, 1); err != nil {
			return
		}
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-t.C:
		}
	}
}

// liar changes a bit of the first byte.
type liar struct {
	r    io.Reader
	done bool
}

func (l *liar) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if n > 0 && !l.done {
		p[0] ^= 1
		l.done = true
	}
	return n, err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
