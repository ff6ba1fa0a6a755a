package dht

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
)

const (
	// announceWorkers is how many roots are announced at a time.
	announceWorkers = 8
	// announceTimeout bounds one announcement: a lookup and 20 records.
	announceTimeout = time.Minute
	// addrsSettle is how long the host's addresses must stay the same: they come
	// one by one (port mapping, relay, observed).
	addrsSettle = 2 * time.Second
	// joinSettle is how long kad-dht needs to probe a server that was met.
	joinSettle = 250 * time.Millisecond
)

// AnnouncerConfig configures an Announcer. The zero value works.
type AnnouncerConfig struct {
	// Every is the time between two announcements of a root, less than the
	// records' validity; Reprovide (22 h) if zero.
	Every time.Duration
	// Keys are announced beside the roots, in batches: all that it yields every
	// Every and whenever all roots are. Nothing if nil.
	Keys Keys
	// Swept is told what it took to announce all keys, or all of an AddKeys. It is
	// called from one goroutine and must not block. Nobody is told if nil.
	Swept func(Cost)
	// Host is watched for changed addresses; nothing is watched if nil.
	Host host.Host
	// Log gets what an operator wants to know; nothing is logged if nil.
	Log *slog.Logger
}

// Announcer keeps announcing a set of roots: when they are added, when there is
// somebody new to tell, when this node's addresses have changed (a record made
// before the relay reservation holds only private addresses), and before the
// records expire. Large sets are spread over time: see schedule. Its methods may
// be called from any goroutine and do not wait for the network.
//
// Beside the roots it may announce many keys: files and pieces inside of roots.
// They are announced in batches, which nobody confirms one by one and which wait
// for each other, so the roots do not.
type Announcer struct {
	cfg    AnnouncerConfig
	log    *slog.Logger
	router Router
	wake   chan struct{} // holds one value: the schedule has changed

	sweep *sweep // nil without Keys

	mu    sync.Mutex
	sched *schedule
}

// NewAnnouncer makes an Announcer that announces through r once it Runs.
func NewAnnouncer(r Router, cfg AnnouncerConfig) *Announcer {
	cfg.Every = cmp.Or(cfg.Every, Reprovide)
	a := &Announcer{
		cfg: cfg, log: cfg.Log, router: r, wake: make(chan struct{}, 1),
		sched: newSchedule(cfg.Every, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Keys != nil {
		a.sweep = &sweep{
			router: r, keys: cfg.Keys, swept: cfg.Swept, log: a.log, wake: make(chan struct{}, 1),
			plan: newSweepPlan(time.Now(), cfg.Every),
		}
	}
	return a
}

// Add announces roots from now on. Those that are announced already are left
// as they are.
func (a *Announcer) Add(roots ...cid.Cid) {
	a.change(func(now time.Time) { a.sched.add(now, roots) })
}

// Remove no longer announces roots, and this node no longer names itself for
// them. A DHT has no way to take back what others keep, so it may be found until
// that expires.
func (a *Announcer) Remove(roots ...cid.Cid) {
	a.change(func(time.Time) { a.sched.remove(roots) })
	for _, r := range roots {
		a.router.Withdraw(r)
	}
}

// AddKey announces keys soon, together with others that come at the time. Keys
// of the configuration yields them from now on. Without one it does nothing.
func (a *Announcer) AddKey(keys ...mh.Multihash) {
	if a.sweep != nil && len(keys) > 0 {
		a.sweep.change(func(p *sweepPlan, now time.Time) { p.add(now, keys) })
	}
}

// AddKeys is AddKey for many: those that keys yields. It is called while Run
// runs, once or never.
func (a *Announcer) AddKeys(keys Keys) {
	if a.sweep != nil {
		a.sweep.change(func(p *sweepPlan, now time.Time) { p.addSource(now, keys) })
	}
}

// Again announces all roots and keys once more, soon: at once the first time, at most
// every 10 minutes if it is called often.
func (a *Announcer) Again() {
	a.change(a.sched.again)
	if a.sweep != nil {
		a.sweep.change((*sweepPlan).again)
	}
}

// Announced returns when root was last announced (zero: never) and why the last
// attempt failed, if it did.
func (a *Announcer) Announced(root cid.Cid) (at time.Time, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.sched.roots[string(root.Hash())]; s != nil {
		return s.done, s.err
	}
	return time.Time{}, nil
}

// change changes the schedule and lets Run look at it.
func (a *Announcer) change(f func(now time.Time)) {
	a.mu.Lock()
	f(time.Now())
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Run announces until ctx ends; then it waits for what it started and returns
// nil. It is called once.
func (a *Announcer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if a.cfg.Host != nil {
		sub, err := a.cfg.Host.EventBus().Subscribe([]any{
			new(event.EvtLocalAddressesUpdated), new(event.EvtAutoRelayAddrsUpdated),
		}, eventbus.Name("shoal/announcer"))
		if err != nil {
			return fmt.Errorf("watch the host's addresses: %w", err)
		}
		wg.Go(func() { a.watchAddrs(ctx, sub) })
	}
	if a.sweep != nil {
		wg.Go(func() { a.sweep.run(ctx) })
	}
	// A router that can say that it has met somebody.
	if j, ok := a.router.(interface{ Joined() <-chan struct{} }); ok {
		wg.Go(func() { a.watchJoined(ctx, j.Joined()) })
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	free := make(chan struct{}, announceWorkers) // one value for each running announcement
	for {
		a.mu.Lock()
		due := a.sched.advance(time.Now(), cap(free)-len(free))
		next := a.sched.deadline()
		a.mu.Unlock()
		for _, root := range due {
			free <- struct{}{}
			wg.Go(func() {
				a.announce(ctx, root)
				<-free
				a.change(func(time.Time) {})
			})
		}
		// With all workers busy the next end of one is what there is to wait for.
		if timer.Stop(); !next.IsZero() && len(free) < cap(free) {
			timer.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-a.wake:
		}
	}
}

// announce announces one root and takes in the result.
func (a *Announcer) announce(ctx context.Context, root cid.Cid) {
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	err := a.router.Provide(ctx, root)
	if err != nil {
		a.log.Debug("not announced", "root", root, "err", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sched.roots[string(root.Hash())] == nil { // removed since
		a.router.Withdraw(root)
	}
	a.sched.finished(time.Now(), root, err)
}

// watchJoined announces again when the router has met somebody.
func (a *Announcer) watchJoined(ctx context.Context, joined <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-joined:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(joinSettle):
		}
		a.Again()
	}
}

// watchAddrs announces again when the host's addresses are others than before
// and have stayed so for addrsSettle.
func (a *Announcer) watchAddrs(ctx context.Context, sub event.Subscription) {
	defer sub.Close()
	last := a.addrs()
	settle := time.NewTimer(0)
	defer settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-sub.Out():
			if !ok {
				return
			}
			settle.Reset(addrsSettle)
		case <-settle.C:
			if now := a.addrs(); !slices.Equal(last, now) {
				a.log.Info("addresses changed, announcing again", "addrs", now)
				last = now
				a.Again()
			}
		}
	}
}

// addrs returns the host's addresses that are worth announcing, sorted.
func (a *Announcer) addrs() []string {
	var out []string
	for _, m := range ma.FilterAddrs(a.cfg.Host.Addrs(), func(m ma.Multiaddr) bool { return !loopbackAddr(m) }) {
		out = append(out, m.String())
	}
	slices.Sort(out)
	return out
}
