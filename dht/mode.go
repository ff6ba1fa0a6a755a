package dht

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// ServerPolicy says when a node answers the lookups of others.
type ServerPolicy int

const (
	// ServerAuto decides by reachability: see modeRule. It is the default.
	ServerAuto ServerPolicy = iota
	// ServerAlways is for nodes that are known to be dialable: relays and nodes
	// with a configured public address.
	ServerAlways
	// ServerNever is for nodes that only ask.
	ServerNever
)

// serverHold is how long a node that was confirmed public stays a server after
// it no longer is. Each change of mode costs an identify push to every peer, and
// go-libp2p accepts only one in 5 s from an IPv4 /24 (burst 10), so a node that
// flaps would be remembered in the wrong mode.
const serverHold = 10 * time.Minute

// modeInput is what the mode depends on.
type modeInput struct {
	policy       ServerPolicy
	reachability network.Reachability
	near         bool // every bootstrap and connected peer is on a loopback, private or on-link address
}

// modeRule decides whether a node serves the DHT. It knows no clock; the zero
// value is ready. Under ServerAuto:
//
//   - at the start a node serves if it is confirmed public, or if its
//     reachability is unknown and all its peers are near: in a network without
//     public addresses nothing can confirm anything, and everybody can dial;
//   - a node that serves because its peers are near stops as soon as one is not;
//   - a client starts to serve only when it is confirmed public, and then
//     serves for at least serverHold.
type modeRule struct {
	started   bool
	server    bool
	confirmed bool      // serves because it was confirmed public
	since     time.Time // when confirmed became true
}

// decide returns whether to serve from now on and when to ask again without a
// new input; the zero time means that only an event can change the answer.
func (r *modeRule) decide(now time.Time, in modeInput) (server bool, again time.Time) {
	switch in.policy {
	case ServerAlways:
		return true, time.Time{}
	case ServerNever:
		return false, time.Time{}
	}
	near := in.reachability == network.ReachabilityUnknown && in.near
	switch {
	case in.reachability == network.ReachabilityPublic:
		if !r.confirmed {
			r.confirmed, r.since = true, now
		}
		r.server = true
	case r.confirmed:
		if back := r.since.Add(serverHold); now.Before(back) {
			again = back
			break
		}
		r.confirmed, r.server = false, false
	case !r.started:
		r.server = near
	case r.server:
		r.server = near
	}
	r.started = true
	return r.server, again
}
