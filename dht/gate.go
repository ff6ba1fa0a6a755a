package dht

import (
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// gate is the host as kad-dht sees it. kad-dht changes its mode only on events
// of the whole host's reachability, which also start relays and relay clients,
// so here it runs as a server for good, and the mode is whether its handlers are
// registered at the real host. It also counts what kad-dht sends and is answered.
type gate struct {
	host.Host
	bytes atomic.Int64 // sent and received on the streams that kad-dht has opened

	mu       sync.Mutex
	handlers map[protocol.ID]network.StreamHandler
	open     bool
}

// SetStreamHandler keeps the handler and registers it while the gate is open.
func (g *gate) SetStreamHandler(id protocol.ID, h network.StreamHandler) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.handlers == nil {
		g.handlers = make(map[protocol.ID]network.StreamHandler)
	}
	g.handlers[id] = h
	if g.open {
		g.Host.SetStreamHandler(id, h)
	}
}

// RemoveStreamHandler undoes SetStreamHandler.
func (g *gate) RemoveStreamHandler(id protocol.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.handlers, id)
	if g.open {
		g.Host.RemoveStreamHandler(id)
	}
}

// serve opens or closes the gate. Closing resets the streams that peers have
// open, so that they notice without waiting for a time-out. It says whether
// anything changed.
func (g *gate) serve(open bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == open {
		return false
	}
	g.open = open
	for id, h := range g.handlers {
		if open {
			g.Host.SetStreamHandler(id, h)
		} else {
			g.Host.RemoveStreamHandler(id)
		}
	}
	if !open {
		g.resetInbound()
	}
	return true
}

// serving says whether the gate is open.
func (g *gate) serving() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// resetInbound runs with mu held.
func (g *gate) resetInbound() {
	for _, c := range g.Network().Conns() {
		for _, s := range c.GetStreams() {
			if _, ours := g.handlers[s.Protocol()]; ours && s.Stat().Direction == network.DirInbound {
				_ = s.Reset()
			}
		}
	}
}
