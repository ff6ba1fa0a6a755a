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
	"github.com/shoal-p2p/shoal/exchange/peers"
	"github.com/shoal-p2p/shoal/exchange/pick"
)

// maxSeen bounds what is remembered of providers for the words of a report.
const maxSeen = 1024

// provider is a peer that may have the root: from the DHT, mDNS, a link, the
// cache or another peer.
type provider struct {
	peer.AddrInfo
	how peers.How
}

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
	crowd   *peers.Crowd // decides whom to connect to, and whom to leave
	seen    map[peer.ID]*candidate
	dialing int
	sampled time.Time // what peers moved was looked at
	asked   time.Time // when the last lookup began
	twice   bool      // one was made since this node was announced
	told    bool      // this node is announced
}

func newLookup() lookup {
	return lookup{crowd: peers.New(peers.Config{}, newRand()), seen: map[peer.ID]*candidate{}}
}

// candidate is what became of a provider.
type candidate struct {
	info  peer.AddrInfo
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

// hopeful counts the providers that have answered or may still do.
func (l *lookup) hopeful() int {
	n := 0
	for _, c := range l.seen {
		if c.state <= answered {
			n++
		}
	}
	return n
}

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

// note remembers a provider and its newest addresses. Who failed and is no
// candidate any more makes room.
func (l *lookup) note(info peer.AddrInfo) {
	c := l.seen[info.ID]
	if c == nil {
		if len(l.seen) >= maxSeen {
			l.forgetOne()
		}
		c = &candidate{}
		l.seen[info.ID] = c
	}
	if len(info.Addrs) > 0 {
		c.info = info
	}
	c.info.ID = info.ID
}

func (l *lookup) forgetOne() {
	for id, c := range l.seen {
		if c.state > answered && !l.crowd.Knows(crowdKey(id)) {
			delete(l.seen, id)
			return
		}
	}
}

func crowdKey(id peer.ID) peers.Key { return peers.Key(id) }

// sampleEvery is how often it is looked at what peers moved, and how they are
// reached.
const sampleEvery = time.Second

// sample tells the cores what has changed about a peer.
func (d *download) sample(now time.Time, r *remote) {
	received, sent := r.s.Amounts()
	d.look.crowd.OnMoved(now, crowdKey(r.s.Peer), received+sent)
	path, trip := r.s.Path(), r.s.RTT()
	if d.picker == nil || !r.opened || r.missing || !r.met || path == r.path && trip == r.trip {
		return
	}
	r.path, r.trip = path, trip
	d.look.crowd.OnPeer(now, crowdKey(r.s.Peer), peers.Path(path), trip)
	d.picker.OnPeer(now, key(r), pick.Path(path), trip)
}

// advanceLookup connects to candidates and leaves the worst peers, as the crowd
// decides. It asks the DHT once while the download is fed, and again with
// back-off (10 s to 10 min) while it has too few peers.
func (d *download) advanceLookup(ctx context.Context, now time.Time) time.Time {
	l := &d.look
	if now.Sub(l.sampled) >= sampleEvery {
		l.sampled = now
		for _, r := range d.sortedPeers() {
			d.sample(now, r)
		}
	}
	plan := l.crowd.Advance(now)
	for _, key := range plan.Drop {
		d.turnOut(now, peer.ID(key))
	}
	for _, key := range plan.Dial {
		info := peer.AddrInfo{ID: peer.ID(key)}
		if c := l.seen[info.ID]; c != nil {
			info.Addrs = c.info.Addrs
		}
		l.dialing++
		d.task(ctx, func() exchange.Event { return d.dial(ctx, info) })
	}
	if !l.told && !now.Before(d.introduced()) {
		l.told = true
		d.n.announce(d.target.Root)
	}
	next := l.crowd.Deadline()
	if d.n.router == nil || l.running || d.phase == finishing {
		return next
	}
	at := l.again.Next(now, d.livePeers(), now.Sub(d.useful) < 5*time.Second)
	if d.unseen(now) {
		l.twice, at = true, now
	}
	if until := d.introduced(); at.Before(until) && !at.IsZero() {
		at = until
	}
	if at.IsZero() || now.Before(at) {
		return earlier(next, at)
	}
	l.again.Asked(now)
	l.asked = now
	l.running = true
	d.task(ctx, func() exchange.Event { return d.find(ctx) })
	return next
}

// lonely reports whether there is nowhere to look for peers.
func (d *download) lonely() bool {
	n := d.n
	return n.router == nil || n.router.Size() == 0 && n.mdns == nil && len(n.bootstrap()) == 0 && len(d.known) == 0
}

// introducing is how long peers that were named may take to introduce others.
const introducing = 2 * time.Second

// introduced is until when the DHT is neither asked nor told, since a peer that was
// named introduces all others sooner. Lookups connect to everybody: half of those who
// meet at once would have two connections. An origin waits for the first lookup. Zero if
// it is not so.
func (d *download) introduced() time.Time {
	if d.look.rounds > 0 || len(d.known) == 0 || len(d.origins) > 0 || d.look.hopeful() == 0 {
		return time.Time{}
	}
	return d.started.Add(introducing)
}

// unseen reports whether the first lookup began before this node could be found:
// of two that start at once neither would know of the other then. With enough peers
// it does not matter, since these introduce all others.
func (d *download) unseen(now time.Time) bool {
	l := &d.look
	if l.twice || l.rounds == 0 || d.n.announcer == nil || d.livePeers() >= dht.EnoughPeers {
		return false
	}
	at, _ := d.n.announcer.Announced(d.target.Root)
	return at.After(l.asked)
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
		d.send(ctx, provider{info, peers.Told})
	}
	return lookedUp{err}
}

func (d *download) onLookedUp(now time.Time, ev lookedUp) {
	l := &d.look
	l.running = false
	l.rounds++
	l.err = ev.err
	if d.policy != nil {
		d.policy.OnLooked(now, l.hopeful())
	}
}

func (d *download) onProvider(now time.Time, p provider) {
	if p.ID == d.n.self || d.n.bans.has(now, p.ID) || d.peers[p.ID] != nil {
		return
	}
	if p.how == peers.Told && d.n.exchange.Local(p.AddrInfo) {
		p.how = peers.Near
	}
	d.look.note(p.AddrInfo)
	if d.look.crowd.OnFound(now, crowdKey(p.ID), p.how) {
		d.look.set(p.ID, waiting, nil)
	}
}

func (d *download) dial(ctx context.Context, info peer.AddrInfo) dialled {
	dialCtx, cancel := context.WithTimeout(ctx, d.n.dialTimeout())
	defer cancel()
	d.n.reach.Dialling(info.ID)
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
		if d.policy != nil && d.look.rounds > 0 {
			d.policy.OnLooked(now, d.look.hopeful())
		}
		d.look.crowd.OnFailed(now, crowdKey(ev.id))
		return
	}
	d.join(now, ev.s)
	if r := d.peers[ev.id]; r == nil || r.missing { // nothing comes of it
		d.look.crowd.Forget(crowdKey(ev.id))
	}
}

// turnOut leaves a peer for another that may be better.
func (d *download) turnOut(now time.Time, id peer.ID) {
	r := d.peers[id]
	if r == nil {
		return
	}
	d.log.Debug("peer left for another", "peer", id)
	d.forgetHaves(now, r)
	d.trees.forget(r.s)
	delete(d.peers, id)
	d.exchange.Leave(r.s)
	d.look.gone(id, errTurnedOut)
}

var errTurnedOut = errors.New("left for another, since nothing came of it")

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
