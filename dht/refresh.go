package dht

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	refreshEvery = 10 * time.Minute
	// lookedLately is how long a lookup says who is in a small swarm. Servers that
	// come meanwhile are met by themselves.
	lookedLately = 30 * time.Second
	// probeAgain is how soon a peer is named to kad-dht again.
	probeAgain = 10 * time.Second
)

// keepFull fills the routing table when servers were met while it knows few, and
// every Refresh. kad-dht's own refresh does so for each server that it adds to a
// small table, every time for all buckets: of 17 nodes that meet at once each
// made 8 lookups of all others.
func (k *Kad) keepFull(ctx context.Context) {
	every := cmp.Or(k.cfg.Refresh, refreshEvery)
	soon := pace{first: againFirst, most: every}
	last := time.Now()
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.news:
			soon.plan(time.Now().Add(joinSettle))
		case <-timer.C:
		}
		now := time.Now()
		all := now.Sub(last) >= every
		if due := soon.due(now); all || due {
			soon.begin(now)
			k.lookAround(ctx, all)
			last = last.Add(every * time.Duration(now.Sub(last)/every))
		}
		next := last.Add(every)
		if at := soon.at; !at.IsZero() && at.Before(next) {
			next = at
		}
		timer.Reset(time.Until(next))
	}
}

// lookAround fills the routing table. In a small swarm who looks for himself is
// named everybody, and in one of up to some 40 some of the other half of all keys,
// so that no bucket is left to look for; otherwise, or with all, kad-dht refreshes
// the buckets and asks those who were silent for long.
func (k *Kad) lookAround(ctx context.Context, all bool) {
	if k.Size() == 0 {
		return
	}
	if !all {
		self := k.host.ID()
		if nearest, err := k.lookup(ctx, string(self)); err != nil || len(nearest) < smallSwarm || apart(self, nearest) {
			return
		}
	}
	select {
	case <-k.dht.RefreshRoutingTable():
	case <-ctx.Done():
	}
}

// apart reports whether one of the peers is not in the half of all keys that self is
// in: of those nearest to self, the last ones, if there are few in its half. A key is
// the hash of a peer ID.
func apart(self peer.ID, nearest []peer.ID) bool {
	half := func(p peer.ID) byte { return sha256.Sum256([]byte(p))[0] >> 7 }
	return slices.ContainsFunc(nearest, func(p peer.ID) bool { return half(p) != half(self) })
}

// lookup asks for the servers nearest to a key, and notes when they were all.
func (k *Kad) lookup(ctx context.Context, key string) ([]peer.ID, error) {
	nearest, err := k.dht.GetClosestPeers(ctx, key)
	if err == nil && len(nearest) < smallSwarm {
		k.looked.Store(time.Now().UnixNano())
	}
	return nearest, err
}

// nearest are the servers nearest to a key: in a small swarm all, of whom nobody
// need be asked if that was done a moment ago.
func (k *Kad) nearest(ctx context.Context, key string) ([]peer.ID, error) {
	if time.Since(time.Unix(0, k.looked.Load())) < lookedLately {
		if all := k.dht.RoutingTable().ListPeers(); len(all) > 0 && len(all) < smallSwarm {
			return all, nil
		}
	}
	return k.lookup(ctx, key)
}

// view is the network as kad-dht sees it. Whenever it adds a server to a small
// table it probes all that are connected, and those again whose answers are on
// the way; so each is named to it now and then only. Whoever is met it hears of
// besides.
type view struct {
	network.Network
	g *gate
}

// Network is what kad-dht is shown.
func (g *gate) Network() network.Network { return view{g.Host.Network(), g} }

// Peers leaves out who was named a moment ago.
func (v view) Peers() []peer.ID {
	v.g.mu.Lock()
	defer v.g.mu.Unlock()
	var out []peer.ID
	out, v.g.probed = v.g.probed.fresh(time.Now(), v.Network.Peers())
	return out
}

// probed is when peers were named to kad-dht.
type probed map[peer.ID]time.Time

// fresh returns those of peers that were not named lately, and who was named when
// now; of those that are not among peers nothing is kept.
func (n probed) fresh(now time.Time, peers []peer.ID) ([]peer.ID, probed) {
	kept := make(probed, len(peers))
	var out []peer.ID
	for _, p := range peers {
		at, ok := n[p]
		if !ok || now.Sub(at) >= probeAgain {
			at = now
			out = append(out, p)
		}
		kept[p] = at
	}
	return out, kept
}
