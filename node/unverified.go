package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback"
	"github.com/shoal-p2p/shoal/cdnfallback/policy"
	"github.com/shoal-p2p/shoal/merkle"
)

// fetchURL reads a file that nobody vouches for, whole, into quarantine. What it
// turns out to be is then fetched from there as anything else: under its final
// name it is whole, and its content ID says what it is, but not that it is right.
func (n *Node) fetchURL(ctx context.Context, target merkle.Target, opt FetchOptions) (*Result, error) {
	if !opt.Unverified {
		return nil, fmt.Errorf("%w: %s: nobody vouches for it", ErrUsage, opt.URL)
	}
	if n.exchange == nil {
		return nil, ErrOffline
	}
	began := time.Now()
	o, err := n.named(opt.URL, opt)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	f, err := os.CreateTemp(filepath.Join(n.cfg.Dir, "quarantine"), "stream-*")
	if err != nil {
		return nil, fmt.Errorf("open quarantine: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	v, bytes, err := n.readWhole(ctx, o, &eager{f: f}, opt)
	if err != nil {
		return nil, err
	}
	n.manifests.put(v)
	target.Root = v.root
	whole := opt
	whole.URL, whole.Origins, whole.Using = "", nil, append([]string{f.Name()}, opt.Using...)
	whole.whole = f.Name()
	if whole.Deadline > 0 {
		whole.Deadline = max(whole.Deadline-time.Since(began), time.Millisecond)
	}
	r, err := n.Fetch(ctx, target, whole)
	if err != nil {
		return nil, err
	}
	r.Seconds = since(began)
	r.From = From{Origin: Amount{Bytes: bytes, Peers: 1}}
	r.OriginReasons = map[string]int64{string(policy.Start): bytes}
	r.Origins = []string{o.Host()}
	return r, nil
}

// readWhole copies what stands at an origin's URL to w, and makes its tree.
func (n *Node) readWhole(ctx context.Context, o *cdnfallback.Origin, w io.Writer, opt FetchOptions) (*vouched, int64, error) {
	if opt.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, opt.Deadline)
		defer cancel()
	}
	body, size, err := o.Stream(ctx)
	if err != nil {
		return nil, 0, n.unreadable(o, err)
	}
	defer body.Close()
	most := int64(maxUntold)
	if size >= 0 {
		most = size
	}
	tell := func(got int64) {
		if opt.Progress != nil {
			opt.Progress(Progress{Name: o.String(), Size: max(size, 0), Have: got, From: From{Origin: Amount{Bytes: got, Peers: 1}}})
		}
	}
	r := &meter{r: io.TeeReader(&limited{n: n, ctx: ctx, r: body}, w), most: most, tell: tell}
	p := merkle.UnixFSv1
	b, buf := p.NewFile(), make([]byte, p.LeafSize())
	for last := false; !last; {
		got, err := io.ReadFull(r, buf)
		if last = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); err != nil && !last {
			return nil, r.n, n.unreadable(o, err)
		}
		if got > 0 || r.n == 0 {
			b.Add(p.Leaf(buf[:got]))
		}
	}
	link, blocks := b.Finish(0)
	if len(blocks) == 0 { // a leaf is its own tree
		blocks = []merkle.Block{{CID: link.CID, Data: buf[:r.n]}}
	}
	return &vouched{root: link.CID, tree: blocks}, r.n, nil
}

// limited is a reader that counts as a download from far away.
type limited struct {
	n   *Node
	ctx context.Context
	r   io.Reader
}

func (l *limited) Read(p []byte) (int, error) {
	got, err := l.r.Read(p)
	if e := l.n.down(l.ctx, got); e != nil {
		return got, e
	}
	return got, err
}

// unreadable gives the failure of a whole read its final form.
func (n *Node) unreadable(o *cdnfallback.Origin, err error) error {
	if _, ofOrigin := errors.AsType[*cdnfallback.Error](err); ofOrigin || errors.Is(err, errEndless) || errors.Is(err, context.DeadlineExceeded) {
		return &UnavailableError{URL: o.String(), Why: err.Error()}
	}
	return err
}
