package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// labFileSize is the size of the file that lab makes where there is no Go tree.
const labFileSize = 64 << 20

// labContent is the absolute path of what a lab distributes: typed, else Go's
// own tree, else a file made below dir.
func labContent(ctx context.Context, typed, dir string) (string, error) {
	if typed != "" {
		path, err := absolute(typed)
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("nothing to distribute: %w", err)
		}
		return path, nil
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if root := strings.TrimSpace(string(out)); err == nil && root != "" {
		if root, err = filepath.EvalSymlinks(root); err == nil {
			return root, nil
		}
	}
	path := filepath.Join(dir, "random.bin")
	f, err := os.Create(path)
	if err != nil {
		return "", fmt.Errorf("make a file to distribute: %w", err)
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{}), labFileSize)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("make a file to distribute: %w", err)
	}
	return path, nil
}

// labOrigin is an HTTP server on loopback with one file or directory, its tree
// beside it, and a count of the bytes it sends in bodies.
type labOrigin struct {
	url      string // of the content
	server   *http.Server
	wg       sync.WaitGroup
	bytes    atomic.Int64
	requests atomic.Int64
}

// startLabOrigin serves the content and the file tree as its .shoal file.
func startLabOrigin(content, tree string) (*labOrigin, error) {
	info, err := os.Stat(content)
	if err != nil {
		return nil, err
	}
	treeBytes, err := os.ReadFile(tree)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the origin: %w", err)
	}
	name := filepath.Base(content)
	o := &labOrigin{url: originURL("http://"+l.Addr().String(), name, info.IsDir())}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{path...}", func(w http.ResponseWriter, r *http.Request) {
		o.requests.Add(1)
		w = &countingWriter{w, &o.bytes}
		path := r.PathValue("path")
		if path == name+".shoal" {
			http.ServeContent(w, r, "", info.ModTime(), bytes.NewReader(treeBytes))
			return
		}
		serveBelow(w, r, content, strings.TrimPrefix(strings.TrimPrefix(path, name), "/"))
	})
	o.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	o.wg.Go(func() {
		// It ends by close; any other end shows as failed fetches.
		_ = o.server.Serve(l)
	})
	return o, nil
}

// serveBelow serves content itself, or the file at rel in it. It is not
// http.FileServer, which redirects index.html and lists directories.
func serveBelow(w http.ResponseWriter, r *http.Request, content, rel string) {
	path := content
	if rel != "" {
		if !filepath.IsLocal(filepath.FromSlash(rel)) {
			http.NotFound(w, r)
			return
		}
		path = filepath.Join(content, filepath.FromSlash(rel))
	}
	f, err := os.Open(path)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, "", info.ModTime(), f)
}

// countingWriter counts the bytes of bodies.
type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.n.Add(int64(n))
	return n, err
}

// use is what was sent so far, for content of size bytes.
func (o *labOrigin) use(size int64) labOriginUse {
	u := labOriginUse{Bytes: o.bytes.Load(), Requests: o.requests.Load()}
	if size > 0 {
		u.Copies = float64(u.Bytes) / float64(size)
	}
	return u
}

func (o *labOrigin) close() error {
	err := o.server.Close()
	o.wg.Wait()
	return err
}
