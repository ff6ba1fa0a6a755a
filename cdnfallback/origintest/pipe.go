package origintest

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
)

// Pipe serves h over connections in memory and gives the transport whose
// requests, to whatever host, reach it. Nothing of it waits on the operating
// system, so a testing/synctest bubble can hold it. stop ends the server and all
// connections, and waits.
func Pipe(h http.Handler) (rt *http.Transport, stop func()) {
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	var wg sync.WaitGroup
	wg.Go(func() { s.Serve(l) })
	rt = &http.Transport{DisableCompression: true, DialContext: l.dial}
	return rt, func() {
		rt.CloseIdleConnections()
		s.Close()
		wg.Wait()
	}
}

// listener accepts the far ends of what dial returns.
type listener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *listener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, errors.New("origintest: connection refused")
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: "origintest", Net: "pipe"} }
