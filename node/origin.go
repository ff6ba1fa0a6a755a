package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-buffer-pool"
	"github.com/shoal-p2p/shoal/cdnfallback"
	"github.com/shoal-p2p/shoal/cdnfallback/policy"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/merkle"
)

// source is one origin, as a download sees it. Owned by run, but for o, which
// its tasks use.
type source struct {
	o        *cdnfallback.Origin
	kind     cdnfallback.Kind
	probing  bool
	treeBusy bool // a worker looks for the tree
	treeless bool // it has no tree
	sweeping bool // it sends a whole file, since it knows no ranges
	useless  bool // it cannot give this root: gone, refused, of another kind
	backoff  cdnfallback.Backoff
	gave     int64
	busy     int     // requests in flight
	rate     float64 // bytes/s of one request; 0: not known
	err      error   // the last
}

// probed says what stands at an origin's URL.
type probed struct {
	from *source
	kind cdnfallback.Kind
	err  error
}

// spent is the end of one origin request.
type spent struct {
	from  *source
	spend policy.Spend
	bytes int64
	took  time.Duration
	first time.Duration // until the first byte
	lies  int           // of the origin, before
	err   error
}

// usable reports whether an origin can be asked for pieces now.
func (s *source) usable(now time.Time) bool {
	return !s.useless && !s.sweeping && s.kind != cdnfallback.Unknown && !now.Before(s.backoff.Until())
}

// probeOrigins asks each origin what it is. It is needed with the tree at hand
// too: a resumed fetch never looks for one.
func (d *download) probeOrigins(ctx context.Context, now time.Time) {
	for _, s := range d.origins {
		if s.useless || s.probing || s.kind != cdnfallback.Unknown || now.Before(s.backoff.Until()) {
			continue
		}
		s.probing = true
		root := d.target.Root
		d.task(ctx, func() exchange.Event {
			kind, err := s.o.Kind(ctx, root)
			return probed{s, kind, err}
		})
	}
}

// advanceOriginTrees asks each origin what it is, and then for the tree.
func (d *download) advanceOriginTrees(ctx context.Context, now time.Time) {
	d.probeOrigins(ctx, now)
	for _, s := range d.origins {
		switch {
		case s.useless || s.probing || s.treeBusy || s.kind == cdnfallback.Unknown || now.Before(s.backoff.Until()):
		case d.originTooSoon(now):
		case !s.treeless:
			s.treeBusy = true
			d.findTree(ctx, s)
		case s.kind == cdnfallback.File && d.trees.stopStream == nil && d.nobodyHasTree(now):
			s.treeBusy = true
			d.stream(ctx, s)
		}
	}
}

// originTooSoon is the grace that a class gives peers before the origin is asked at all.
func (d *download) originTooSoon(now time.Time) bool {
	after := d.opt.OriginAfter
	if after == 0 && d.opt.Class == policy.Background {
		after = 30 * time.Second
	}
	return now.Before(d.started.Add(after))
}

// nobodyHasTree says that the whole file may be read without a tree: peers that
// could have it were looked for.
func (d *download) nobodyHasTree(now time.Time) bool {
	if d.phase != loading || d.look.dialing > 0 {
		return false
	}
	for _, r := range d.peers {
		if r.pieces && !r.missing { // others that look for the tree themselves are no help
			return false
		}
	}
	return d.n.router == nil || d.look.rounds > 0 || now.Sub(d.started) > time.Second
}

func (d *download) onProbed(ctx context.Context, now time.Time, ev probed) {
	ev.from.probing = false
	if ev.err != nil {
		d.originFailed(now, ev.from, ev.err)
		return
	}
	ev.from.kind = ev.kind
	d.originsDown(now)
}

// findTree reads the blocks that are needed from an origin.
func (d *download) findTree(ctx context.Context, s *source) {
	step, walk, node, root := d.step, d.phase == resolving, d.root, d.target.Root
	d.task(ctx, func() exchange.Event {
		var blocks [][]byte
		var err error
		if s.kind == cdnfallback.Gateway {
			blocks, err = gatewayTree(ctx, s.o, step, walk, node)
		} else {
			blocks, err = treeFile(ctx, s.o, root)
		}
		return treeBlocks{s, blocks, err}
	})
}

// treeFile reads URL.shoal. A tree of another root is no tree.
func treeFile(ctx context.Context, o *cdnfallback.Origin, root cid.Cid) ([][]byte, error) {
	r, _, err := o.ShoalFile(ctx, true)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	of, blocks, err := merkle.ReadTree(r)
	if err != nil {
		return nil, fmt.Errorf("%s.shoal: %w", o, err)
	}
	if !of.Equals(root) {
		return nil, fmt.Errorf("%s.shoal is the tree of %v: %w", o, of, merkle.ErrMismatch)
	}
	out := make([][]byte, len(blocks))
	for i, b := range blocks {
		out[i] = b.Data
	}
	return out, nil
}

// gatewayTree walks the path and the tree over a gateway, eight blocks at a time.
func gatewayTree(ctx context.Context, o *cdnfallback.Origin, step merkle.Step, resolving bool, root cid.Cid) ([][]byte, error) {
	var out [][]byte
	for resolving && !step.Done {
		b, err := o.Block(ctx, step.CID)
		if err != nil {
			return nil, err
		}
		if step, err = step.Take(b); err != nil {
			return nil, err
		}
		out = append(out, b)
		root = step.CID
	}
	tree, err := merkle.NewTree(root)
	if err != nil {
		return nil, err
	}
	for !tree.Complete() {
		level, err := gatewayBlocks(ctx, o, tree.Missing(8))
		if err != nil {
			return nil, err
		}
		for _, b := range level {
			if err := tree.Add(b); err != nil {
				return nil, err
			}
			out = append(out, b)
		}
	}
	return out, nil
}

// originTreeFailed tells an origin that cannot be asked now from one that just
// has no tree. The latter answers with all sorts of things: S3 refuses what is
// not there, others send a page.
func (d *download) originTreeFailed(now time.Time, s *source, err error) {
	away := errors.Is(err, context.Canceled)
	for _, kind := range []error{cdnfallback.ErrUnreachable, cdnfallback.ErrStalled, cdnfallback.ErrTruncated, cdnfallback.ErrBusy, cdnfallback.ErrTLS, cdnfallback.ErrPrivate} {
		away = away || errors.Is(err, kind)
	}
	s.treeless = s.treeless || !away
	if away || s.kind == cdnfallback.Gateway {
		d.originFailed(now, s, err)
	}
}

// originFailed counts a failure of an origin: back-off, or the end of it for this root.
func (d *download) originFailed(now time.Time, s *source, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	s.err = err
	d.log.Info("origin failed", "source", s.o.Host(), "err", err)
	for _, kind := range []error{cdnfallback.ErrGone, cdnfallback.ErrRefused, cdnfallback.ErrRedirect, cdnfallback.ErrPrivate, cdnfallback.ErrTLS, cdnfallback.ErrDirectory, cdnfallback.ErrNotBlock} {
		if errors.Is(err, kind) {
			s.useless = true
		}
	}
	s.backoff.OnFailure(now, err, d.rng)
	d.originsDown(now)
}

// maxOriginLies is how often an origin may send wrong content for a root.
const maxOriginLies = 3

func (d *download) originLied(now time.Time, s *source, err error) {
	d.count.liars[s.o.Host()] = err.Error()
	d.count.lies[s]++
	if d.count.lies[s] >= maxOriginLies {
		s.useless = true
	}
	d.originFailed(now, s, fmt.Errorf("origin %s: %w", s.o.Host(), err))
}

// originsDown tells the policy when an origin can be asked again.
func (d *download) originsDown(now time.Time) {
	if d.policy == nil {
		return
	}
	never := now.Add(24 * time.Hour)
	until := never
	for _, s := range d.origins {
		switch {
		case s.usable(now):
			d.policy.OnOriginDown(now, time.Time{})
			return
		case s.sweeping: // its end is an event
		case !s.useless && s.kind != cdnfallback.Unknown:
			until = earlier(until, s.backoff.Until())
		case !s.useless:
			until = earlier(until, now.Add(time.Second))
		}
	}
	d.policy.OnOriginDown(now, until)
}

// bestOrigin is the one that would serve the next request fastest, as measured;
// one that is not known yet is tried by one request.
func (d *download) bestOrigin(now time.Time) *source {
	var best *source
	score := func(s *source) float64 {
		if s.rate == 0 && s.busy == 0 {
			return math.MaxFloat64
		}
		return s.rate / float64(1+s.busy)
	}
	for _, s := range d.origins {
		if s.usable(now) && (best == nil || score(s) > score(best)) {
			best = s
		}
	}
	return best
}

// measured takes in how fast a request was.
func (s *source) measured(ev spent) {
	s.busy--
	if ev.bytes == 0 || ev.took <= 0 {
		return
	}
	rate := float64(ev.bytes) / ev.took.Seconds()
	if s.rate == 0 {
		s.rate = rate
	}
	s.rate += (rate - s.rate) / 4
}

// spend starts one origin request for a run of pieces.
func (d *download) spend(ctx context.Context, now time.Time, sp policy.Spend) {
	from := d.bestOrigin(now)
	if from == nil {
		d.policy.OnOrigin(now, sp.First, sp.Count, false, 0)
		d.originsDown(now)
		return
	}
	for i := range sp.Count {
		d.picker.Hold(now, sp.First+i, true)
	}
	d.claimSpend(now, sp)
	d.log.Debug("origin request", "reason", sp.Reason, "first", sp.First, "pieces", sp.Count, "source", from.o.Host())
	from.busy++
	lies := d.count.lies[from]
	d.task(ctx, func() exchange.Event {
		began := time.Now()
		ev := spent{from: from, spend: sp, lies: lies}
		var batch sync.WaitGroup
		ev.bytes, ev.first, ev.err = d.fetch(ctx, from, sp, &batch)
		ev.took = time.Since(began)
		batch.Wait() // else what waits to be hashed would be asked for again
		return ev
	})
}

func (d *download) onSpent(ctx context.Context, now time.Time, ev spent) {
	for i := range ev.spend.Count {
		d.picker.Hold(now, ev.spend.First+i, false)
	}
	d.unclaim(ev.spend)
	ev.from.measured(ev)
	if ev.took > 0 {
		d.policy.OnOriginRate(now, float64(ev.bytes)/ev.took.Seconds(), ev.first)
	}
	honest := d.count.lies[ev.from] == ev.lies
	d.policy.OnOrigin(now, ev.spend.First, ev.spend.Count, ev.err == nil && honest, ev.bytes)
	if !honest {
		return // originLied has said when to ask again
	}
	if errors.Is(ev.err, cdnfallback.ErrNoRanges) {
		d.sweep(ctx, now, ev.from, ev.spend.First, ev.spend.Reason)
		return
	}
	if ev.err != nil {
		if ev.bytes > 0 {
			ev.from.backoff.OnSuccess() // a large file over a line that breaks often gets on all the same
		}
		d.originFailed(now, ev.from, ev.err)
		return
	}
	ev.from.backoff.OnSuccess()
	d.originsDown(now)
}

// fetch reads a run of pieces from an origin and hands each to the workers.
func (d *download) fetch(ctx context.Context, s *source, sp policy.Spend, batch *sync.WaitGroup) (n int64, first time.Duration, err error) {
	began := time.Now()
	for at := sp.First; at < sp.First+sp.Count; {
		got, bytes, err := d.fetchRun(ctx, arrival{piece: at, source: s, reason: sp.Reason, batch: batch}, sp.First+sp.Count)
		if first == 0 {
			first = time.Since(began)
		}
		n += bytes
		if err != nil {
			return n, first, err
		}
		at += got
	}
	return n, first, nil
}

// fetchRun reads the pieces from next.piece on that stand one after the other in
// one file, in one request, and returns how many they were.
func (d *download) fetchRun(ctx context.Context, next arrival, end int) (int, int64, error) {
	s, first := next.source, next.piece
	if s.kind == cdnfallback.Gateway {
		b, err := s.o.Block(ctx, d.table.Pieces[first].Key.CID())
		if err == nil {
			err = d.n.down(ctx, len(b))
		}
		if err == nil {
			next.data = b
			err = d.arrived(ctx, next)
		}
		return 1, int64(len(b)), err
	}
	place, count, size := d.adjacent(first, end)
	entry := d.table.Entries[place.Entry]
	body, err := s.o.Range(ctx, d.originPath(entry.Path), place.Offset, size, cdnfallback.Validator{Size: entry.Size})
	if err != nil {
		return 0, 0, err
	}
	defer body.Close()
	var n int64
	for i := range count {
		next.piece = first + i
		if next.data, err = readPiece(d.n.slowed(ctx, body), d.table.Pieces[next.piece]); err != nil {
			return i, n, err
		}
		n += int64(len(next.data))
		if err := d.arrived(ctx, next); err != nil {
			return i, n, err
		}
	}
	return count, n, nil
}

// adjacent is where piece first stands, how many pieces before end stand right
// behind it there, itself counted, and their bytes.
func (d *download) adjacent(first, end int) (at merkle.Place, count int, size int64) {
	at = d.table.Places(first)[0]
	count, size = 1, int64(d.table.Pieces[first].Payload)
	for first+count < end {
		next := d.table.Places(first + count)[0]
		if next.Entry != at.Entry || next.Offset != at.Offset+size {
			break
		}
		size += int64(d.table.Pieces[first+count].Payload)
		count++
	}
	return at, count, size
}

// originPath is where an entry of the table stands below the origin's URL.
func (d *download) originPath(path string) string {
	switch {
	case d.target.Path == "":
		return path
	case path == "":
		return d.target.Path
	default:
		return d.target.Path + "/" + path
	}
}

// arrived hands a piece of an origin to the workers. It waits while they are busy.
func (d *download) arrived(ctx context.Context, a arrival) error {
	if a.batch != nil {
		a.batch.Add(1)
	}
	var err error
	select {
	case d.direct <- a:
		return nil
	case <-d.done:
		err = context.Canceled
	case <-ctx.Done():
		err = ctx.Err()
	}
	if a.batch != nil {
		a.batch.Done()
	}
	return err
}

// readPiece reads a payload and puts the leaf's frame around it, if it has one.
// A payload that is wrong is returned as it is, for a worker to refuse.
func readPiece(r io.Reader, p merkle.Piece) ([]byte, error) {
	payload := pool.Get(p.Payload)
	if _, err := io.ReadFull(r, payload); err != nil {
		pool.Put(payload)
		return nil, err
	}
	if p.Size == p.Payload {
		return payload, nil
	}
	block, err := p.Wrap(payload)
	if err != nil {
		return payload, nil
	}
	pool.Put(payload)
	return block, nil
}

// newRand is a source of chance for one owner.
func newRand() *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) }
