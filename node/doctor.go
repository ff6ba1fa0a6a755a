package node

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/probe"
	"github.com/shoal-p2p/shoal/probe/nat"
)

// Check is one line of what works from here. Its JSON is that of
// `shoal doctor --json`.
type Check struct {
	Check  string `json:"check"`  // what was looked at, one word
	State  string `json:"state"`  // ok, warning or failing
	Detail string `json:"detail"` // what was found
	Hint   string `json:"hint"`   // what to do about it; "" when nothing need be done
}

// The states of a Check.
const (
	CheckOK      = "ok"
	CheckWarning = "warning" // it works, though less well
	CheckFailing = "failing" // something does not work
)

// DoctorOptions say what is looked at beside the node.
type DoctorOptions struct {
	Origins   []string `json:"origins,omitempty"`   // beside those of Config
	Bootstrap []string `json:"bootstrap,omitempty"` // to join through first, beside those of Config
	CA        string   `json:"ca,omitempty"`        // root certificates as PEM, as FetchOptions.CA
}

// Patience of a doctor.
const (
	doctorJoin   = 5 * time.Second  // for a first peer and a routing table
	doctorTalk   = 15 * time.Second // with peers, about what they see
	doctorTalks  = 8                // peers that are asked
	doctorLookup = 10 * time.Second
	doctorOrigin = 15 * time.Second
)

// findings are what peers say of this node.
type findings struct {
	talks []*probe.Talk
	nat   nat.Observation
	err   error // of exploring
}

// Doctor looks at everything that can keep this node from others, from the disk to
// the router, and says what to do. It takes some seconds, 30 at most; with ctx it
// ends early, and what could not be looked at by then says so. ErrOffline
// without a network.
func (n *Node) Doctor(ctx context.Context, opt DoctorOptions) ([]Check, error) {
	if n.host == nil {
		return nil, ErrOffline
	}
	boot, err := addrInfos(opt.Bootstrap)
	if err != nil {
		return nil, err
	}
	sources, err := n.sources(merkle.Target{}, FetchOptions{Origins: opt.Origins, CA: opt.CA}, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, s := range sources {
			s.o.Close()
		}
	}()
	n.joinThrough(boot)
	n.awaitPeers(ctx)
	var wg sync.WaitGroup
	var see findings
	var lookup Check
	origins := make([]originFound, len(sources))
	wg.Go(func() { see = n.askPeers(ctx) })
	wg.Go(func() { lookup = n.checkDHT(ctx) })
	for i, s := range sources {
		wg.Go(func() { origins[i] = examine(ctx, s.o) })
	}
	disk := n.checkDisk()
	wg.Wait()
	defer func() {
		for _, t := range see.talks {
			t.Close()
		}
	}()
	t := nat.Classify(see.nat)
	checks := []Check{
		judgePorts(n.listens(), n.reach.State().Reachability), judgeAddresses(see.talks), n.checkPeers(), judgeNAT(t, see),
		judgePunch(t, n.reach.State().Reachability), judgeRelay(n.relays(), n.reach.State().Reachability), n.checkMDNS(), lookup,
	}
	for _, o := range origins {
		checks = append(checks, judgeOrigin(o, time.Now()))
	}
	return append(checks, judgeClock(clocks(see.talks, origins)), disk, checkBuffers(), checkFiles(), n.checkProxy(ctx), n.checkWeb(ctx)), nil
}

// awaitPeers gives the node time to join: until there is a session and somebody in
// the routing table, where there is anybody to join through.
func (n *Node) awaitPeers(ctx context.Context) {
	if n.known() == 0 && n.mdns == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, doctorJoin)
	defer cancel()
	for len(n.exchange.Sessions()) == 0 || n.kad.Size() == 0 {
		select {
		case <-ctx.Done():
			return
		case <-n.ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// askPeers asks connected peers what they see, and explores with their help.
func (n *Node) askPeers(ctx context.Context) findings {
	ctx, cancel := context.WithTimeout(ctx, doctorTalk)
	defer cancel()
	var f findings
	peers := n.askable()
	talks := make([]*probe.Talk, len(peers))
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() {
			t, err := probe.Ask(ctx, n.host, n.prefix(), p)
			if err != nil {
				n.log.Debug("doctor", "peer", p, "err", err)
			}
			talks[i] = t
		})
	}
	wg.Wait()
	f.talks = slices.DeleteFunc(talks, func(t *probe.Talk) bool { return t == nil })
	f.nat, f.err = probe.Explore(ctx, nil, f.talks)
	return f
}

// askable are the peers to ask: those that speak the protocol, in the order of
// their IDs so that two doctors ask the same.
func (n *Node) askable() []peer.ID {
	var out []peer.ID
	for _, p := range n.host.Network().Peers() {
		if known, err := n.host.Peerstore().SupportsProtocols(p, probe.Protocol(n.prefix())); err == nil && len(known) > 0 {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b peer.ID) int { return strings.Compare(string(a), string(b)) })
	return out[:min(len(out), doctorTalks)]
}
