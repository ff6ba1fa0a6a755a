package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/cdnfallback"
	"github.com/shoal-p2p/shoal/dht"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/probe"
	"github.com/shoal-p2p/shoal/reach"
	"github.com/shoal-p2p/shoal/store"
	"github.com/shoal-p2p/shoal/swarm"
)

// Node is a running shoal node. Its methods may be called from many goroutines.
type Node struct {
	cfg       Config
	log       *slog.Logger
	self      peer.ID
	started   time.Time
	store     *store.Disk
	web       *names       // by which it is dialled over WebSocket
	private   *swarm.Swarm // nil in the open swarm
	host      host.Host    // nil when offline, like all below
	reach     *reach.Reach
	exchange  *exchange.Exchange
	kad       *dht.Kad
	router    dht.Router
	mdns      *dht.MDNS
	cache     *dht.Cache
	announcer *dht.Announcer
	announces *announcing // nil: roots alone
	udp       *quicreuse.ConnManager
	probes    *probe.Server
	boot      []peer.AddrInfo
	ctx       context.Context // ends at Close
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	closing   sync.Once

	ca string // root certificates of Config.CA, PEM

	bans bans // of peers that lied

	storeMax int64 // bytes kept for readers
	shelf    shelf // of tables that peers ask for

	manifests manifests  // that Resolve has read
	trusting  sync.Mutex // while it is decided whom to trust
	caches    *cache     // nil unless this node is one

	mu       sync.Mutex
	active   map[string]*download     // by the node that each is at: see enter
	views    map[*download]RootStatus // of active downloads
	accounts map[string]*account      // of active downloads, by cid.KeyString
	extra    []peer.AddrInfo          // joined through, beside boot
}

var _ API = (*Node)(nil)

// Start runs a node in cfg.Dir. ctx bounds starting only; Close stops the node
// and waits. ErrRunning when another process uses the directory.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	if cfg.Dir == "" {
		return nil, fmt.Errorf("%w: no directory", ErrUsage)
	}
	boot, err := addrInfos(cfg.Bootstrap)
	if err != nil {
		return nil, err
	}
	ca, err := ReadCA(cfg.CA)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, "quarantine"), 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	n := &Node{
		cfg: cfg, log: cfg.Log, started: time.Now(), boot: boot, ca: ca,
		active: map[string]*download{}, views: map[*download]RootStatus{}, accounts: map[string]*account{},
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	if n.store, err = store.Open(cfg.Dir, store.Config{}); err != nil {
		n.cancel()
		if errors.Is(err, store.ErrLocked) {
			err = fmt.Errorf("%w: %w", ErrRunning, err)
		}
		return nil, err
	}
	n.emptyQuarantine()
	n.storeMax, err = n.room()
	var key crypto.PrivKey
	if err == nil {
		key, err = identity(cfg.Dir)
	}
	if err == nil {
		n.self, err = peerID(key)
	}
	if err == nil {
		err = n.enterSwarm(key)
	}
	if err == nil {
		n.web, err = newNames(cfg)
	}
	if err == nil && !cfg.Offline {
		n.caches, err = n.newCache()
	}
	if err == nil && !cfg.Offline {
		cfg.more = append(cfg.more, n.withSockets(), libp2p.AddrsFactory(n.web.tell))
		if n.reach, err = n.newReach(); err == nil {
			n.host, err = newHost(cfg, key, n.private, n.reach)
		}
		if err == nil {
			err = n.join(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// emptyQuarantine removes what a crash left of streams without a tree.
func (n *Node) emptyQuarantine() {
	left, _ := filepath.Glob(filepath.Join(n.cfg.Dir, "quarantine", "stream-*"))
	for _, f := range left {
		os.Remove(f)
	}
}

// peersPath is where the DHT remembers who was met.
func peersPath(dir string) string { return filepath.Join(dir, "peers.json") }

// join starts everything that talks to others, in the order in which they need
// each other: the DHT registers before anyone connects.
func (n *Node) join(ctx context.Context) error {
	up, down, lan, err := limits(n.cfg)
	if err != nil {
		return err
	}
	n.cache = dht.OpenCache(peersPath(n.cfg.Dir), dht.CacheConfig{Log: n.log})
	policy := dht.ServerAuto
	if n.cfg.Relay || n.public() {
		policy = dht.ServerAlways
	}
	local := n.loopbackOnly()
	n.announces = newAnnouncing(n)
	n.kad, err = dht.NewKad(n.host, dht.KadConfig{
		Server: policy, Bootstrap: n.bootstrap, Held: n.names(), Loopback: local, Log: n.log,
		Prefix: n.prefix(), RoutingTableFilter: n.mayKeep(), QueryFilter: n.mayAsk(),
	})
	if err != nil {
		return err
	}
	n.router = n.kad
	n.exchange = exchange.New(n.host, exchange.Config{
		Prefix: n.prefix(), Agent: "shoal/" + n.cfg.Version, Library: (*library)(n), LAN: lan,
		Upload: up, Download: down, Group: n.private != nil, Log: n.log,
		Balances: n.loadBalances(), Save: n.saveBalances, OnSession: n.onSession, OnSought: n.caches.onSought(),
	})
	if err := n.reach.Start(n.host); err != nil {
		return err
	}
	n.announcer = dht.NewAnnouncer(n.router, n.announces.config(dht.AnnouncerConfig{Host: n.host, Log: n.log}))
	announcer := n.announcer // a test may put another in its place
	n.wg.Go(func() { announcer.Run(n.ctx) })
	n.wg.Go(func() { n.cache.Run(n.ctx) })
	roots, err := n.store.Roots()
	if err != nil {
		return err
	}
	held := make([]cid.Cid, len(roots))
	for i, r := range roots {
		held[i] = r.CID
	}
	n.announcer.Add(held...) // together, so that many are spread over time
	if !n.cfg.MDNS.Off() {
		n.mdns, err = dht.NewMDNS(n.host, dht.MDNSConfig{Service: n.service(), Found: n.foundOnLAN, Loopback: local, Log: n.log})
		if err != nil {
			n.log.Warn("no mDNS: peers on this LAN are not found by themselves", "err", err)
		}
	}
	if err := n.serveProbes(); err != nil {
		return err
	}
	n.tellSwarm()
	if n.caches != nil && len(n.cfg.Prefetch) > 0 {
		n.wg.Go(func() { n.caches.prefetch(n.ctx, n.cfg.Prefetch) })
	}
	n.joinThrough(n.boot)
	n.joinThrough(n.cache.Peers(8))
	return nil
}

// loopbackOnly reports whether the node listens on loopback alone, as in labs
// and tests: then loopback addresses are worth telling.
func (n *Node) loopbackOnly() bool {
	for _, a := range n.host.Network().ListenAddresses() {
		if ip, err := ipOf(a); err == nil && !ip.IsLoopback() { // a circuit has none
			return false
		}
	}
	return true
}

// joinThrough connects to peers in the background: they fill the routing table
// and may hold what is looked for.
func (n *Node) joinThrough(peers []peer.AddrInfo) {
	if len(peers) == 0 || n.host == nil {
		return
	}
	n.mu.Lock()
	n.extra = append(n.extra, peers...)
	if len(n.extra) > 64 {
		n.extra = n.extra[len(n.extra)-64:]
	}
	n.mu.Unlock()
	for _, p := range peers {
		n.connect(p)
	}
}

// connect opens a session with a peer in the background.
func (n *Node) connect(p peer.AddrInfo) {
	n.spawn(func() {
		ctx, cancel := context.WithTimeout(n.ctx, n.dialTimeout())
		defer cancel()
		n.reach.Dialling(p.ID)
		if _, err := n.exchange.Session(ctx, p); err != nil {
			n.log.Debug("no session", "peer", p.ID, "err", err)
		}
	})
}

// spawn runs f in a goroutine that Close waits for, unless the node is closing.
func (n *Node) spawn(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx.Err() == nil {
		n.wg.Go(f)
	}
}

// bootstrap are the peers to join through.
func (n *Node) bootstrap() []peer.AddrInfo {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append(n.boot[:len(n.boot):len(n.boot)], n.extra...)
}

// noneOf lists what a lonely node lacks.
func (n *Node) noneOf() string {
	s := "no bootstrap configured, no shoal node on this LAN, no --origin"
	if n.mdns == nil {
		s = "no bootstrap configured, mDNS is off, no --origin"
	}
	return s
}

// nobodyToAsk says so in the words of the contract, and what to do.
func (n *Node) nobodyToAsk() string {
	return "nobody to ask: " + n.noneOf() + ". Ask the sender for the link ('shoal share' prints it), or give --bootstrap, --peer or --origin."
}

func (n *Node) foundOnLAN(p peer.AddrInfo) {
	n.exchange.Near(p.ID)
	n.connect(p)
}

// onSession tells every download of a new peer: it may have the root.
func (n *Node) onSession(s *exchange.Session) {
	if n.bans.has(time.Now(), s.Peer) {
		n.spawn(func() { s.Ban(errBanned) })
		return
	}
	n.mu.Lock()
	ds := make([]*download, 0, len(n.active))
	for _, d := range n.active {
		ds = append(ds, d)
	}
	n.mu.Unlock()
	if c := s.Conn(); c.Stat().Direction == network.DirOutbound { // an inbound address is no way back
		n.cache.Worked(cid.Undef, peer.AddrInfo{ID: s.Peer, Addrs: []ma.Multiaddr{c.RemoteMultiaddr()}})
	}
	for _, d := range ds {
		d.send(n.ctx, session{s})
	}
	if s.Path() == exchange.Relay {
		n.onDirect(s.Peer) // if they have met meanwhile
	}
}

func (n *Node) dialTimeout() time.Duration { return cmp.Or(n.cfg.DialTimeout, 5*time.Second) }

// ID is the node's peer ID.
func (n *Node) ID() string { return n.self.String() }

// Addrs are the addresses that others can dial, each with /p2p/ID.
func (n *Node) Addrs() []string {
	if n.host == nil {
		return nil
	}
	var out []string
	for _, a := range n.host.Addrs() {
		out = append(out, a.String()+"/p2p/"+n.ID())
	}
	return out
}

// ban ends everything with a peer that lied.
func (n *Node) ban(s *exchange.Session, why error) {
	n.cache.Failed(cid.Undef, s.Peer)
	n.bans.add(time.Now(), s.Peer)
	s.Ban(why)
}

// Close stops the node and waits for all that it started. Later calls do nothing.
func (n *Node) Close() error {
	var errs []error
	n.closing.Do(func() {
		n.mu.Lock()
		n.cancel()
		n.mu.Unlock()
		if n.mdns != nil {
			errs = append(errs, n.mdns.Close())
		}
		n.wg.Wait()
		if n.probes != nil {
			errs = append(errs, n.probes.Close())
		}
		if n.exchange != nil {
			errs = append(errs, n.exchange.Close())
		}
		if n.reach != nil {
			errs = append(errs, n.reach.Close())
		}
		if n.kad != nil {
			errs = append(errs, n.kad.Close())
		}
		if n.host != nil {
			errs = append(errs, n.host.Close())
		}
		if n.private != nil {
			errs = append(errs, n.private.Close())
		}
		errs = append(errs, n.store.Close())
	})
	return errors.Join(errs...)
}

// netrc is where credentials of origins may stand.
func (n *Node) netrc() string {
	home, _ := os.UserHomeDir() // "" is answered by NetrcPath
	return cdnfallback.NetrcPath(os.Getenv, home)
}
