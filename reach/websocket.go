package reach

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/tcpreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// webSocket is libp2p's WebSocket for sites that nothing but HTTPS leaves. libp2p
// takes the proxy of the environment; here the names are left to that proxy,
// since such a site often knows none of the outside's.
type webSocket struct{ *websocket.WebsocketTransport }

func (r *Reach) webSocket() libp2p.Option {
	return libp2p.Transport(func(up transport.Upgrader, limits network.ResourceManager, shared *tcpreuse.ConnMgr) (transport.Transport, error) {
		opts := []websocket.Option{websocket.WithTLSClientConfig(&tls.Config{RootCAs: r.cfg.Roots, MinVersion: tls.VersionTLS12})}
		if r.cfg.Certificate != nil {
			opts = append(opts, websocket.WithTLSConfig(&tls.Config{GetCertificate: r.cfg.Certificate, MinVersion: tls.VersionTLS12}))
		}
		t, err := websocket.New(up, limits, shared, opts...)
		return &webSocket{t}, err
	})
}

// SkipResolve implements transport.SkipResolver.
func (*webSocket) SkipResolve(_ context.Context, to ma.Multiaddr) bool { return proxyFor(to) != nil }

// Dial implements transport.Transport.
func (w *webSocket) Dial(ctx context.Context, to ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	c, err := w.WebsocketTransport.Dial(ctx, to, p)
	if err != nil {
		return nil, err
	}
	return &webConn{CapableConn: c, dialled: to, proxied: proxyFor(to) != nil}, nil
}

// webConn is known by the address that was dialled: that of the socket is the
// proxy's, or lacks the name without which nobody can dial it again.
type webConn struct {
	transport.CapableConn
	dialled ma.Multiaddr
	proxied bool
}

// RemoteMultiaddr implements network.ConnMultiaddrs.
func (c *webConn) RemoteMultiaddr() ma.Multiaddr { return c.dialled }

// As implements transport.CapableConn.
func (c *webConn) As(target any) bool {
	if t, ok := target.(**webConn); ok {
		*t = c
		return true
	}
	return c.CapableConn.As(target)
}

// proxied reports whether a connection goes through an HTTP proxy.
func proxied(c network.Conn) bool {
	var w *webConn
	return c.As(&w) && w.proxied
}

// proxyFor is the HTTP proxy by which a WebSocket address is dialled, nil for none.
func proxyFor(to ma.Multiaddr) *url.URL {
	_, at, err := manet.DialArgs(head(to))
	if err != nil {
		return nil
	}
	u := &url.URL{Scheme: "http", Host: at}
	if _, err := to.ValueForProtocol(ma.P_TLS); err == nil {
		u.Scheme = "https"
	}
	if name, err := to.ValueForProtocol(ma.P_SNI); err == nil {
		u.Host = name + ":" + u.Port()
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err != nil {
		return nil // dialling says so
	}
	return proxy
}
