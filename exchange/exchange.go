package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
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
	Group    bool           // all peers are members of a private swarm: served for speed, not by what they gave
	Log      *slog.Logger   // discards if nil
	// OnSession, if not nil, is told of each new session. It must not block for long.
	OnSession func(*Session)
	// OnSought, if not nil, is told what peers ask for that is not here, or not all of it, and the
	// manifest that they show for it, nil for none. It must not block for long.
	OnSought func(p peer.ID, root cid.Cid, manifest []byte)
	// Balances restores the ledger; Save is given every balance every 5 minutes and
	// at Close.
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
	records       *records
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
	home     home
	changes  uint64 // of what the library holds
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
		records:  newRecords(),
		dirty:    make(chan struct{}, 1),
		sessions: map[peer.ID]*Session{},
		dials:    map[peer.ID]chan struct{}{},
		roots:    map[string]*Root{},
		near:     map[peer.ID]bool{},
	}
	x.home.given = cfg.LAN
	x.lookAround()
	x.control, x.data = protocols(cfg.Prefix)
	x.server = newServer(x)
	x.wg.Go(x.announceHaves)
	x.wg.Go(x.keepRecords)
	x.wg.Go(x.upkeep)
	h.SetStreamHandler(x.control, x.accept)
	h.SetStreamHandler(x.data, x.acceptData)
	return x
}

// Close ends every session and waits for all goroutines of the exchange. Owners
// of roots get no more events: they close their roots before, or learn of it
// otherwise.
func (x *Exchange) Close() error {
	x.mu.Lock()
	first := !x.closed
	x.closed = true
	x.mu.Unlock()
	x.host.RemoveStreamHandler(x.control)
	x.host.RemoveStreamHandler(x.data)
	x.cancel()
	x.wg.Wait()
	if first {
		x.server.cache.clear()
		if x.cfg.Save != nil {
			x.cfg.Save(x.server.balances())
		}
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
	if len(x.near) < maxPeersKept {
		x.near[p] = true
	}
	s := x.sessions[p]
	x.mu.Unlock()
	if s != nil {
		s.classify()
	}
}

// Open joins a root as its owner: peers' messages arrive on events until
// Root.Close. The owner must keep receiving. Roots that are only served need no
// Open. An error is returned when the root has an owner already.
func (x *Exchange) Open(root cid.Cid, events chan<- Event) (*Root, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, ErrClosed
	}
	key := root.KeyString()
	r := x.roots[key]
	if r == nil {
		r = newRoot(x, root)
		x.roots[key] = r
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.owner != nil {
		return nil, fmt.Errorf("root %v is open already", root)
	}
	r.owner = &owner{events: events, left: make(chan struct{})}
	return r, nil
}

// enter returns the root that a peer asked for, with s among its sessions: one
// that is open, or one that the library holds. nil if neither.
func (x *Exchange) enter(c cid.Cid, s *Session) *Root {
	key := c.KeyString()
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.roots[key]
	for r == nil {
		asOf := x.changes
		x.mu.Unlock()
		held, ok := x.cfg.Library.Held(x.ctx, c)
		x.mu.Lock()
		if r = x.roots[key]; r == nil && x.changes == asOf {
			if !ok {
				return nil
			}
			r = newRoot(x, c)
			r.hold(held)
			x.roots[key] = r
		}
	}
	r.mu.Lock()
	r.joined[s] = true
	r.mu.Unlock()
	return r
}

// drop forgets a served root that no session uses any more.
func (x *Exchange) drop(r *Root) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := r.CID.KeyString(); x.roots[key] == r && r.owner == nil && len(r.joined) == 0 {
		delete(x.roots, key)
		x.server.forget(r)
	}
}

// Withdraw takes a piece back that turned out bad: it is not served any more,
// and peers are told.
func (x *Exchange) Withdraw(key merkle.Key) {
	x.server.cache.remove(key)
	for _, r := range x.openRoots() {
		r.withdraw(key)
	}
}

func (x *Exchange) openRoots() []*Root {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.changes++
	return slices.Collect(maps.Values(x.roots))
}

// Refresh looks again at what the library holds of c: it has become complete,
// or some of it was withdrawn. Peers that asked for c in vain are told.
func (x *Exchange) Refresh(c cid.Cid) {
	x.mu.Lock()
	x.changes++
	r := x.roots[c.KeyString()]
	x.mu.Unlock()
	if r != nil && !r.owned() {
		if held, ok := x.cfg.Library.Held(x.ctx, c); ok {
			r.refresh(held)
		}
	}
	for _, s := range x.Sessions() {
		s.spawn(func() { s.reopen(c) })
	}
}

// Forget stops serving c.
func (x *Exchange) Forget(c cid.Cid) {
	x.mu.Lock()
	x.changes++
	var left []*Session
	r := x.roots[c.KeyString()]
	if r != nil {
		r.mu.Lock()
		if r.owner == nil {
			delete(x.roots, c.KeyString())
			x.server.forget(r)
			left = r.leave(true)
		}
		r.mu.Unlock()
	}
	x.mu.Unlock()
	r.unqueue(left)
}

// announceHaves sends what became ours in batches at most 20 ms old: the
// freshness that algorithms.md 0.1 asks for.
func (x *Exchange) announceHaves() {
	const batch = 20 * time.Millisecond
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
		roots := slices.Collect(maps.Values(x.roots))
		x.mu.Unlock()
		for _, r := range roots {
			r.announce()
		}
	}
}

func (x *Exchange) announceSoon() {
	select {
	case x.dirty <- struct{}{}:
	default: // a batch is due already
	}
}

// Sessions lists the peers that are connected.
func (x *Exchange) Sessions() []*Session {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Collect(maps.Values(x.sessions))
}

// Balance is what a peer gave and got in all.
func (x *Exchange) Balance(p peer.ID) Balance { return x.server.balance(p) }

// Sent is the payload sent of a root since the node started.
func (x *Exchange) Sent(c cid.Cid) int64 { return x.server.sentOf(c) }
