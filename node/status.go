package node

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/dht"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// Find calls found for each provider of the root: those that worked lately, and
// those in the DHT. With nobody to ask it tells opt.Progress so, and waits on:
// somebody may come.
func (n *Node) Find(ctx context.Context, target merkle.Target, opt FetchOptions, found func(Provider)) error {
	if n.router == nil {
		return ErrOffline
	}
	joinBy, err := addrInfos(append(slices.Clone(opt.Peers), append(slices.Clone(target.Peers), opt.Bootstrap...)...))
	if err != nil {
		return err
	}
	n.joinThrough(joinBy)
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(opt.Timeout, 30*time.Second))
	defer cancel()
	lonely := time.Now().Add(sayNobody)
	for n.router.Size() == 0 {
		if opt.Progress != nil && !lonely.IsZero() && time.Now().After(lonely) {
			lonely = time.Time{}
			if len(joinBy) == 0 && len(n.bootstrap()) == 0 {
				opt.Progress(Progress{CID: target.Root.String(), Waiting: n.nobodyToAsk()})
			}
		}
		select {
		case <-ctx.Done():
			return caller.Err()
		case <-n.ctx.Done():
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
	finder := dht.Finder{Router: n.router, Cache: n.cache}
	for info := range finder.Find(ctx, target.Root, 0) {
		p := Provider{ID: info.ID.String(), Addrs: []string{}}
		for _, a := range info.Addrs {
			p.Addrs = append(p.Addrs, a.String())
		}
		found(p)
	}
	return caller.Err()
}

// Status describes the node and every root it knows.
func (n *Node) Status(context.Context) (Status, error) {
	s := Status{
		PeerID: n.ID(), Addrs: append([]string{}, n.Addrs()...), Version: n.cfg.Version, Reachability: "unknown",
		Peers: []PeerStatus{}, Roots: []RootStatus{}, Uptime: since(n.started), RSS: rss(),
	}
	if n.private != nil {
		s.Swarm = n.swarmStatus()
	}
	if n.host != nil {
		s.DHT = DHTStatus{Mode: n.kad.Mode(), RoutingTable: n.kad.Size()}
		s.Announce = n.announces.report()
		s.Reachability = n.reach.State().Reachability
		s.Relayed = n.reach.Relayed()
		s.Peers = n.peerStatus()
	}
	roots, err := n.store.Roots()
	if err != nil {
		return s, fmt.Errorf("list roots: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	seen := map[string]bool{}
	for _, v := range n.views {
		seen[v.CID] = true
		s.Roots = append(s.Roots, v)
	}
	for _, r := range roots {
		if !seen[r.CID.String()] {
			v := n.rootStatus(r)
			n.showAccount(&v, r.CID)
			s.Roots = append(s.Roots, v)
		}
	}
	slices.SortFunc(s.Roots, func(a, b RootStatus) int { return strings.Compare(a.CID, b.CID) })
	return s, nil
}

func (n *Node) rootStatus(r store.Root) RootStatus {
	v := RootStatus{CID: r.CID.String(), Name: r.Name, Size: r.Size, Path: r.Path, State: "complete", Have: r.Size, Sent: n.exchangeSent(r.CID), Pinned: r.Pinned, Cached: r.Cached}
	if r.State == store.Complete {
		return v
	}
	v.State, v.Have = "waiting", 0
	if r.Pieces > 0 {
		v.Have = r.Size * int64(r.Have) / int64(r.Pieces)
	}
	v.Why = &Why{Code: "stopped", Tried: []string{}, Next: "shoal get " + v.CID + " goes on with it"}
	if r.Cached {
		v.Why = &Why{Code: "read", Tried: []string{}, Next: "nobody reads it now; shoal pin " + v.CID + " gets the rest and keeps it"}
	}
	if r.State == store.Damaged {
		v.Why = &Why{Code: "damaged", Tried: []string{}, Next: "files have changed since they were added: add them again, or unshare " + v.CID}
	}
	return v
}

func (n *Node) peerStatus() []PeerStatus {
	out := []PeerStatus{}
	for _, s := range n.exchange.Sessions() {
		b := n.exchange.Balance(s.Peer)
		how, took := n.reach.How(s.Conn())
		addr := s.Conn().RemoteMultiaddr()
		out = append(out, PeerStatus{
			ID: s.Peer.String(), Addr: addr.String(), Transport: transportName(addr), Path: s.Path().String(), Reached: how, Took: took.Seconds(),
			RTT: float64(s.RTT().Microseconds()) / 1000, Received: b.Received, Sent: b.Sent, Balance: b.Received - b.Sent,
			ServedFor: s.ServedFor(),
		})
	}
	slices.SortFunc(out, func(a, b PeerStatus) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// transportName is p2p-circuit, wss (WebSocket over TLS), ws, quic-v1 or tcp.
func transportName(a ma.Multiaddr) string {
	has := func(code int) bool { _, err := a.ValueForProtocol(code); return err == nil }
	switch {
	case has(ma.P_CIRCUIT):
	case has(ma.P_WSS), has(ma.P_WS) && has(ma.P_TLS):
		return "wss"
	case has(ma.P_WS):
		return "ws"
	}
	for _, code := range []int{ma.P_CIRCUIT, ma.P_QUIC_V1, ma.P_TCP} {
		if has(code) {
			return ma.ProtocolWithCode(code).Name
		}
	}
	return "unknown"
}

// rss is the resident memory in bytes; where the system does not tell, what the
// Go runtime has of it and has not given back.
func rss() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if fields := strings.Fields(string(b)); err == nil && len(fields) > 1 {
		if pages, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
			return pages * int64(os.Getpagesize())
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys - m.HeapReleased)
}
