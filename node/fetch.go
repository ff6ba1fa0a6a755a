package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/cdnfallback"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/exchange/peers"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// Fetch gets all of target and returns when it is whole under its final name,
// verified. It resumes what an earlier Fetch of the same root and Output began.
func (n *Node) Fetch(ctx context.Context, target merkle.Target, opt FetchOptions) (*Result, error) {
	if opt.Output != "" && !opt.Update {
		if _, err := os.Lstat(opt.Output); err == nil {
			return nil, fmt.Errorf("%s: %w", opt.Output, store.ErrExists)
		}
	}
	if err := checkUsing(opt.Using); err != nil {
		return nil, err
	}
	if opt.URL != "" && !target.Root.Defined() {
		return n.fetchURL(ctx, target, opt)
	}
	for a := (attempt{target: target, opt: opt, started: time.Now()}); ; {
		d, _, err := n.newDownload(ctx, a)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, d.cancel)
		<-d.left
		stop()
		if a.again(d) {
			continue
		}
		if d.err != nil {
			return nil, d.err
		}
		n.held(d.root)
		for _, c := range d.replaced {
			n.unlearn(c)
		}
		return d.result, nil
	}
}

// Open returns the file that target names, for reading as it arrives. Readers
// of one target share its download, and one that Fetch runs too.
func (n *Node) Open(ctx context.Context, target merkle.Target, opt FetchOptions) (*Content, error) {
	opt.Output = ""
	a := attempt{target: target, opt: opt, demand: true, started: time.Now()}
	d, err := n.read(ctx, a)
	if err != nil {
		return nil, err
	}
	e := d.table.Entries[0]
	if e.Type != merkle.File {
		n.release(d)
		return nil, fmt.Errorf("%w: %v is a directory: name a file in it (CID/path), or get it", ErrUsage, d.target.Root)
	}
	return &Content{n: n, from: a, d: d, ctx: ctx, size: e.Size, at: -1}, nil
}

// read returns a download whose table is known: the one that runs, or a new one
// that fetches what is read. The caller gives it to release.
func (n *Node) read(ctx context.Context, a attempt) (*download, error) {
	for {
		d, shared, err := n.newDownload(ctx, a)
		if err != nil {
			return nil, err
		}
		select {
		case <-d.opened:
			return d, nil
		case <-d.left:
		case <-ctx.Done():
			n.release(d)
			return nil, ctx.Err()
		}
		select {
		case <-d.opened: // it ended since
			return d, nil
		default:
		}
		if !a.again(d) && !shared { // another's failure is not ours
			return nil, cmp.Or(d.err, errors.New("closed"))
		}
	}
}

// release ends a reader's part in a download: one that only readers wanted ends
// with the last of them.
func (n *Node) release(d *download) {
	n.mu.Lock()
	d.readers--
	last := d.demand && d.readers == 0
	n.mu.Unlock()
	if last {
		d.cancel()
		<-d.left
	}
}

// Cat writes bytes from to to (inclusive; -1: the end) as they are verified.
func (n *Node) Cat(ctx context.Context, target merkle.Target, from, to int64, w io.Writer, opt FetchOptions) error {
	c, err := n.Open(ctx, target, opt)
	if err != nil {
		return err
	}
	defer c.Close()
	if to < 0 || to >= c.size {
		to = c.size - 1
	}
	if from > to && c.size > 0 {
		return fmt.Errorf("%w: range starts at byte %d of %d", ErrUsage, from, c.size)
	}
	if _, err := c.Seek(from, io.SeekStart); err != nil {
		return err
	}
	_, err = io.CopyN(w, c, to-from+1)
	return err
}

// List returns what a directory holds, or the one file that target names.
func (n *Node) List(ctx context.Context, target merkle.Target, opt FetchOptions) ([]Entry, error) {
	opt.Output = ""
	d, err := n.read(ctx, attempt{target: target, opt: opt, demand: true, started: time.Now()})
	if err != nil {
		return nil, err
	}
	defer n.release(d)
	return entries(d.table, d.name()), nil
}

// entries are the children of a directory, or the root itself.
func entries(t *merkle.Table, name string) []Entry {
	kinds := [...]string{merkle.File: "file", merkle.Directory: "dir", merkle.Symlink: "symlink"}
	var out []Entry
	for i, e := range t.Entries {
		if e.Type == merkle.Directory && i == 0 {
			continue
		}
		if i > 0 && filepath.Dir(e.Path) != "." {
			continue
		}
		label := e.Path
		if i == 0 {
			label = name
		}
		out = append(out, Entry{Type: kinds[e.Type], Size: e.Size, Name: label, CID: e.CID.String()})
	}
	return out
}

// newDownload starts the loop of a root, or returns the one that a reader may
// share: see enter.
func (n *Node) newDownload(ctx context.Context, a attempt) (d *download, shared bool, err error) {
	if n.exchange == nil {
		return nil, false, ErrOffline
	}
	vouched := n.manifestOf(a)
	origins, err := n.sources(a.target, a.opt, vouched)
	if err != nil {
		return nil, false, err
	}
	named, err := addrInfos(append(slices.Clone(a.opt.Peers), a.target.Peers...))
	if err != nil {
		return nil, false, err
	}
	joinBy, err := addrInfos(append(slices.Clone(a.opt.Bootstrap), vouched.bootstrap()...))
	if err != nil {
		return nil, false, err
	}
	loopCtx, end := context.WithCancelCause(n.ctx)
	d = &download{
		n: n, target: a.target, opt: a.opt, demand: a.demand, vouched: vouched, log: n.log.With("root", a.target.Root),
		cancel: func() { end(context.Canceled) }, yield: func() { end(errYield) },
		inbox: make(chan exchange.Event, 256), // so that one slow decision stalls no peer's reader
		// Each piece in flight has a slot, copies and what is cancelled in time too.
		verify: make(chan arrival, 2*maxStarted), direct: make(chan arrival),
		done: make(chan struct{}), opened: make(chan struct{}), left: make(chan struct{}), moved: make(chan struct{}),
		known: append(named, joinBy...), started: a.started, useful: time.Now(),
		peers: map[peer.ID]*remote{}, origins: origins,
		trees: treeSearch{slow: map[*exchange.Session]int{}},
		look:  newLookup(), count: newTally(),
		wanting: map[int][]*want{}, rng: newRand(),
	}
	if a.demand {
		d.readers = 1
	}
	in, err := n.enter(ctx, d, a.path)
	if err != nil || in != d {
		d.cancel()
		return in, true, err
	}
	if d.exchange, err = n.exchange.Open(d.root, d.inbox); err != nil {
		n.exit(d)
		d.cancel()
		return nil, false, err
	}
	n.joinThrough(joinBy)
	for _, info := range d.known {
		d.onProvider(time.Now(), provider{info, peers.Named})
	}
	for _, s := range n.exchange.Sessions() {
		d.join(time.Now(), s)
	}
	n.wg.Go(func() { d.run(loopCtx) })
	return d, false, nil
}

// close lets go of everything, in the order in which nothing can wait for
// another: peers first, then workers, then the disk.
func (d *download) close(ctx context.Context) {
	yielded := errors.Is(context.Cause(ctx), errYield) && d.result == nil
	d.cancel()
	if d.phase != ended {
		d.fail(context.Canceled)
	}
	if yielded {
		d.err = errYield
	}
	d.report(time.Now(), true)
	d.book(time.Now(), true)
	d.exchange.Close()
	close(d.done)
	d.wg.Wait()
	for more := true; more; {
		select {
		case ev := <-d.inbox:
			d.discard(ev)
		default:
			more = false
		}
	}
	if d.writer != nil {
		if err := d.writer.Close(); err != nil && d.err == nil {
			d.err = err
		}
	}
	for _, s := range d.origins {
		s.o.Close()
	}
	if d.trees.quarantine != "" {
		os.Remove(d.trees.quarantine)
	}
	if !d.look.told {
		d.n.announce(d.target.Root) // taken back if nothing is kept
	}
	d.n.exit(d)
}

// sources makes the origins of the options, the target, the node and the
// manifest, each once.
func (n *Node) sources(target merkle.Target, opt FetchOptions, v *vouched) ([]*source, error) {
	ask, err := n.asking(opt)
	if err != nil {
		return nil, err
	}
	var out []*source
	seen := map[string]bool{}
	add := func(cfg cdnfallback.Config) error {
		if seen[cfg.URL] {
			return nil
		}
		seen[cfg.URL] = true
		o, err := cdnfallback.New(cfg)
		if err != nil {
			return fmt.Errorf("%w: origin %q: %w", ErrUsage, cfg.URL, err)
		}
		out = append(out, &source{o: o})
		return nil
	}
	var all []cdnfallback.Config
	for _, url := range opt.Origins {
		all = append(all, ask.named(url, true))
	}
	for _, url := range append(slices.Clone(target.Origins), n.cfg.Origins...) {
		all = append(all, ask.named(url, false))
	}
	for _, cfg := range all {
		if err := add(cfg); err != nil {
			return nil, err
		}
	}
	for _, cfg := range v.sources(ask) {
		if err := add(cfg); err != nil {
			n.log.Info("an origin of the manifest is of no use", "err", err) // others may be
		}
	}
	return out, nil
}
