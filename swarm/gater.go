package swarm

import (
	"fmt"
	"net"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// How many peers may be connected and not admitted yet, and how many more if they
// have been members here before.
const (
	maxPending    = 128
	memberReserve = 64
)

// gater refuses connections before admission is tried: of the revoked, as soon
// as they are known by their key, and beyond maxPending.
type gater struct {
	s       *Swarm
	accepts *accepts
}

var _ connmgr.ConnectionGater = gater{}

func newGater(s *Swarm) gater { return gater{s, newAccepts()} }

// Gater is for the host's options.
func (s *Swarm) Gater() connmgr.ConnectionGater { return s.gate }

func (g gater) InterceptPeerDial(p peer.ID) bool             { return !g.s.isRevoked(p) }
func (g gater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept implements connmgr.ConnectionGater: nobody comes in while
// streams are not guarded yet. What else it could refuse, limited does earlier.
func (g gater) InterceptAccept(network.ConnMultiaddrs) bool { return g.s.guards.Load() }

// InterceptSecured implements connmgr.ConnectionGater.
func (g gater) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return !g.s.isRevoked(p)
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (g gater) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	if c.Stat().Direction != network.DirInbound {
		return true, 0
	}
	room := maxPending
	if g.s.known(c.RemotePeer()) {
		room += memberReserve
	}
	return g.s.pending() < room, 0
}

// limited is a resource manager that also limits how fast connections are
// accepted. The gater's InterceptAccept would be too late: QUIC asks it after the
// handshake, which is what costs.
type limited struct {
	network.ResourceManager
	accepts *accepts
}

// Limit puts the accept limiter in front of a host's resource manager.
func (s *Swarm) Limit(m network.ResourceManager) network.ResourceManager {
	return limited{m, s.gate.accepts}
}

// OpenConnection implements network.ResourceManager.
func (l limited) OpenConnection(dir network.Direction, fd bool, from ma.Multiaddr) (network.ConnManagementScope, error) {
	if dir == network.DirInbound && !l.accepts.allow(from) {
		return nil, fmt.Errorf("%w: too many connections from %v", network.ErrResourceLimitExceeded, from)
	}
	return l.ResourceManager.OpenConnection(dir, fd, from)
}

// VerifySourceAddress implements network.ResourceManager: who asks from an
// address that had no member must show, in one round trip more, that it is there,
// before it counts: by addresses that are not its own, one could use up what
// there is for all.
func (l limited) VerifySourceAddress(a net.Addr) bool {
	return !l.accepts.trusts(a) || l.ResourceManager.VerifySourceAddress(a)
}

// acl lets members use this node as a relay, for members.
type acl Swarm

// ACL is for the host's relay.
func (s *Swarm) ACL() interface {
	AllowReserve(p peer.ID, a ma.Multiaddr) bool
	AllowConnect(src peer.ID, srcAddr ma.Multiaddr, dest peer.ID) bool
} {
	return (*acl)(s)
}

// AllowReserve implements relay.ACLFilter.
func (a *acl) AllowReserve(p peer.ID, _ ma.Multiaddr) bool { return (*Swarm)(a).Admitted(p) }

// AllowConnect implements relay.ACLFilter.
func (a *acl) AllowConnect(src peer.ID, _ ma.Multiaddr, dest peer.ID) bool {
	return (*Swarm)(a).Admitted(src) && (*Swarm)(a).Admitted(dest)
}
