package route

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// WebSocket reports whether an address is one of WebSocket, with TLS or without.
// The IP addresses of such a connection's ends may be those of proxies on either
// side: nothing follows from them.
func WebSocket(a ma.Multiaddr) bool { return has(a, ma.P_WS) || has(a, ma.P_WSS) }

// Circuit reports whether an address leads over a relay.
func Circuit(a ma.Multiaddr) bool { return has(a, ma.P_CIRCUIT) }

// Relayed reports whether a connection goes over a relay.
func Relayed(c network.Conn) bool { return Circuit(c.RemoteMultiaddr()) || c.Stat().Limited }

func has(a ma.Multiaddr, code int) bool {
	return slices.ContainsFunc(a, func(c ma.Component) bool { return c.Protocol().Code == code })
}
