package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/shoal-p2p/shoal/merkle"
)

// ErrClosed says that the exchange or the session has ended.
var ErrClosed = errors.New("closed")

// Library is what a node can serve. Its methods may be called from many goroutines.
type Library interface {
	// Held describes an interior or leaf CID that the node can serve from, and
	// false when it holds nothing of it.
	Held(ctx context.Context, c cid.Cid) (Held, bool)
	// Block returns an interior block, or a leaf that a tree request may name.
	Block(ctx context.Context, c cid.Cid) ([]byte, error)
	// ReadPiece returns a whole leaf block, verified, in buf if it fits.
	ReadPiece(ctx context.Context, key merkle.Key, buf []byte) ([]byte, error)
	// Suspect is told that a receiver found a piece bad that we served.
	Suspect(key merkle.Key)
}

// Held is what there is of a root.
type Held struct {
	Table *merkle.Table
	Have  []bool    // by piece
	Tree  []cid.Cid // interior blocks, depth-first
}

// Config says how an Exchange works. Library is required.
type Config struct {
	Prefix   string // of the protocol names; "/shoal" if empty
	Agent    string // told to peers
	Library  Library
	LAN      []netip.Prefix // that count as LAN beside the interfaces' own subnets
	Upload   Limit          // zero: unlimited
	Download Limit          // zero: unlimited
	Workers  int            // upload slots per lane; 4 if zero
	Cache    int            // verified pieces kept for serving; 16 if zero
	Log      *slog.Logger   // discards if nil
	// OnSession, if not nil, is told of each new session. It must not block for long.
	OnSession func(*Session)
	// Balances restores the ledger; Save is given every balance at Close.
	Balances map[peer.ID]Balance
	Save     func(map[peer.ID]Balance)
}

// Balance is what a peer gave and got, in payload bytes.
type Balance struct{ Received, Sent int64 }

// Exchange owns the sessions of a host.
type Exchange struct {
	host          host.Host
	cfg           Config
	log           *slog.Logger
	control, data protocol.ID
	server        *server
	down          *limiter
	lan           []netip.Prefix
	ctx           context.Context // ends at Close
	cancel        context.CancelFunc
	wg            sync.WaitGroup
	dirty         chan struct{} // a root has fresh pieces to announce

	mu       sync.Mutex
	closed   bool
	sessions map[peer.ID]*Session
	dials    map[peer.ID]chan struct{} // attempts under way, closed at their end
	roots    map[string]*Root          // by cid.KeyString
	near     map[peer.ID]bool          // found by mDNS
}

// New starts an exchange on h: it answers peers from now on, until Close.
func New(h host.Host, cfg Config) *Exchange {
	if cfg.Prefix == "" {
		cfg.Prefix = "/shoal"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	x := &Exchange{
		host: h, cfg: cfg, log: cfg.Log, ctx: ctx, cancel: cancel,
		down:     newLimiter(cfg.Download),
		lan:      append(onLink(), cfg.LAN...),
		dirty:    make(chan struct{}, 1),
		sessions: map[peer.ID]*Session{},
		dials:    map[peer.ID]chan struct{}{},
		roots:    map[string]*Root{},
		near:     map[peer.ID]bool{},
	}
	x.control, x.data = protocols(cfg.Prefix)
	x.server = newServer(x)
	x.wg.Go(x.announceHaves)
	h.SetStreamHandler(x.control, func(s network.Stream) { x.accept(s) })
	h.SetStreamHandler(x.data, func(s network.Stream) { x.acceptData(s) })
	return x
}

// Close ends every session and waits for all goroutines of the exchange.
func (x *Exchange) Close() error {
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return nil
	}
	x.closed = true
	all := make([]*Session, 0, len(x.sessions))
	for _, s := range x.sessions {
		all = append(all, s)
	}
	x.mu.Unlock()
	x.host.RemoveStreamHandler(x.control)
	x.host.RemoveStreamHandler(x.data)
	x.cancel()
	for _, s := range all {
		s.end(ErrClosed)
	}
	x.wg.Wait()
	if x.cfg.Save != nil {
		x.cfg.Save(x.server.balances())
	}
	return nil
}

// spawn runs f in a goroutine that Close waits for, unless the exchange is closed.
func (x *Exchange) spawn(f func()) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return false
	}
	x.wg.Go(f)
	return true
}

// Near marks a peer as found on the local network.
func (x *Exchange) Near(p peer.ID) {
	x.mu.Lock()
	x.near[p] = true
	s := x.sessions[p]
	x.mu.Unlock()
	if s != nil {
		s.classify()
	}
}

func (x *Exchange) isNear(p peer.ID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.near[p]
}

// Open joins a root as its owner: peers' messages arrive on events until Close.
// The owner must keep receiving. Roots that are only served need no Open.
// An error is returned when the root has an owner already.
func (x *Exchange) Open(root cid.Cid, events chan<- Event) (*Root, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, ErrClosed
	}
	key := root.KeyString()
	if old := x.roots[key]; old != nil && old.owned() {
		return nil, fmt.Errorf("root %v is open already", root)
	}
	r := newRoot(x, root, events)
	old := x.roots[key]
	x.roots[key] = r
	if old != nil {
		old.handOver(r)
	}
	return r, nil
}

// root returns the root that a peer asked for: one that is open, or one that
// the library holds. nil if neither.
func (x *Exchange) root(c cid.Cid) *Root {
	key := c.KeyString()
	x.mu.Lock()
	r := x.roots[key]
	x.mu.Unlock()
	if r != nil {
		return r
	}
	held, ok := x.cfg.Library.Held(x.ctx, c)
	if !ok {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if r := x.roots[key]; r != nil {
		return r
	}
	r = newRoot(x, c, nil)
	r.hold(held)
	x.roots[key] = r
	return r
}

// drop forgets a served root that no session uses any more.
func (x *Exchange) drop(r *Root) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if key := r.CID.KeyString(); x.roots[key] == r && !r.owned() && r.idle() {
		delete(x.roots, key)
	}
}

// Withdraw tells peers that what is held of c may have changed: sessions that
// are served from c get its state anew.
func (x *Exchange) Withdraw(key merkle.Key) {
	x.server.cache.remove(key)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range x.roots {
		r.withdraw(key)
	}
}

// Refresh looks again at what the library holds of c: it has become complete,
// or some of it was withdrawn.
func (x *Exchange) Refresh(c cid.Cid) {
	x.mu.Lock()
	r := x.roots[c.KeyString()]
	x.mu.Unlock()
	if r == nil || r.owned() {
		return
	}
	if held, ok := x.cfg.Library.Held(x.ctx, c); ok {
		r.refresh(held)
	}
}

// Forget stops serving c.
func (x *Exchange) Forget(c cid.Cid) {
	x.mu.Lock()
	r := x.roots[c.KeyString()]
	if r != nil && !r.owned() {
		delete(x.roots, c.KeyString())
	}
	x.mu.Unlock()
	if r != nil && !r.owned() {
		r.leave()
	}
}

// announceHaves sends what became ours in batches at most 100 ms old: the
// freshness that algorithms.md 0.1 asks for.
func (x *Exchange) announceHaves() {
	const batch = 100 * time.Millisecond
	for {
		select {
		case <-x.ctx.Done():
			return
		case <-x.dirty:
		}
		select {
		case <-x.ctx.Done():
			return
		case <-time.After(batch):
		}
		x.mu.Lock()
		roots := make([]*Root, 0, len(x.roots))
		for _, r := range x.roots {
			roots = append(roots, r)
		}
		x.mu.Unlock()
		for _, r := range roots {
			r.announce()
		}
	}
}

// Sessions lists the peers that are connected.
func (x *Exchange) Sessions() []*Session {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := make([]*Session, 0, len(x.sessions))
	for _, s := range x.sessions {
		out = append(out, s)
	}
	return out
}

// Balance is what a peer gave and got in all.
func (x *Exchange) Balance(p peer.ID) Balance { return x.server.balance(p) }

// Sent is the payload sent of a root since the node started.
func (x *Exchange) Sent(c cid.Cid) int64 { return x.server.sentOf(c) }
