package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/exchange/peers"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// One node of the DAG has one download at a time: the root of a target while its
// path is walked, then what the path names. So downloads of different paths
// below one root run side by side.

// errYield ends a download for another of the same content, and errElsewhere one
// whose path led to what another fetches. Callers of newDownload then try again.
var (
	errYield     = errors.New("a get of the same content goes first")
	errElsewhere = errors.New("the content is fetched by another command")
)

// attempt is what newDownload is asked for.
type attempt struct {
	target  merkle.Target
	opt     FetchOptions
	demand  bool
	started time.Time
	path    *merkle.Step // where Target.Path leads, if an attempt before found out
}

// again reports whether d ended only to be tried again, and makes a ready for it.
func (a *attempt) again(d *download) bool {
	if !errors.Is(d.err, errYield) && !errors.Is(d.err, errElsewhere) {
		return false
	}
	if d.step.Done {
		step := d.step // a copy: it outlives d
		a.path = &step
	}
	return true
}

// enter makes d the one download of its node. A reader shares one that runs
// instead, which is returned then; what readers have begun yields to a Fetch; a
// Fetch waits for another, unless both would write the same target.
func (n *Node) enter(ctx context.Context, d *download, path *merkle.Step) (*download, error) {
	waitCtx, cancel := ctx, context.CancelFunc(func() {})
	if d.opt.Deadline > 0 {
		waitCtx, cancel = context.WithDeadline(ctx, d.started.Add(d.opt.Deadline))
	}
	defer cancel()
	for {
		if err := d.begin(path); err != nil {
			return nil, err
		}
		other, moved, share, err := n.claim(d)
		if err != nil || other == nil {
			return d, err
		}
		for _, p := range d.known { // it may not know them
			other.send(waitCtx, provider{p, peers.Named})
		}
		if share {
			return other, nil
		}
		if d.opt.Output != "" && other.opt.Output == d.opt.Output {
			return nil, fmt.Errorf("%s is being fetched by another command: %w", d.opt.Output, store.ErrBusy)
		}
		if other.demand && !d.demand {
			other.yield()
		}
		select {
		case <-other.left:
		case <-moved: // elsewhere, or it has the tree, and so where our path leads
		case <-waitCtx.Done():
			if ctx.Err() == nil {
				return nil, d.unavailable(fmt.Sprintf("not done within %v, for another command fetches it", d.opt.Deadline))
			}
			return nil, ctx.Err()
		}
		d.useful = time.Now() // waiting for the other was not in vain
	}
}

// claim makes d the download of its node, or returns the one that is, and what
// is closed when that gets out of the way, nil if it will not before its end. A
// reader that can share that one counts from then on.
func (n *Node) claim(d *download) (other *download, moved <-chan struct{}, share bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx.Err() != nil {
		return nil, nil, false, fmt.Errorf("node is stopping: %w", exchange.ErrClosed)
	}
	other = n.rival(d)
	if other == nil {
		d.key = nodeKey(d.root)
		d.settled = d.phase != resolving
		n.active[d.key] = d
		return nil, nil, false, nil
	}
	// One that only readers wanted, and all have left, is about to end.
	if d.demand && (!other.demand || other.readers > 0) && !other.gone() &&
		(other.sameTarget(d) || (other.settled && d.phase != resolving)) {
		other.readers++
		share = true
	}
	select {
	case <-other.moved:
	default:
		moved = other.moved
	}
	return other, moved, share, nil
}

// nodeKey is the same for every CID of one block.
func nodeKey(c cid.Cid) string {
	if k, ok := merkle.KeyOf(c); ok {
		return string(k[:])
	}
	return c.KeyString()
}

// rival is the download that d would meet: one at the same node, or one that
// already has gone where d is bound. n.mu is held.
func (n *Node) rival(d *download) *download {
	if other := n.active[nodeKey(d.root)]; other != nil {
		return other
	}
	for _, other := range n.active {
		if other.sameTarget(d) {
			return other
		}
	}
	return nil
}

func (d *download) sameTarget(other *download) bool {
	return nodeKey(d.target.Root) == nodeKey(other.target.Root) && d.target.Path == other.target.Path
}

// move takes d on to the node that its path has led to; false if another is there.
func (n *Node) move(d *download) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := nodeKey(d.root)
	if n.active[key] != nil {
		return false
	}
	delete(n.active, d.key)
	n.active[key] = d
	d.key, d.settled = key, true
	d.pass()
	return true
}

// pass lets those look again that wait for d.
func (d *download) pass() {
	select {
	case <-d.moved:
	default:
		close(d.moved)
	}
}

// gone reports whether the loop has ended.
func (d *download) gone() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

func (n *Node) exit(d *download) {
	n.mu.Lock()
	if n.active[d.key] == d {
		delete(n.active, d.key)
	}
	delete(n.views, d)
	n.mu.Unlock()
	n.settle(d)
	close(d.left)
}

// note keeps what status shows of a download.
func (n *Node) note(d *download, p Progress, t *reporting) {
	v := RootStatus{CID: p.CID, Name: p.Name, Size: p.Size, Have: p.Have, State: "fetching", From: p.From, Path: d.opt.Output}
	if t.waiting != "" {
		v.State = "waiting"
		_, failed := d.candidates()
		v.Why = &Why{Code: t.code, Since: since(t.since), Tried: []string{}, Next: t.waiting}
		if failed != "" {
			v.Why.Tried = append(v.Why.Tried, failed)
		}
	}
	if d.table != nil {
		d.book(time.Now(), false)
	}
	n.mu.Lock()
	if d.table != nil {
		n.showAccount(&v, d.root)
	}
	n.views[d] = v
	n.mu.Unlock()
}

// announce tells the DHT that this node has, or fetches, a root.
func (n *Node) announce(c cid.Cid) {
	if n.announcer != nil {
		n.announcer.Add(c)
	}
}

// worked remembers a peer that gave valid data of the root.
func (d *download) worked(s *exchange.Session) {
	d.look.answered(s.Peer)
	if d.count.remembered[s.Peer] {
		return
	}
	d.count.remembered[s.Peer] = true
	addrs := d.n.host.Peerstore().Addrs(s.Peer)
	d.n.cache.Worked(d.target.Root, peer.AddrInfo{ID: s.Peer, Addrs: addrs})
}

func (n *Node) exchangeSent(c cid.Cid) int64 {
	if n.exchange == nil {
		return 0
	}
	return n.exchange.Sent(c)
}

// addrInfos reads multiaddrs with /p2p/ID, the addresses of one peer together.
func addrInfos(addrs []string) ([]peer.AddrInfo, error) {
	var all []ma.Multiaddr
	for _, s := range addrs {
		a, err := ma.NewMultiaddr(s)
		if err == nil {
			_, err = peer.AddrInfoFromP2pAddr(a)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: peer address %q: %w (it looks like /ip4/192.0.2.1/tcp/7461/p2p/12D3…)", ErrUsage, s, err)
		}
		all = append(all, a)
	}
	return peer.AddrInfosFromP2pAddrs(all...)
}

func ipOf(a ma.Multiaddr) (netip.Addr, error) {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}, err
	}
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap(), nil
}

// balancesKey is where the ledger stands in the store.
const balancesBucket, balancesKey = "ledger", "balances"

// loadBalances restores the ledger. A damaged one starts anew: it is history, not content.
func (n *Node) loadBalances() map[peer.ID]exchange.Balance {
	out := map[peer.ID]exchange.Balance{}
	b, err := n.store.Get(balancesBucket, balancesKey)
	if err != nil {
		return out // none yet
	}
	var kept map[string]exchange.Balance
	if err := json.Unmarshal(b, &kept); err != nil {
		n.log.Warn("ledger is damaged and starts anew", "err", err)
	}
	for s, balance := range kept {
		if p, err := peer.Decode(s); err == nil {
			out[p] = balance
		}
	}
	return out
}

func (n *Node) saveBalances(all map[peer.ID]exchange.Balance) {
	kept := make(map[string]exchange.Balance, len(all))
	for p, balance := range all {
		kept[p.String()] = balance
	}
	b, err := json.Marshal(kept)
	if err == nil {
		err = n.store.Put(balancesBucket, balancesKey, b)
	}
	if err != nil {
		n.log.Warn("ledger is not kept", "err", err)
	}
}
