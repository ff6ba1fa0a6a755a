package dht

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"time"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	refreshEvery = 10 * time.Minute
	// lookedLately is how long a lookup says who is in a small swarm. Servers that
	// come meanwhile are met by themselves.
	lookedLately = 30 * time.Second
	// lookSettle is how long those who meet at once may take to be connected: a lookup
	// connects to all that are named, who connect to us by other ways meanwhile.
	lookSettle = 2 * time.Second
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
			soon.plan(time.Now().Add(lookSettle))
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
	if !all && !k.lookForSelf(ctx) {
		return
	}
	select {
	case <-k.dht.RefreshRoutingTable():
	case <-ctx.Done():
	}
}

// lookForSelf reports whether there are buckets left to look for.
func (k *Kad) lookForSelf(ctx context.Context) bool {
	done, err := k.alone(ctx)
	if err != nil {
		return false
	}
	defer done()
	if !k.overlooked() {
		return false
	}
	self := k.host.ID()
	nearest, err := k.lookup(ctx, string(self))
	return err == nil && len(nearest) >= smallSwarm && !apart(self, nearest)
}

// apart reports whether one of the peers is not in the half of all keys that self is
// in: of those nearest to self, the last ones, if there are few in its half. A key is
// the hash of a peer ID.
func apart(self peer.ID, nearest []peer.ID) bool {
	half := func(p peer.ID) byte { return sha256.Sum256([]byte(p))[0] >> 7 }
	return slices.ContainsFunc(nearest, func(p peer.ID) bool { return half(p) != half(self) })
}

// lookup asks for the servers nearest to a key, and notes when they were all, and how many.
func (k *Kad) lookup(ctx context.Context, key string) ([]peer.ID, error) {
	nearest, err := k.dht.GetClosestPeers(ctx, key)
	if err == nil && len(nearest) < smallSwarm {
		k.counted.Store(int64(k.Size()))
		k.looked.Store(time.Now().UnixNano())
	}
	return nearest, err
}

// alone waits until nobody else looks for servers in a small table, since who comes next
// need not ask then, and returns what lets the next one go on.
func (k *Kad) alone(ctx context.Context) (done func(), err error) {
	if k.Size() >= smallSwarm {
		return func() {}, nil
	}
	select {
	case k.looking <- struct{}{}:
		return func() { <-k.looking }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// admit is asked by kad-dht whether a server may be kept. In a small table it puts him
// there itself: kad-dht would first ask him who is near, so that everyone would ask
// everyone of everyone. Who does not answer is thrown out by the first lookup, and
// makes room for whoever did.
func (k *Kad) admit(table any, p peer.ID) bool {
	if keep := k.cfg.RoutingTableFilter; keep != nil && !keep(p) {
		return false
	}
	if d, ok := table.(*kad.IpfsDHT); ok && d.RoutingTable().Size() < smallSwarm {
		_, _ = d.RoutingTable().TryAddPeer(p, false, true) // if it cannot be, kad-dht asks him
	}
	return true
}

// overlooked reports whether there are so many servers that were not there at the
// last lookup that these may be a swarm of their own. Single ones look for
// themselves, and so are met.
func (k *Kad) overlooked() bool {
	return time.Since(time.Unix(0, k.looked.Load())) >= lookedLately || int64(k.Size()) > k.counted.Load()*3/2
}

// nearest are the servers nearest to a key: in a small swarm all, of whom nobody
// need be asked if that was done a moment ago.
func (k *Kad) nearest(ctx context.Context, key string) ([]peer.ID, error) {
	done, err := k.alone(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if time.Since(time.Unix(0, k.looked.Load())) < lookedLately {
		if all := k.dht.RoutingTable().ListPeers(); len(all) > 0 && len(all) < smallSwarm {
			return all, nil
		}
	}
	return k.lookup(ctx, key)
}
