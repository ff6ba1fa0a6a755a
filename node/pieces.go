package node

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/libp2p/go-buffer-pool"
	"github.com/shoal-p2p/shoal/cdnfallback/policy"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/exchange/pick"
	"github.com/shoal-p2p/shoal/store"
)

const (
	maxStarted = 1024             // pieces in flight: enough for a tree of small files at 50 ms round trips
	maxBytes   = 32 << 20         // of their buffers: 1 Gbit/s over 250 ms; what a kill costs at most
	syncBytes  = 64 << 20         // written between two syncs: what a crash may cost
	syncEvery  = 10 * time.Second // and how long at most
)

// arrival is a piece that waits to be verified.
type arrival struct {
	piece    int
	data     []byte
	from     *exchange.Session // nil if it came from source
	received exchange.Received // if from is set: whose data it is
	source   *source
	reason   policy.Reason
	batch    *sync.WaitGroup // of one origin request: its end is told after its pieces
}

// release gives data back.
func (a arrival) release() {
	if a.from != nil {
		a.received.Release()
	} else {
		pool.Put(a.data)
	}
}

// verified is an arrival that was hashed and, if right, written.
type verified struct {
	arrival
	err error // merkle.ErrMismatch: the source's fault; else the disk's
}

// created says that the store opened the target.
type created struct {
	writer store.Writer
	have   []bool
	err    error
}

type synced struct{ err error }

type finished struct {
	path   string
	update *store.Changes // nil if nothing stood there
	err    error
}

// syncing is when progress is made durable.
type syncing struct {
	dirty   int64 // bytes written since the last sync began
	last    time.Time
	running bool
}

// work verifies and writes pieces until the download ends.
func (d *download) work(ctx context.Context) {
	for {
		var a arrival
		select {
		case a = <-d.verify:
		case a = <-d.direct:
		case <-d.done:
			return
		}
		_, err := d.table.Pieces[a.piece].Verify(a.data)
		if err == nil {
			err = d.writer.Write(a.piece, a.data)
		}
		d.send(ctx, verified{a, err})
		if a.batch != nil {
			a.batch.Done()
		}
	}
}

// create opens the target in the store: it may resume, and bring over pieces
// that are here under other roots.
func (d *download) create(ctx context.Context) {
	d.phase = creating
	table, blocks := d.table, d.tree.Blocks()
	d.task(ctx, func() exchange.Event {
		w, err := d.n.store.Create(ctx, table, blocks, d.createOptions())
		for until := time.Now().Add(busyFor); errors.Is(err, store.ErrBusy) && time.Now().Before(until); {
			if !sleep(ctx, busyFor/100) {
				break
			}
			w, err = d.n.store.Create(ctx, table, blocks, d.createOptions())
		}
		if err != nil {
			return created{err: err}
		}
		return created{writer: w, have: w.Have()}
	})
}

// busyFor is how long gc, unshare or an update may hold a root, as a download
// begins that would use it.
const busyFor = 5 * time.Second

// sleep reports whether ctx lasted as long.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (d *download) onCreated(ctx context.Context, now time.Time, ev created) {
	if ev.err != nil {
		d.fail(ev.err)
		return
	}
	d.writer, d.useful = ev.writer, now // reading what is here takes as long as it takes
	sizes := make([]int, len(d.table.Pieces))
	d.covered = d.table.Size
	for i, p := range d.table.Pieces {
		sizes[i] = p.Size
		d.covered -= d.weight(i)
	}
	d.picker = pick.New(pick.Config{Self: pick.PeerKey(d.n.self), MaxStarted: maxStarted, MaxBytes: maxBytes}, sizes, d.rng)
	d.policy = policy.New(policy.Config{
		Class: d.opt.Class, OriginAfter: d.opt.OriginAfter, Target: d.opt.OriginBelow, Copies: d.opt.OriginCopies,
	}, sizes, string(d.n.self), d.rng)
	d.spentLately()
	d.phase = fetching
	if !d.demand {
		d.picker.WantAll(now)
		d.policy.WantAll(now)
		d.lacking = len(sizes)
	}
	for i, ok := range ev.have {
		if !ok {
			continue
		}
		d.have.Add(i)
		d.picker.Done(now, i)
		d.policy.Done(now, i)
		switch payload := int64(d.table.Pieces[i].Payload); {
		case d.trees.quarantine != "": // wherever it is taken from now, the origin has sent it
			d.count.origin(d.trees.streamedBy, policy.Start, payload)
		case d.table.Loaded(i) == nil:
			d.count.from.Disk.Bytes += payload
		default:
			d.count.loaded(d.trees.from, payload)
		}
		d.had(i)
	}
	if d.look.rounds > 0 || d.lonely() {
		d.policy.OnLooked(now, d.look.hopeful())
	}
	d.originsDown(now)
	if d.trees.quarantine != "" { // everything is on its way already
		for i := range sizes {
			d.picker.Hold(now, i, true)
		}
		d.policy.OnOriginDown(now, now.Add(24*time.Hour))
	}
	d.exchange.Hold(exchange.Held{Table: d.table, Have: ev.have, Tree: cids(d.tree.Blocks())})
	d.n.announces.begun(d.table, ev.have)
	for _, r := range d.sortedPeers() {
		d.meet(now, r)
	}
	d.durable.last = now
	d.startWorkers(ctx)
	close(d.opened)
	d.n.mu.Lock() // for claim
	d.pass()
	d.n.mu.Unlock()
}

// startWorkers starts the verifying workers, one a core, and the way out of
// quarantine if that holds what is lacking.
func (d *download) startWorkers(ctx context.Context) {
	for range runtime.NumCPU() {
		d.wg.Go(func() { d.work(ctx) })
	}
	var lacking []int
	for i := range d.table.Pieces {
		if !d.have.Has(i) {
			lacking = append(lacking, i)
		}
	}
	if t := d.trees; t.quarantine != "" && len(lacking) > 0 {
		d.task(ctx, func() exchange.Event { return d.release(ctx, t.quarantine, lacking, t.streamedBy) })
	}
}

// weight is the payload of a piece at all its places.
func (d *download) weight(piece int) int64 {
	return int64(d.table.Pieces[piece].Payload) * int64(len(d.table.Places(piece)))
}

// had notes that a piece is here: for the count, and for readers that wait.
func (d *download) had(piece int) {
	if !d.demand {
		d.lacking--
	}
	d.covered += d.weight(piece)
	for _, w := range d.wanting[piece] {
		w.got(piece)
	}
	delete(d.wanting, piece)
}

// syncSoon starts a sync when enough was written since the last.
func (d *download) syncSoon(ctx context.Context, now time.Time) {
	due := d.durable.dirty >= syncBytes || (d.durable.dirty > 0 && now.Sub(d.durable.last) >= syncEvery)
	if d.durable.running || !due {
		return
	}
	d.durable = syncing{last: now, running: true}
	w := d.writer
	d.task(ctx, func() exchange.Event {
		err := w.Sync()
		if d.demand || d.opt.cached {
			d.n.makeRoom(d.n.storeMax)
		}
		return synced{err}
	})
}

func (d *download) onSynced(now time.Time, ev synced) {
	d.durable.running, d.durable.last = false, now
	if ev.err != nil {
		d.fail(ev.err)
	}
}

// finish makes the content whole under its final name.
func (d *download) finish(ctx context.Context) {
	if d.durable.running {
		return // its event comes first
	}
	d.phase = finishing
	w := d.writer
	d.task(ctx, func() exchange.Event {
		if d.opt.pin {
			if err := d.n.store.Pin(d.root); err != nil {
				return finished{err: err}
			}
		}
		path, err := w.Finish(ctx)
		return finished{path, updated(w), err}
	})
}

func (d *download) onFinished(ev finished) {
	if ev.err != nil {
		d.fail(ev.err)
		return
	}
	d.phase = ended
	d.result = d.makeResult(ev.path)
	d.noteUpdate(ev.update)
}
