package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/shoal-p2p/shoal/merkle"
	"golang.org/x/sync/errgroup"
)

// chunk is how much is read at once, in bytes.
const chunk = 1 << 20

// job is a run of leaves of one file.
type job struct {
	n     *node
	first int
	count int
}

// opened is the file behind a node while its leaves are hashed.
type opened struct {
	left atomic.Int32 // jobs that are not done

	mu    sync.Mutex
	file  *os.File
	state state
}

// buffers are chunk bytes each.
var buffers = sync.Pool{New: func() any { return new([chunk]byte) }}

// hash runs the walk and the pool.
func (s *scan) hash(ctx context.Context) error {
	s.jobs = make(chan job)
	g, ctx := errgroup.WithContext(ctx)
	defer s.closeFiles()
	var tell sync.Mutex
	if told := s.opt.Progress; told != nil {
		var last int64
		s.opt.Progress = func(bytes int64) {
			tell.Lock()
			defer tell.Unlock()
			if last = max(last, bytes); last == bytes {
				told(bytes)
			}
		}
	}
	g.Go(func() error {
		defer close(s.jobs)
		return s.walk(ctx)
	})
	for range s.hashers {
		g.Go(func() error {
			buf := buffers.Get().(*[chunk]byte)
			defer buffers.Put(buf)
			for j := range s.jobs {
				if err := s.hashJob(j, buf[:]); err != nil {
					return err
				}
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// closeFiles closes what an error left open.
func (s *scan) closeFiles() {
	for _, n := range s.files {
		if n.open.file != nil {
			_ = n.open.file.Close() // only read
			n.open.file = nil
		}
	}
}

// hashJob reads and hashes the leaves of a job; the last job of a file checks
// that it did not change meanwhile.
func (s *scan) hashJob(j job, buf []byte) error {
	n := j.n
	f, err := s.openNode(n)
	if err != nil {
		return err
	}
	leaf := int64(s.opt.Profile.LeafSize())
	off := int64(j.first) * leaf
	buf = buf[:min(int64(j.count)*leaf, n.size-off)]
	if _, err := readFull(f, buf, off); err != nil {
		if errors.Is(err, io.EOF) {
			return s.changed(n)
		}
		return diskErr("add", s.path(n), err)
	}
	bytes := int64(len(buf))
	for i := range j.count {
		payload := buf[:min(int(leaf), len(buf))]
		buf = buf[len(payload):]
		l, err := s.leaf(n, payload)
		if err != nil {
			return err
		}
		n.leaves[j.first+i] = l
		if s.keep == nil {
			continue
		}
		if err := s.keep(n, l, payload); err != nil {
			return err
		}
	}
	s.progress(bytes)
	if n.open.left.Add(-1) == 0 {
		return s.finishNode(n)
	}
	return nil
}

// leaf hashes one leaf of a file.
func (s *scan) leaf(n *node, payload []byte) (merkle.Leaf, error) {
	mode := s.mode(n)
	if mode == 0 || len(n.leaves) > 1 {
		return s.opt.Profile.Leaf(payload), nil
	}
	l := s.opt.Profile.SoleLeaf(payload, mode)
	block := l.Block(payload)
	from, to, err := merkle.Unframe(l.Key, block)
	if err != nil {
		return l, fmt.Errorf("add %s: %w", s.path(n), err)
	}
	n.prefix, n.suffix = clone(block[:from]), clone(block[to:])
	return l, nil
}

// openNode opens the file once for all of its jobs.
func (s *scan) openNode(n *node) (*os.File, error) {
	n.open.mu.Lock()
	defer n.open.mu.Unlock()
	if n.open.file != nil {
		return n.open.file, nil
	}
	f, err := openRead(s.path(n))
	if err != nil {
		return nil, diskErr("add", s.path(n), err)
	}
	st, err := stateOf(f)
	switch {
	case err != nil:
		err = diskErr("add", s.path(n), err)
	case !st.regular || st.Size != n.size:
		err = s.changed(n)
	default:
		if n.size > chunk {
			readAhead(f)
		}
		n.open.file, n.open.state = f, st
		return f, nil
	}
	_ = f.Close() // only read
	return nil, err
}

func (s *scan) finishNode(n *node) error {
	n.open.mu.Lock()
	defer n.open.mu.Unlock()
	f := n.open.file
	n.open.file = nil
	st, err := stateOf(f)
	_ = f.Close() // only read
	if err != nil {
		return diskErr("add", s.path(n), err)
	}
	if !st.same(n.open.state) {
		return s.changed(n)
	}
	n.state = st
	return nil
}

func (s *scan) changed(n *node) error {
	return fmt.Errorf("add %s: it changed while it was read, add it again when it is at rest: %w", s.path(n), ErrChanged)
}
