package origintest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
)

// Origin serves files and blocks, and counts. Its methods may be called from
// many goroutines, also while it serves.
type Origin struct {
	mu       sync.Mutex
	files    map[string]file   // by URL path
	blocks   map[string][]byte // by multihash
	fault    Fault
	left     int // requests that the fault skips
	requests []Request
	bytes    int64
}

type file struct {
	data io.ReaderAt
	size int64
	etag string
}

// Request is one that was served.
type Request struct {
	Path   string // unescaped
	Query  string
	Range  string
	Header http.Header
	Status int   // 0: none sent, or not yet
	Bytes  int64 // of the body, written so far
}

// New makes an origin that has nothing.
func New() *Origin {
	return &Origin{files: map[string]file{}, blocks: map[string][]byte{}}
}

// File makes size bytes of data the file at an URL path, which begins with a
// slash. Its ETag names the path and the count of files so far.
func (o *Origin) File(path string, data io.ReaderAt, size int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.files[path] = file{data: data, size: size, etag: fmt.Sprintf("%q", fmt.Sprintf("%d-%d", len(o.files), size))}
}

// Text makes s the file at an URL path.
func (o *Origin) Text(path, s string) { o.File(path, strings.NewReader(s), int64(len(s))) }

// Block makes the origin a gateway that has c.
func (o *Origin) Block(c cid.Cid, data []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.blocks[string(c.Hash())] = data
}

// SetFault makes requests from now on meet f; the zero Fault ends all faults.
func (o *Origin) SetFault(f Fault) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fault, o.left = f, f.Skip
}

// Served is the number of body bytes written so far, bodies of errors left out.
func (o *Origin) Served() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}

// Requests are those that came so far, in order.
func (o *Origin) Requests() []Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Request(nil), o.requests...)
}

// meets gives the fault that r meets: zero if none.
func (o *Origin) meets(r *http.Request) Fault {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fault.Only != nil && !o.fault.Only(r) {
		return Fault{}
	}
	if o.left > 0 {
		o.left--
		return Fault{}
	}
	f := o.fault
	if f.Once {
		o.fault = Fault{}
	}
	return f
}

// ServeHTTP answers GET and HEAD.
func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := o.record(w, r)
	f := o.meets(r)
	if f.early(c, r) {
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/ipfs/"); ok && r.URL.Query().Get("format") == "raw" {
		o.serveBlock(c, r, f, name)
		return
	}
	o.mu.Lock()
	at, ok := o.files[r.URL.Path]
	o.mu.Unlock()
	if !ok {
		http.NotFound(c, r)
		return
	}
	f.serve(c, r, at)
}

// record begins the record of r.
func (o *Origin) record(w http.ResponseWriter, r *http.Request) *counter {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests = append(o.requests, Request{
		Path: r.URL.Path, Query: r.URL.RawQuery, Range: r.Header.Get("Range"), Header: r.Header.Clone(),
	})
	return &counter{ResponseWriter: w, o: o, n: len(o.requests) - 1}
}

// serveBlock answers as the trustless gateway specification says for raw blocks;
// the empty identity CID, its probe, is always there.
func (o *Origin) serveBlock(w http.ResponseWriter, r *http.Request, f Fault, name string) {
	c, err := cid.Decode(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	data, ok := o.blocks[string(c.Hash())]
	gateway := len(o.blocks) > 0
	o.mu.Unlock()
	if !ok && !(gateway && name == "bafkqaaa") {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/vnd.ipld.raw")
	f.serve(w, r, file{data: strings.NewReader(string(data)), size: int64(len(data)), etag: fmt.Sprintf("%q", name+".raw")})
}

// counter keeps the record of one request. It counts before it writes, so that a
// client that has read a byte finds it counted.
type counter struct {
	http.ResponseWriter
	o *Origin
	n int // of the record in o.requests
}

func (c *counter) WriteHeader(status int) {
	c.o.mu.Lock()
	c.o.requests[c.n].Status = status
	c.o.mu.Unlock()
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(b []byte) (int, error) {
	c.o.mu.Lock()
	req := &c.o.requests[c.n]
	if req.Status == 0 {
		req.Status = http.StatusOK
	}
	if req.Status/100 == 2 {
		req.Bytes += int64(len(b))
		c.o.bytes += int64(len(b))
	}
	c.o.mu.Unlock()
	return c.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// modified is the Last-Modified of every file.
var modified = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
