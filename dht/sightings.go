package dht

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// dialGrace is how long the side that should wait for the other's dial does
	// so: it dials itself when the other cannot (it has not heard us, or a
	// firewall is in the way).
	dialGrace = 300 * time.Millisecond
	// sightingRepeat is the least time between two attempts at one peer.
	sightingRepeat = time.Minute
	// sightingMoved is that time for a peer whose addresses have changed.
	sightingMoved = time.Second
	// sightingBurst is how many peers are dialled in a second at most: anybody on
	// the LAN can make up peers.
	sightingBurst = 64
	// sightingLife is how long a peer counts as seen on the LAN.
	sightingLife = 10 * time.Minute
	// maxSightings bounds the peers remembered; the one not heard for longest
	// makes room.
	maxSightings = 1024
)

// sightings decides when to dial which peer heard on the LAN. Of two nodes the
// one with the smaller peer ID dials, at once; the other gives it dialGrace.
// Repeats of what is known do nothing for sightingRepeat. It knows no clock.
type sightings struct {
	self  peer.ID
	peers map[peer.ID]*sighting

	second time.Time // begin of the second in which
	dials  int       // so many were dialled
}

type sighting struct {
	info  peer.AddrInfo
	heard time.Time
	due   time.Time // when to dial; zero: nothing planned
	tried time.Time // when it was last due
}

func newSightings(self peer.ID) *sightings {
	return &sightings{self: self, peers: make(map[peer.ID]*sighting)}
}

// onHeard takes in that p is on the LAN.
func (s *sightings) onHeard(now time.Time, p peer.AddrInfo) {
	if p.ID == s.self {
		return
	}
	g := s.peers[p.ID]
	if g == nil {
		if len(s.peers) >= maxSightings {
			s.evict()
		}
		g = &sighting{}
		s.peers[p.ID] = g
	}
	moved := !sameAddrs(g.info.Addrs, p.Addrs)
	g.info, g.heard = p, now
	if !g.due.IsZero() || (!moved && now.Before(g.tried.Add(sightingRepeat))) {
		return
	}
	g.due = now
	if s.self > p.ID {
		g.due = now.Add(dialGrace)
	}
	if at := g.tried.Add(sightingMoved); g.due.Before(at) {
		g.due = at
	}
}

// onGone takes in that p has said goodbye.
func (s *sightings) onGone(p peer.ID) { delete(s.peers, p) }

// advance returns the peers to dial now, sorted by ID. Those that connected says
// are connected need no dial.
func (s *sightings) advance(now time.Time, connected func(peer.ID) bool) []peer.AddrInfo {
	var out []peer.AddrInfo
	if now.Sub(s.second) >= time.Second {
		s.second, s.dials = now, 0
	}
	for _, id := range slices.Sorted(maps.Keys(s.peers)) {
		g := s.peers[id]
		switch {
		case now.Sub(g.heard) > sightingLife:
			delete(s.peers, id)
		case g.due.IsZero() || now.Before(g.due):
		case connected(id):
			g.due, g.tried = time.Time{}, now
		case s.dials == sightingBurst:
			g.due = s.second.Add(time.Second)
		default:
			g.due, g.tried = time.Time{}, now
			out = append(out, g.info)
			s.dials++
		}
	}
	return out
}

// deadline is when advance has something to say without another event.
func (s *sightings) deadline() time.Time {
	var at time.Time
	for _, g := range s.peers {
		if !g.due.IsZero() && (at.IsZero() || g.due.Before(at)) {
			at = g.due
		}
	}
	return at
}

// seen says whether p was heard within sightingLife.
func (s *sightings) seen(now time.Time, p peer.ID) bool {
	g := s.peers[p]
	return g != nil && now.Sub(g.heard) <= sightingLife
}

// evict forgets the peer that was heard least lately.
func (s *sightings) evict() {
	oldest := slices.MinFunc(slices.Collect(maps.Keys(s.peers)), func(a, b peer.ID) int {
		return cmp.Or(s.peers[a].heard.Compare(s.peers[b].heard), cmp.Compare(a, b))
	})
	delete(s.peers, oldest)
}

// sameAddrs compares sets.
func sameAddrs(a, b []ma.Multiaddr) bool {
	if len(a) != len(b) {
		return false
	}
	return !slices.ContainsFunc(a, func(x ma.Multiaddr) bool {
		return !slices.ContainsFunc(b, x.Equal)
	})
}
