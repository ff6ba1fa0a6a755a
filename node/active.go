package node

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/store"
)

// enter makes d the one download of its root. Another of the same root is
// waited for, unless both would write the same target.
func (n *Node) enter(ctx context.Context, d *download) (*download, error) {
	key := d.target.Root.KeyString()
	waitCtx, cancel := ctx, context.CancelFunc(func() {})
	if d.opt.Deadline > 0 {
		waitCtx, cancel = context.WithDeadline(ctx, d.started.Add(d.opt.Deadline))
	}
	defer cancel()
	for {
		n.mu.Lock()
		if n.ctx.Err() != nil {
			n.mu.Unlock()
			return nil, fmt.Errorf("node is stopping: %w", exchange.ErrClosed)
		}
		other := n.active[key]
		if other == nil {
			n.active[key] = d
			n.mu.Unlock()
			return d, nil
		}
		// A demand download without readers is about to end.
		if d.demand && other.target.Path == d.target.Path && (!other.demand || other.readers > 0) && !other.gone() {
			other.readers++
			n.mu.Unlock()
			return other, nil
		}
		n.mu.Unlock()
		if d.opt.Output != "" && other.opt.Output == d.opt.Output {
			return nil, fmt.Errorf("%s is being fetched by another command: %w", d.opt.Output, store.ErrBusy)
		}
		select {
		case <-other.left:
		case <-waitCtx.Done():
			if ctx.Err() == nil {
				return nil, d.unavailable(fmt.Sprintf("not done within %v, for another command fetches it", d.opt.Deadline))
			}
			return nil, ctx.Err()
		}
		d.useful = time.Now() // waiting for the other was not in vain
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
	if key := d.target.Root.KeyString(); n.active[key] == d {
		delete(n.active, key)
	}
	delete(n.views, d.target.Root.String())
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
	n.mu.Lock()
	n.views[p.CID] = v
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

// down waits for n bytes of the download limit: an origin counts as WAN.
func (n *Node) down(ctx context.Context, bytes int) error {
	return n.exchange.WaitDownload(ctx, exchange.WAN, bytes)
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
