// Package route says what an address tells of the way to a peer: whether it leads
// over a relay, or is one of WebSocket. It is all in route.go.
package route
