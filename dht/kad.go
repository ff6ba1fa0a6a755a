package dht

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	mh "github.com/multiformats/go-multihash"
)

// Validity and Reprovide are how long a provider record lives and how often it
// is renewed unless configured: the values of the Amino DHT, which leave room
// for one missed renewal.
const (
	Validity  = 48 * time.Hour
	Reprovide = 22 * time.Hour
)

// KadConfig configures a Kad. The zero value joins the open swarm.
type KadConfig struct {
	// Prefix comes before "/kad/1.0.0" in the protocol's name and starts with a
	// slash; "/shoal" if empty, "/shoal/SWARM-ID" in a private swarm.
	Prefix string
	// Server says when to answer others; ServerAuto if zero.
	Server ServerPolicy
	// Bootstrap returns the peers to join through. It is asked whenever the
	// routing table is empty; nil means that peers are only found by other means
	// (mDNS, links) and connected to the host.
	Bootstrap func() []peer.AddrInfo
	// Loopback keeps loopback addresses in records and replies. Only for swarms
	// on one machine.
	Loopback bool
	// RoutingTableFilter and QueryFilter say which peers may be kept and asked;
	// everybody if nil. A private swarm sets both to its members. They are called
	// from several goroutines and must not block.
	RoutingTableFilter func(peer.ID) bool
	QueryFilter        func(peer.AddrInfo) bool
	// Validity is how long a record of others is kept, and its addresses with it;
	// Validity (48 h) if zero.
	Validity time.Duration
	// Refresh is the time between refreshes of the routing table; 10 min if
	// zero, never by itself if negative.
	Refresh time.Duration
	// Held says whether this node has the content of a multihash, beside what it
	// was told to Provide: as a server it names itself to who asks. nil: nothing.
	// It is called from several goroutines and must be quick.
	Held func(mh.Multihash) bool
	// Log gets what an operator wants to know; nothing is logged if nil.
	Log *slog.Logger
}

// Kad is a Router over go-libp2p-kad-dht: Kademlia with k = 20 and alpha = 10.
type Kad struct {
	cfg  KadConfig
	log  *slog.Logger
	host *gate
	dht  *kad.IpfsDHT
	rpc  *pb.ProtocolMessenger
	own  *ownRecords

	batching chan struct{} // holds one value while ProvideMany runs
	batch    *batch        // owned by who has put that value; nil until needed

	joined  chan struct{} // see Joined
	news    chan struct{} // the same for keepFull
	looked  atomic.Int64  // when all servers of a small swarm were asked; nanoseconds since 1970
	counted atomic.Int64  // and how many there were
	looking chan struct{} // holds one value while servers are looked for in a small table
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	close   func() error
}

var _ Router = (*Kad)(nil)

// NewKad starts a Kad on h. Create it before h connects to anyone: a peer looks
// at h's protocols when they meet. The caller closes the Kad before h.
func NewKad(h host.Host, cfg KadConfig) (*Kad, error) {
	cfg.Prefix = cmp.Or(cfg.Prefix, "/shoal")
	if !strings.HasPrefix(cfg.Prefix, "/") || strings.HasSuffix(cfg.Prefix, "/") {
		return nil, fmt.Errorf("dht prefix %q must start with a slash and not end with one", cfg.Prefix)
	}
	cfg.Validity = cmp.Or(cfg.Validity, Validity)
	k := &Kad{
		cfg: cfg, host: &gate{Host: h}, log: cfg.Log, own: newOwnRecords(h.ID(), cfg.Held),
		batching: make(chan struct{}, 1), joined: make(chan struct{}, 1), news: make(chan struct{}, 1),
		looking: make(chan struct{}, 1),
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	mode, err := k.newModeWatch()
	if err != nil {
		return nil, err
	}
	// The first mode is settled before kad-dht registers its handler, so that it
	// costs no identify push.
	mode.apply(time.Now())
	if k.dht, err = kad.New(k.host, k.options()...); err != nil {
		mode.close()
		return nil, fmt.Errorf("start the dht: %w", err)
	}
	if k.rpc, err = pb.NewProtocolMessenger(k.dht.MessageSender()); err != nil {
		mode.close()
		return nil, errors.Join(fmt.Errorf("start the dht: %w", err), k.dht.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	k.wg.Go(func() { mode.run(ctx) })
	k.wg.Go(func() { k.rejoin(ctx) })
	if cfg.Refresh >= 0 {
		k.wg.Go(func() { k.keepFull(ctx) })
	}
	k.close = sync.OnceValue(k.shutdown)
	return k, nil
}

// options translates the configuration. Values (PUT_VALUE) are off: shoal keeps
// provider records only, and what is off cannot be filled by strangers.
func (k *Kad) options() []kad.Option {
	cfg := k.cfg
	opts := []kad.Option{
		kad.ProtocolPrefix(protocol.ID(cfg.Prefix)),
		kad.Mode(kad.ModeServer), // see gate
		kad.DisableValues(),
		kad.DisableAutoRefresh(), // see keepFull
		kad.ProviderDatastore(newRecordStore(maxRecords, k.own)),
		kad.ProviderManagerOpts(
			records.ProvideValidity(cfg.Validity),
			records.ProviderAddrTTL(cfg.Validity),
			records.Cache(newProviderCache(k.own)),
		),
	}
	if cfg.Bootstrap != nil {
		opts = append(opts, kad.BootstrapPeersFunc(cfg.Bootstrap))
	}
	if !cfg.Loopback {
		opts = append(opts, kad.AddressFilter(dropLoopback))
	}
	opts = append(opts, kad.RoutingTableFilter(k.admit))
	if ask := cfg.QueryFilter; ask != nil {
		opts = append(opts, kad.QueryFilter(func(_ any, p peer.AddrInfo) bool { return ask(p) }))
	}
	if cfg.Refresh > 0 {
		opts = append(opts, kad.RoutingTableRefreshPeriod(cfg.Refresh))
	}
	return opts
}

// Protocol is the protocol that servers of this swarm's DHT speak.
func (k *Kad) Protocol() protocol.ID { return protocol.ID(k.cfg.Prefix + "/kad/1.0.0") }

// Size is the number of peers in the routing table.
func (k *Kad) Size() int { return k.dht.RoutingTable().Size() }

// Mode is ModeServer or ModeClient; it may change while the node runs.
func (k *Kad) Mode() string {
	if k.host.serving() {
		return ModeServer
	}
	return ModeClient
}

// Refresh looks for the neighbours of this node and fills the routing table now.
// It returns ErrNoPeers if there is nobody to ask.
func (k *Kad) Refresh(ctx context.Context) error {
	if k.Size() == 0 {
		return ErrNoPeers
	}
	select {
	case err := <-k.dht.ForceRefresh():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops the node's part in the DHT and waits for it.
func (k *Kad) Close() error { return k.close() }

func (k *Kad) shutdown() error {
	k.cancel()
	k.wg.Wait()
	k.host.serve(false)
	k.batching <- struct{}{} // for good: later calls of ProvideMany wait for their contexts
	if err := errors.Join(k.closeBatch(), k.dht.Close()); err != nil {
		return fmt.Errorf("close the dht: %w", err)
	}
	return nil
}
