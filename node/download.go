package node

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/cdnfallback/policy"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/exchange/pick"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// phase is how far a download is.
type phase uint8

const (
	resolving phase = iota // walking Target.Path from the root
	loading                // collecting the tree
	creating               // the store opens the target
	fetching               // pieces
	finishing              // the store makes all durable and renames
	ended
)

// download fetches one root. Every field below "Owned by run" belongs to the
// event loop; all I/O happens in goroutines that report back as events.
type download struct {
	n       *Node
	target  merkle.Target
	opt     FetchOptions
	demand  bool // pieces are wanted as readers ask, not all at once
	log     *slog.Logger
	cancel  context.CancelFunc
	yield   func()          // ends it with errYield
	known   []peer.AddrInfo // peers that the caller named
	vouched *vouched        // what a manifest brought; nil without one
	inbox   chan exchange.Event
	verify  chan arrival // pieces from peers; never full: pick bounds what is in flight
	direct  chan arrival // pieces from origins
	done    chan struct{}
	left    chan struct{}  // closed when the node has let go of d
	opened  chan struct{}  // closed when table and writer are there
	moved   chan struct{}  // closed, by run, when another need not wait for left any more
	wg      sync.WaitGroup // workers; close waits for them

	// Guarded by Node.mu.
	readers int    // that share it
	key     string // its place in Node.active
	settled bool   // Target.Path is walked, and key is of what it names

	// Set before done is closed, read after it.
	result   *Result
	replaced []cid.Cid // versions that are gone from the target
	err      error

	// Owned by run.
	phase    phase
	started  time.Time
	useful   time.Time // of the last byte that helped
	root     cid.Cid   // Target.Root, then what Target.Path names below it
	step     merkle.Step
	tree     *merkle.Tree
	table    *merkle.Table
	writer   store.Writer
	subs     *merkle.SubHashes // that the publisher has signed; nil for none
	have     exchange.HaveMap  // verified and written
	lacking  int               // pieces wanted and not had
	covered  int64             // payload that is here: of pieces at all their places, and of the tree
	exchange *exchange.Root
	picker   *pick.Picker
	policy   *policy.Policy
	peers    map[peer.ID]*remote
	origins  []*source
	claims   []claimed // origin requests in flight
	trees    treeSearch
	look     lookup
	count    tally
	tell     reporting
	durable  syncing
	rng      *rand.Rand
	wanting  map[int][]*want // readers that wait, by piece
}

// run is the download's only goroutine. It waits for nothing but its inbox and
// its timer: while an event is applied, it is the only user of d.
func (d *download) run(ctx context.Context) {
	defer d.close(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for d.phase != ended {
		select {
		case <-ctx.Done():
			d.fail(context.Cause(ctx))
			return
		case ev := <-d.inbox:
			d.apply(ctx, ev, time.Now())
			d.drain(ctx)
		case <-timer.C:
		}
		timer.Reset(d.advance(ctx, time.Now()))
	}
}

// drain applies what has come meanwhile, so that a burst costs one decision.
func (d *download) drain(ctx context.Context) {
	for range 64 {
		select {
		case ev := <-d.inbox:
			d.apply(ctx, ev, time.Now())
		default:
			return
		}
	}
}

// apply is the list of everything that can happen to a download.
func (d *download) apply(ctx context.Context, ev exchange.Event, now time.Time) {
	switch ev := ev.(type) {
	// From peers, by exchange.
	case exchange.Opened:
		if ev.Of == d.exchange { // not the root that moveTo left
			d.onOpened(now, ev)
		}
	case exchange.Haves:
		if ev.Of == d.exchange {
			d.onHaves(now, ev)
		}
	case exchange.Unhaves:
		if ev.Of == d.exchange {
			d.onUnhaves(now, ev)
		}
	case exchange.TreePart:
		d.onTreePart(ctx, now, ev)
	case exchange.Arrived:
		d.onArrived(now, ev)
	case exchange.Received:
		d.onReceived(ev)
	case exchange.Rejected:
		d.onRejected(now, ev)
	case exchange.Offered:
		d.onOffered(now, ev)
	case exchange.Wasted:
		d.count.duplicate += int64(ev.Bytes)
	case exchange.Claims:
		d.onClaims(now, ev)
	case exchange.Met:
		d.onMet(now, ev)
	case exchange.Gone:
		d.onGone(now, ev)

	// From discovery.
	case provider:
		d.onProvider(now, ev)
	case lookedUp:
		d.onLookedUp(now, ev)
	case dialled:
		d.onDialled(now, ev)
	case session:
		d.join(now, ev.s)
	case relaySpent: // weighRelays looks

	// From origins.
	case probed:
		d.onProbed(ctx, now, ev)
	case treeBlocks:
		d.onTreeBlocks(ctx, now, ev)
	case streamed:
		d.onStreamed(ctx, now, ev)
	case streaming:
		d.useful, d.trees.streamed = now, ev.bytes
	case spent:
		d.onSpent(ctx, now, ev)
	case swept:
		d.onSwept(now, ev)
	case released:
		d.onReleased(ev)

	// From the store and the verifying workers.
	case created:
		d.onCreated(ctx, now, ev)
	case verified:
		d.onVerified(now, ev)
	case synced:
		d.onSynced(now, ev)
	case finished:
		d.onFinished(ev)

	// From readers.
	case *want:
		d.onWant(now, ev)
	case *wantDone:
		d.onWantDone(ev)
	case lost:
		d.onLost(now, ev)
	}
}

// advance decides what to do now and returns when to look again.
func (d *download) advance(ctx context.Context, now time.Time) time.Duration {
	next := now.Add(time.Second) // progress and time-outs
	if d.phase == ended {
		return 0
	}
	if err := d.gaveUp(now); err != nil {
		d.fail(err)
		return 0
	}
	next = earlier(next, d.advanceLookup(ctx, now))
	switch d.phase {
	case resolving, loading:
		next = earlier(next, d.advanceTree(ctx, now))
	case fetching:
		next = earlier(next, d.advancePieces(ctx, now))
	}
	next = earlier(next, d.report(now, false))
	return max(next.Sub(now), 0)
}

// advancePieces turns the decisions of picker and policy into requests.
func (d *download) advancePieces(ctx context.Context, now time.Time) time.Time {
	if d.lacking == 0 && !d.demand {
		d.finish(ctx)
		return time.Time{}
	}
	d.probeOrigins(ctx, now)
	d.weighRelays(now)
	d.renewClaims(now)
	for _, key := range d.picker.Dead(now) {
		if r := d.peers[peer.ID(key)]; r != nil {
			d.dropPeer(now, r, errors.New("sent nothing for too long"))
		}
	}
	plan := d.picker.Advance(now)
	for _, c := range plan.Cancels {
		if r := d.peers[peer.ID(c.Peer)]; r != nil {
			d.count.duplicate += int64(d.exchange.Cancel(r.s, c.Piece))
		}
	}
	for _, piece := range plan.Freed {
		d.policy.OnAsked(now, piece, false)
	}
	d.request(now, plan.Requests)
	d.claim(plan.Claims)
	for _, s := range d.policy.Advance(now) {
		d.spend(ctx, now, s)
	}
	d.syncSoon(ctx, now)
	return earlier(d.picker.Deadline(), d.policy.Deadline())
}

// claim tells peers on the LAN what they will have from here.
func (d *download) claim(pieces []int) {
	var m exchange.HaveMap
	for _, i := range pieces {
		m.Add(i)
	}
	if len(pieces) > 0 {
		d.exchange.Claim(slices.Collect(m.Runs()), int(pick.ClaimTTL.Milliseconds()), true)
	}
}

// request sends what the picker chose, a batch a peer.
func (d *download) request(now time.Time, plan []pick.Request) {
	asks := map[*remote][]exchange.Ask{}
	var order []*remote
	for _, q := range plan {
		r := d.peers[peer.ID(q.Peer)]
		if r == nil {
			continue
		}
		if asks[r] == nil {
			order = append(order, r)
		}
		asks[r] = append(asks[r], exchange.Ask{Piece: q.Piece, First: q.First, Count: q.Count, Size: d.table.Pieces[q.Piece].Size,
			Urgent: q.Urgent, Tied: q.Tied, Again: q.Again})
		if q.First == 0 {
			d.policy.OnAsked(now, q.Piece, true)
		}
	}
	for _, r := range order {
		d.exchange.Request(r.s, asks[r])
	}
}

// fail ends the download with an error; progress stays for a resume.
func (d *download) fail(err error) {
	if d.phase != ended {
		d.err = err
		d.phase = ended
	}
}

// task runs f beside the loop and delivers the event that it returns. All I/O
// of a download happens in tasks and in the verifying workers; close waits for
// them.
func (d *download) task(ctx context.Context, f func() exchange.Event) {
	d.wg.Go(func() { d.send(ctx, f()) })
}

// send delivers an event to the loop, or discards it if that has ended.
func (d *download) send(ctx context.Context, ev exchange.Event) {
	select {
	case d.inbox <- ev:
	case <-d.done:
		d.discard(ev)
	case <-ctx.Done():
		d.discard(ev)
	}
}

// discard lets go of what an event holds that nobody will apply.
func (d *download) discard(ev exchange.Event) {
	switch ev := ev.(type) {
	case created:
		if ev.writer != nil {
			ev.writer.Close() // progress is kept; its error has no one left to hear it
		}
	case streamed:
		if ev.file != "" {
			os.Remove(ev.file)
		}
	case verified:
		ev.release()
	case exchange.Received:
		ev.Release()
	}
}

// earlier is the earlier of two times of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
