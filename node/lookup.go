package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/dht"
	"github.com/shoal-p2p/shoal/exchange"
)

const (
	maxDials      = 8  // at once, per root
	maxCandidates = 64 // providers that wait to be dialled, per root
)

// provider is a peer that may have the root: from the DHT, mDNS, a link, the
// cache or another peer.
type provider peer.AddrInfo

// session is a peer that connected for whatever reason.
type session struct{ s *exchange.Session }

// lookedUp says that one DHT lookup has ended.
type lookedUp struct{ err error }

// dialled is the end of an attempt to connect.
type dialled struct {
	id  peer.ID
	s   *exchange.Session
	err error
}

// lookup is the search for peers of one root. Owned by run.
type lookup struct {
	running bool
	rounds  int   // lookups that ended
	err     error // of the last
	again   dht.Again
	seen    map[peer.ID]*candidate
	queue   []peer.AddrInfo
	dialing int
}

// candidate is what became of a provider.
type candidate struct {
	state candidateState
	err   error
}

type candidateState uint8

const (
	waiting  candidateState = iota
	answered                // it has or fetches the root
	timedOut
	refused // by the network, or it does not have the root
)

func (l *lookup) found() int { return len(l.seen) }

func (l *lookup) set(id peer.ID, state candidateState, err error) {
	if c := l.seen[id]; c != nil {
		c.state, c.err = state, err
	}
}

func (l *lookup) answered(id peer.ID) {
	if l.seen[id] == nil {
		l.seen[id] = &candidate{}
	}
	l.set(id, answered, nil)
}

func (l *lookup) failed(id peer.ID, err error) { l.set(id, timedOut, err) }
func (l *lookup) gone(id peer.ID, err error)   { l.set(id, refused, err) }

// advanceLookup asks the DHT once while the download is fed, and again with
// back-off (10 s to 10 min) while it has too few peers.
func (d *download) advanceLookup(ctx context.Context, now time.Time) time.Time {
	l := &d.look
	for len(l.queue) > 0 && l.dialing < maxDials {
		info := l.queue[0]
		l.queue = l.queue[1:]
		l.dialing++
		d.task(ctx, func() exchange.Event { return d.dial(ctx, info) })
	}
	if d.n.router == nil || l.running || d.phase == finishing {
		return time.Time{}
	}
	at := l.again.Next(now, d.livePeers(), now.Sub(d.useful) < 5*time.Second)
	if at.IsZero() || now.Before(at) {
		return at
	}
	l.again.Asked(now)
	l.running = true
	d.task(ctx, func() exchange.Event { return d.find(ctx) })
	return time.Time{}
}

// find runs one DHT lookup. An empty routing table is waited for: the node has
// just started.
func (d *download) find(ctx context.Context) lookedUp {
	for i := 0; d.n.router.Size() == 0 && i < 100; i++ {
		select {
		case <-ctx.Done():
			return lookedUp{ctx.Err()}
		case <-time.After(20 * time.Millisecond):
		}
	}
	var err error
	if d.n.router.Size() == 0 {
		err = errors.New("no DHT node answers")
	}
	lookCtx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	finder := dht.Finder{Router: d.n.router, Cache: d.n.cache}
	for info := range finder.Find(lookCtx, d.target.Root, 0) {
		d.send(ctx, provider(info))
	}
	return lookedUp{err}
}

func (d *download) onLookedUp(now time.Time, ev lookedUp) {
	l := &d.look
	l.running = false
	l.rounds++
	l.err = ev.err
	if d.policy != nil {
		d.policy.OnLooked(now, l.found())
	}
}

func (d *download) onProvider(ctx context.Context, info peer.AddrInfo) {
	l := &d.look
	if info.ID == d.n.self || d.n.bans.has(time.Now(), info.ID) || d.peers[info.ID] != nil {
		return
	}
	if c := l.seen[info.ID]; c != nil && (c.state == waiting || c.state == answered) {
		return
	}
	if len(l.queue) >= maxCandidates || d.livePeers() >= maxRemotes {
		return
	}
	l.seen[info.ID] = &candidate{}
	l.queue = append(l.queue, info)
}

func (d *download) dial(ctx context.Context, info peer.AddrInfo) dialled {
	dialCtx, cancel := context.WithTimeout(ctx, d.n.dialTimeout())
	defer cancel()
	s, err := d.n.exchange.Session(dialCtx, info)
	if err != nil && dialCtx.Err() != nil && ctx.Err() == nil {
		err = dialCtx.Err()
	}
	return dialled{info.ID, s, err}
}

func (d *download) onDialled(now time.Time, ev dialled) {
	d.look.dialing--
	if ev.err != nil {
		state := refused
		if errors.Is(ev.err, context.DeadlineExceeded) {
			state = timedOut
		}
		d.look.set(ev.id, state, ev.err)
		return
	}
	d.join(now, ev.s)
}

// livePeers counts the peers that have or fetch the root.
func (d *download) livePeers() int {
	n := 0
	for _, r := range d.peers {
		if r.opened && !r.missing {
			n++
		}
	}
	return n
}

// sortedPeers are the peers in a fixed order, so that the cores see the same
// events in the same order.
func (d *download) sortedPeers() []*remote {
	ids := slices.Sorted(maps.Keys(d.peers))
	out := make([]*remote, len(ids))
	for i, id := range ids {
		out[i] = d.peers[id]
	}
	return out
}
