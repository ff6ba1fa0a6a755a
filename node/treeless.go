package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/cdnfallback"
	"github.com/shoal-p2p/shoal/cdnfallback/policy"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
	"golang.org/x/sync/errgroup"
)

// streaming is the progress of a whole file without a tree.
type streaming struct{ bytes int64 }

// streamed is the end of it: the tree that the bytes turned out to have, and
// the quarantine file that holds them.
type streamed struct {
	from   *source
	blocks []merkle.Block
	file   string
	bytes  int64
	err    error
}

// gatewayBlocks fetches blocks at the same time, in order of cs.
func gatewayBlocks(ctx context.Context, o *cdnfallback.Origin, cs []cid.Cid) ([][]byte, error) {
	out := make([][]byte, len(cs))
	g, ctx := errgroup.WithContext(ctx)
	for i, c := range cs {
		g.Go(func() error {
			b, err := o.Block(ctx, c)
			out[i] = b
			return err
		})
	}
	return out, g.Wait()
}

// stream reads the whole file from an origin into quarantine while its leaves
// are hashed for every profile that may have made the root. Nothing of it is
// shown, shared or kept under the target's name before the root matches. One
// origin is read at a time, until the tree comes from elsewhere.
func (d *download) stream(ctx context.Context, s *source) {
	root := d.root
	ctx, d.trees.stopStream = context.WithCancel(ctx)
	d.task(ctx, func() exchange.Event { return d.quarantine(ctx, s, root) })
}

// quarantine is the task of stream.
func (d *download) quarantine(ctx context.Context, s *source, root cid.Cid) streamed {
	ev := streamed{from: s}
	body, size, err := s.o.Stream(ctx)
	if err != nil {
		ev.err = err
		return ev
	}
	defer body.Close()
	f, err := os.CreateTemp(filepath.Join(d.n.cfg.Dir, "quarantine"), "stream-*")
	if err != nil {
		ev.err = fmt.Errorf("open quarantine: %w", err)
		return ev
	}
	defer f.Close()
	most := int64(maxUntold)
	if size >= 0 {
		most = size
	}
	r := &meter{r: io.TeeReader(d.n.slowed(ctx, body), &eager{f: f}), most: most, tell: func(n int64) { d.send(ctx, streaming{n}) }}
	ev.blocks, ev.bytes, ev.err = hashStream(r, root)
	if ev.file = f.Name(); ev.err != nil {
		ev.err, ev.file = errors.Join(ev.err, os.Remove(ev.file)), ""
	}
	return ev
}

// maxUntold is how much is read of an origin that has no tree and does not tell
// how long the file is: it might never end, and the disk would be full first.
const maxUntold = 4 << 30

var errEndless = errors.New("it tells no length, has no tree and does not end")

// meter tells of bytes as they are read, so that a slow origin is seen to send,
// and reads no more than most.
type meter struct {
	r    io.Reader
	n    int64
	most int64
	told time.Time
	tell func(n int64)
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if m.n += int64(n); n > 0 && time.Since(m.told) > reportEvery {
		m.told = time.Now()
		m.tell(m.n)
	}
	if m.n > m.most {
		return 0, fmt.Errorf("%w: %d bytes and more", errEndless, m.most)
	}
	return n, err
}

// eagerBytes are written before the system is asked to begin with them.
const eagerBytes = 8 << 20

// eager writes to a file that will have to be durable: the disk works while the
// origin sends, and not only when all has come.
type eager struct {
	f     *os.File
	begun int
}

func (w *eager) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	if w.begun += n; w.begun >= eagerBytes {
		w.begun = 0
		store.StartWriteback(w.f)
	}
	return n, err
}

// hashStream builds the trees of every candidate profile and returns the one
// that has root, and how many bytes it read.
func hashStream(r io.Reader, root cid.Cid) ([]merkle.Block, int64, error) {
	profiles := merkle.Candidates(root)
	builders := make([]*merkle.FileBuilder, len(profiles))
	for i, p := range profiles {
		builders[i] = p.NewFile()
	}
	const chunk = 1 << 20 // a multiple of every profile's leaf size
	buf := make([]byte, chunk)
	var total int64
	for last := false; !last; {
		n, err := io.ReadFull(r, buf)
		if last = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); err != nil && !last {
			return nil, total, err
		}
		total += int64(n)
		addLeaves(profiles, builders, buf[:n])
	}
	for i, b := range builders {
		link, blocks := b.Finish(0)
		if link.CID.Equals(root) && len(blocks) == 0 { // a leaf is its own tree
			payload := bytes.Clone(buf[:total])
			return []merkle.Block{{CID: root, Data: profiles[i].Leaf(payload).Block(payload)}}, total, nil
		}
		if link.CID.Equals(root) {
			return blocks, total, nil
		}
	}
	return nil, total, fmt.Errorf("%d bytes that are not %v: %w", total, root, merkle.ErrMismatch)
}

// addLeaves cuts bytes as each profile does, and hashes once what several cut alike.
func addLeaves(profiles []merkle.Profile, builders []*merkle.FileBuilder, b []byte) {
	type cut struct {
		size int
		raw  bool
	}
	known := map[cut][]merkle.Leaf{}
	for i, p := range profiles {
		c := cut{p.LeafSize(), p.RawLeaves()}
		if known[c] == nil {
			for payload := range slices.Chunk(b, c.size) {
				known[c] = append(known[c], p.Leaf(payload))
			}
		}
		for _, l := range known[c] {
			builders[i].Add(l)
		}
	}
}

func (d *download) onStreamed(ctx context.Context, now time.Time, ev streamed) {
	ev.from.treeBusy = false
	d.trees.stopStream()
	d.trees.stopStream, d.trees.streamed = nil, 0
	if ev.err == nil && d.phase != loading {
		os.Remove(ev.file) // peers had the tree meanwhile
		return
	}
	_, ofOrigin := errors.AsType[*cdnfallback.Error](ev.err)
	switch {
	case ev.err == nil:
	case errors.Is(ev.err, merkle.ErrMismatch):
		d.count.rejected += ev.bytes
		d.count.lies[ev.from] = maxOriginLies
		d.originLied(now, ev.from, ev.err)
		return
	case errors.Is(ev.err, errEndless):
		ev.from.useless = true // it would be the same again
		d.originFailed(now, ev.from, fmt.Errorf("origin %s: %w", ev.from.o.Host(), ev.err))
		return
	case ofOrigin || errors.Is(ev.err, context.Canceled):
		d.originFailed(now, ev.from, ev.err)
		return
	default:
		d.fail(ev.err) // the disk's fault: no source can mend it
		return
	}
	d.useful, d.trees.from = now, ev.from
	d.trees.quarantine, d.trees.streamedBy = ev.file, ev.from
	for _, b := range ev.blocks {
		if err := d.feed(b.Data); err != nil && !errors.Is(err, merkle.ErrMismatch) {
			d.fail(err)
			return
		}
	}
}

// release moves what the quarantine holds of lacking pieces into the target, piece
// by piece, each verified like any other. There are none where the store could take
// the file itself.
func (d *download) release(ctx context.Context, file string, lacking []int, s *source) released {
	defer os.Remove(file)
	f, err := os.Open(file)
	if err != nil {
		return released{err}
	}
	defer f.Close()
	for _, i := range lacking {
		p := d.table.Pieces[i]
		data, err := readPiece(io.NewSectionReader(f, d.table.Places(i)[0].Offset, int64(p.Payload)), p)
		if err == nil {
			err = d.arrived(ctx, arrival{piece: i, data: data, source: s, reason: policy.Start})
		}
		if err != nil {
			return released{err}
		}
	}
	return released{}
}

// released says that all that was in quarantine is with the workers.
type released struct{ err error }

func (d *download) onReleased(ev released) {
	if ev.err != nil {
		d.fail(fmt.Errorf("read quarantine: %w", ev.err))
	}
}
