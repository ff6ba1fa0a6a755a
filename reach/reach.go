package reach

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	p2pswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/shoal-p2p/shoal/reach/plan"
)

// Config says how a node is reached. The zero value suits a node at home.
type Config struct {
	Prefix  string // of the protocol names; "/shoal" if empty
	Public  bool   // known to be dialable by all
	Relay   bool   // relay for others
	PerPair int64  // bytes that a pair of peers may send over this relay in an hour
	PerDay  int64  // and all together in a day
	Hard    bool   // search for the port of a router that changes it
	// Relays says who may be asked to relay; everybody if nil.
	Relays func(peer.ID) bool
	// Roots say whose certificates are believed when WebSocket is dialled; the
	// system's if nil. Certificate is what listening for it on /tls/ws needs.
	Roots       *x509.CertPool
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// ACL says who may use this node as a relay; everybody if nil.
	ACL ACL
	// OnDirect is told that a peer is connected directly that was not; OnMoved,
	// that this machine has other addresses; OnSpent, that a relay carries no more
	// data for a peer until then. They must not block.
	OnDirect func(peer.ID)
	OnMoved  func()
	OnSpent  func(p peer.ID, until time.Time)
	Log      *slog.Logger // discards if nil
}

// Reach is a node's part in being reached. Its methods may be called from many
// goroutines.
type Reach struct {
	cfg   Config
	log   *slog.Logger
	quic  *quicDialer
	inner host.Host   // as libp2p made it, set by Bind
	host  host.Host   // as members use it, set by Start
	relay *relay      // nil unless Config.Relay
	open  atomic.Bool // set at the end of Start: AutoRelay asks for relays before

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	emit   event.Emitter

	backs backs // dial-backs under way for others

	mu     sync.Mutex
	book   plan.Book
	told   network.Reachability
	askers []peer.ID // that can be asked to dial back, newest last
	peers  map[peer.ID]*met
}

// New prepares what a host needs before it exists.
func New(cfg Config) *Reach {
	if cfg.Prefix == "" {
		cfg.Prefix = "/shoal"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Reach{cfg: cfg, log: cfg.Log, quic: newQUICDialer(), peers: map[peer.ID]*met{}, backs: backs{last: map[peer.ID]time.Time{}}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Options are those of the host: transports that know how two nodes meet, and
// relays found among the peers.
func (r *Reach) Options() []libp2p.Option {
	opts := append(r.transports(),
		// The detector takes peers that cannot be met for a network without UDP.
		libp2p.SwarmOpts(p2pswarm.WithUDPBlackHoleSuccessCounter(nil)),
		// What is known of the own reachability comes from here, not from AutoNAT,
		// which learns nothing for 15 s and nothing at all where few are public.
		func(cfg *libp2p.Config) error {
			unknown := network.ReachabilityUnknown
			cfg.AutoNATConfig.ForceReachability = &unknown
			return nil
		})
	if r.cfg.Public || r.cfg.Relay {
		return opts
	}
	return append(opts, libp2p.EnableAutoRelayWithPeerSource(r.relays,
		autorelay.WithMinCandidates(1), autorelay.WithNumRelays(2), autorelay.WithBootDelay(0),
		autorelay.WithBackoff(10*time.Second), autorelay.WithMinInterval(time.Second)))
}

// relays are the connected peers that relay, for AutoRelay.
func (r *Reach) relays(_ context.Context, most int) <-chan peer.AddrInfo {
	found := make(chan peer.AddrInfo, most)
	defer close(found)
	if !r.open.Load() {
		return found
	}
	for _, p := range r.inner.Network().Peers() {
		if len(found) == most {
			break
		}
		if hop, err := r.inner.Peerstore().SupportsProtocols(p, proto.ProtoIDv2Hop); err != nil || len(hop) == 0 {
			continue
		}
		if c := direct(r.inner.Network().ConnsToPeer(p)); c != nil && (r.cfg.Relays == nil || r.cfg.Relays(p)) {
			found <- peer.AddrInfo{ID: p, Addrs: r.inner.Peerstore().Addrs(p)}
		}
	}
	return found
}

// Bind gives Reach the host that libp2p made from Options, before it connects to
// anyone.
func (r *Reach) Bind(h host.Host) { r.inner = h }

// Start begins, on the host as members use it; Close ends it, before the host.
func (r *Reach) Start(h host.Host) error {
	sub, err := r.inner.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted), eventbus.BufSize(256), eventbus.Name("shoal/reach"))
	if err != nil {
		return fmt.Errorf("watch how others see this node: %w", err)
	}
	if r.emit, err = r.inner.EventBus().Emitter(new(event.EvtLocalReachabilityChanged), eventbus.Stateful); err != nil {
		sub.Close()
		return fmt.Errorf("tell how this node is reached: %w", err)
	}
	r.host = h
	r.mu.Lock()
	r.book.OnInterfaces(interfaces())
	r.mu.Unlock()
	if r.cfg.Relay {
		if r.relay, err = newRelay(r); err != nil {
			sub.Close()
			return err
		}
	}
	h.SetStreamHandler(r.id("dialback"), r.answerDialBack)
	h.SetStreamHandler(r.id("punch"), r.answerPunch)
	h.SetStreamHandler(r.id("relay"), r.hearRelay)
	r.open.Store(true)
	r.inner.Network().Notify((*notifiee)(r))
	r.catchUp()
	r.wg.Go(func() { r.watch(sub) })
	r.wg.Go(r.mind)
	r.tell()
	return nil
}

// id is the name of a protocol.
func (r *Reach) id(name string) protocol.ID { return protocol.ID(r.cfg.Prefix + "/" + name + "/1.0.0") }

// Close ends all that Start began and waits for it.
func (r *Reach) Close() error {
	r.mu.Lock()
	r.cancel() // whoever sees the context alive under mu has its goroutine counted
	r.mu.Unlock()
	if r.host == nil {
		return nil
	}
	r.inner.Network().StopNotify((*notifiee)(r))
	for _, name := range []string{"dialback", "punch", "relay"} {
		r.host.RemoveStreamHandler(r.id(name))
	}
	var err error
	if r.relay != nil {
		err = r.relay.close()
	}
	r.wg.Wait()
	_ = r.emit.Close()
	return err
}

// spawn runs f in a goroutine that Close waits for, unless it is closing.
func (r *Reach) spawn(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() == nil {
		r.wg.Go(f)
	}
}

// State is what is known of how this node is reached.
type State struct {
	Reachability string       // public, private, unknown
	UDP, TCP     plan.Mapping // by the routers in front
	Outside      []netip.Addr // that others saw
}

// State describes how this node is reached.
func (r *Reach) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return State{
		Reachability: words[r.reachability()],
		UDP:          r.book.Mapping(plan.UDP), TCP: r.book.Mapping(plan.TCP),
		Outside: r.book.Outside(),
	}
}

var words = map[network.Reachability]string{
	network.ReachabilityPublic: "public", network.ReachabilityPrivate: "private", network.ReachabilityUnknown: "unknown",
}

// reachability is what to tell of this node. mu is held.
func (r *Reach) reachability() network.Reachability {
	if r.cfg.Public || r.cfg.Relay {
		return network.ReachabilityPublic
	}
	switch r.book.Reachability() {
	case plan.Public:
		return network.ReachabilityPublic
	case plan.Private:
		return network.ReachabilityPrivate
	}
	return network.ReachabilityUnknown
}

// tell announces the reachability to the rest of the host, when it has changed.
func (r *Reach) tell() {
	r.mu.Lock()
	now := r.reachability()
	changed := now != r.told
	r.told = now
	r.mu.Unlock()
	if changed {
		r.log.Info("reachability", "is", words[now])
		_ = r.emit.Emit(event.EvtLocalReachabilityChanged{Reachability: now})
	}
}
