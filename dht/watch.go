package dht

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
)

// smallSwarm is kad-dht's k: in a swarm of at most this many servers each of
// them keeps every record.
const smallSwarm = 20

// modeWatch feeds modeRule with what happens to the host. One goroutine owns it:
// NewKad's until run starts.
type modeWatch struct {
	k    *Kad
	sub  event.Subscription
	rule modeRule
	in   modeInput
}

func (k *Kad) newModeWatch() (*modeWatch, error) {
	sub, err := k.host.EventBus().Subscribe([]any{
		new(event.EvtLocalReachabilityChanged),
		new(event.EvtPeerConnectednessChanged),
		new(event.EvtPeerIdentificationCompleted),
	}, eventbus.BufSize(256), eventbus.Name("shoal/dht"))
	if err != nil {
		return nil, fmt.Errorf("watch the host's reachability: %w", err)
	}
	w := &modeWatch{k: k, sub: sub, in: modeInput{policy: k.cfg.Server, near: true}}
	w.pending()
	onLink := interfaceSubnets()
	if k.cfg.Bootstrap != nil {
		for _, p := range k.cfg.Bootstrap() {
			for _, a := range p.Addrs {
				w.in.near = w.in.near && nearAddr(a, onLink)
			}
		}
	}
	for _, c := range k.host.Network().Conns() {
		w.in.near = w.in.near && nearAddr(c.RemoteMultiaddr(), onLink)
	}
	return w, nil
}

// pending takes the events that are there already: the last reachability is
// sent to each new subscriber at once.
func (w *modeWatch) pending() {
	for {
		select {
		case e := <-w.sub.Out():
			w.note(e)
		default:
			return
		}
	}
}

func (w *modeWatch) close() { _ = w.sub.Close() }

// apply sets the mode that the rule has for now and returns when to come back.
func (w *modeWatch) apply(now time.Time) time.Time {
	server, again := w.rule.decide(now, w.in)
	if w.k.host.serve(server) {
		w.k.log.Info("dht mode", "mode", w.k.Mode(), "reachability", w.in.reachability.String())
	}
	return again
}

// run ends with ctx.
func (w *modeWatch) run(ctx context.Context) {
	defer w.close()
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.sub.Out():
			if !ok {
				return
			}
			if !w.note(e) {
				continue
			}
		case <-again.C:
		}
		again.Stop()
		if at := w.apply(time.Now()); !at.IsZero() {
			again.Reset(time.Until(at))
		}
	}
}

// note takes in one event and says whether the mode may depend on it.
func (w *modeWatch) note(e any) bool {
	switch e := e.(type) {
	case event.EvtLocalReachabilityChanged:
		w.in.reachability = e.Reachability
		return true
	case event.EvtPeerConnectednessChanged:
		return e.Connectedness != network.NotConnected && w.far(e.Peer)
	case event.EvtPeerIdentificationCompleted:
		if slices.Contains(e.Protocols, w.k.Protocol()) {
			w.k.met()
		}
	}
	return false
}

// far notes that p is connected over an address that is not near. Only the
// first such peer matters: a node that stopped serving for it does not start
// again when it leaves.
func (w *modeWatch) far(p peer.ID) bool {
	if !w.in.near || w.in.policy != ServerAuto {
		return false
	}
	onLink := interfaceSubnets()
	for _, c := range w.k.host.Network().ConnsToPeer(p) {
		if !nearAddr(c.RemoteMultiaddr(), onLink) {
			w.in.near = false
			return true
		}
	}
	return false
}

// met says that a server of this DHT was met. In a small swarm it should have
// all records, and if it was restarted it has lost them.
func (k *Kad) met() {
	if k.dht != nil && k.Size() > smallSwarm {
		return
	}
	for _, told := range []chan struct{}{k.joined, k.news} {
		select {
		case told <- struct{}{}:
		default:
		}
	}
}

// Joined gets a value when this node has met a server while it knows few, so
// that records should be announced again. Values that nobody takes are merged.
func (k *Kad) Joined() <-chan struct{} { return k.joined }

// rejoin asks the bootstrap peers again while the routing table is empty,
// sooner than kad-dht's own 2 minutes: a node that starts with its network
// would otherwise sit there alone.
func (k *Kad) rejoin(ctx context.Context) {
	const first, most = 5 * time.Second, time.Minute
	wait := first
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if k.Size() > 0 {
			wait = first
			continue
		}
		_ = k.dht.Bootstrap(ctx) // never fails; it only wakes kad-dht's own loop
		wait = min(2*wait, most)
	}
}
