package node

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/reach"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// What a relay gives unless told otherwise.
const (
	relayData = "256MiB" // a pair of peers, in an hour
	relayDay  = "10GiB"  // all together, in a day
)

// meetGrace is how long two peers that are connected over a relay get to meet
// before one asks the other for data over it.
const meetGrace = 5 * time.Second

// newReach prepares how this node is reached.
func (n *Node) newReach() (*reach.Reach, error) {
	pair, err := ParseSize(cmp.Or(n.cfg.RelayData, relayData))
	if err != nil {
		return nil, fmt.Errorf("%w: relay-data: %w", ErrUsage, err)
	}
	day, err := ParseSize(cmp.Or(n.cfg.RelayDay, relayDay))
	if err != nil {
		return nil, fmt.Errorf("%w: relay-day: %w", ErrUsage, err)
	}
	cfg := reach.Config{
		Prefix: n.prefix(), Public: n.public(), Relay: n.cfg.Relay,
		PerPair: min(pair, noRoomLimit/4), PerDay: min(day, noRoomLimit/4), Hard: n.cfg.PunchHard == "on",
		OnDirect: n.onDirect, OnMoved: n.onMoved, OnSpent: n.onSpent, Log: n.log,
	}
	if cfg.Roots, err = rootsWith(n.ca); err != nil {
		return nil, err
	}
	if n.web.cert != nil {
		cfg.Certificate = n.web.cert.get
	}
	if n.private != nil {
		cfg.Relays = n.private.Relays
		if n.cfg.Relay && !n.private.Status().Membership.Roles.Has(membership.Relay) {
			n.log.Warn("no member uses this node as a relay: it lacks the role relay, which an inviter gives (shoal swarm invite --role relay)")
		}
		cfg.ACL = n.private.ACL()
	}
	return reach.New(cfg), nil
}

// public reports whether the user has configured an address of the internet.
func (n *Node) public() bool { return publicAddress(n.cfg.Listen) || n.web.public(n.cfg.Listen) }

// onDirect moves the session with a peer from the relay to the direct connection.
func (n *Node) onDirect(p peer.ID) {
	n.spawn(func() {
		ctx, cancel := context.WithTimeout(n.ctx, n.dialTimeout())
		defer cancel()
		if err := n.exchange.Improve(ctx, p); err != nil {
			n.log.Debug("session stays on the relay", "peer", p, "err", err)
		}
	})
}

// onSpent has downloads turn to others than a peer whose relay carries no more.
func (n *Node) onSpent(peer.ID, time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range n.active {
		n.wg.Go(func() { d.send(n.ctx, relaySpent{}) })
	}
}

// relaySpent says that a relay carries no more data for some peer.
type relaySpent struct{}

// onMoved goes on with the peers of before from this machine's new address: those
// that are bootstrapped through, and those with a session.
func (n *Node) onMoved() {
	again := n.bootstrap()
	for _, s := range n.exchange.Sessions() {
		again = append(again, peer.AddrInfo{ID: s.Peer, Addrs: n.host.Peerstore().Addrs(s.Peer)})
	}
	for _, p := range again {
		n.spawn(func() { n.regain(p) })
	}
}

// regain connects to a peer again, for as long as a network may take to come up.
func (n *Node) regain(p peer.AddrInfo) {
	for wait := 200 * time.Millisecond; wait < 30*time.Second; wait *= 2 {
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(wait):
		}
		if n.session(p) == nil {
			return
		}
	}
}

// session connects to a peer now, whatever attempts before came to.
func (n *Node) session(p peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(n.ctx, n.dialTimeout())
	defer cancel()
	n.reach.Retry(p.ID)
	_, err := n.exchange.Session(ctx, p)
	return err
}

// relayable reports whether a peer that is reached over a relay may be asked for
// data now: when the two cannot meet, no origin can be asked, and the relay has
// not said that it carries no more.
func (d *download) relayable(now time.Time, r *remote) bool {
	if d.n.reach == nil {
		return true
	}
	if d.n.reach.Spent(r.s.Peer) {
		return false
	}
	for _, s := range d.origins {
		if !s.useless && s.backoff.Until().Sub(now) < meetGrace {
			return false
		}
	}
	return !d.n.reach.Trying(r.s.Peer) || now.Sub(r.since) > meetGrace
}

// relayed reports whether a peer is reached over a relay.
func (d *download) relayed() bool {
	for _, r := range d.peers {
		if r.s.Path() == exchange.Relay {
			return true
		}
	}
	return false
}

// weighRelays meets peers over a relay that may be asked now, and lets go of those
// that may not.
func (d *download) weighRelays(now time.Time) {
	if !d.relayed() {
		return // as in most fetches: then their peers need not be put in order at every event
	}
	for _, r := range d.sortedPeers() {
		if r.s.Path() != exchange.Relay || !r.opened || r.missing {
			continue
		}
		switch ok := d.relayable(now, r); {
		case ok && !r.met:
			d.meet(now, r)
		case !ok && r.met:
			r.met = false
			d.exchange.CancelAll(r.s)
			d.picker.OnGone(now, key(r))
			d.policy.OnGone(now, string(r.s.Peer))
			d.holders(now, exchange.Run{First: 0, Count: len(d.table.Pieces)})
		}
	}
}

// moveOn is how long after the last useful byte a fetch goes on whose every peer is
// behind a relay that carries no more.
const moveOn = time.Second / 2

// relaysSpent is until when nobody sends anything: whoever has the content is
// reached over relays that carry no more for it, nobody else is being looked for,
// and there is no origin. Zero if that is not so.
func (d *download) relaysSpent(now time.Time) time.Time {
	if d.look.running || now.Sub(d.useful) < moveOn || d.look.rounds == 0 && !d.lonely() {
		return time.Time{}
	}
	for _, s := range d.origins {
		if !s.useless {
			return time.Time{}
		}
	}
	var first time.Time
	for id, c := range d.look.seen {
		until := d.n.barren(id)
		if until.IsZero() && c.state <= answered {
			return time.Time{}
		}
		first = earlier(first, until)
	}
	return first
}

// barren is until when nothing comes from a peer but by a relay that carries no more.
func (n *Node) barren(p peer.ID) time.Time {
	if n.reach == nil {
		return time.Time{}
	}
	return n.reach.Barren(p)
}
