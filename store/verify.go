package store

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
	"golang.org/x/sync/errgroup"
)

// Verify hashes all that is held of c (of every root if c is undefined), with
// as many goroutines as Config.Hashers says. What is bad is withdrawn and
// yielded; what cannot be read for a reason that may pass is yielded with an
// error and stays.
func (d *Disk) Verify(ctx context.Context, c cid.Cid) iter.Seq2[Bad, error] {
	return func(yield func(Bad, error) bool) {
		roots, err := d.rootsOf(c)
		if err != nil {
			yield(Bad{Root: c}, err)
			return
		}
		for _, r := range roots {
			if !d.verifyRoot(ctx, r, yield) {
				return
			}
		}
	}
}

func (d *Disk) rootsOf(c cid.Cid) ([]Root, error) {
	if !c.Defined() {
		return d.Roots()
	}
	r, err := d.Root(c)
	return []Root{r}, err
}

// check is one leaf in one file that is to be hashed.
type check struct {
	piece int
	at    located
}

// verifyRoot returns false when there is no need to go on.
func (d *Disk) verifyRoot(ctx context.Context, r Root, yield func(Bad, error) bool) bool {
	checks, err := d.checksOf(r.CID)
	if err != nil {
		return yield(Bad{Root: r.CID, Path: r.Path}, fmt.Errorf("verify %v: %w", r.CID, err))
	}
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		bad Bad
		err error
	}
	results := make(chan result)
	go func() { // ends with the workers
		defer close(results)
		_ = each(ctx, d.cfg.Hashers, checks, func(c check, buf []byte) error { // an error only says that ctx is done
			bad, err := d.verifyLeaf(r, c, buf)
			if bad.Err == nil {
				return nil
			}
			select {
			case results <- result{bad, err}:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}()
	going := true
	for res := range results {
		if going && !yield(res.bad, res.err) {
			going = false
			cancel()
		}
	}
	interrupted := going && ctx.Err() != nil
	cancel()
	if interrupted {
		return yield(Bad{Root: r.CID}, context.Cause(ctx)) && false
	}
	return going
}

// each calls fn for items, from several goroutines, until one returns an error.
// buf has room for any leaf block.
func each[T any](ctx context.Context, workers int, items []T, fn func(item T, buf []byte) error) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range min(workers, len(items)) {
		g.Go(func() error {
			buf := make([]byte, 0, merkle.MaxLeaf)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(items) {
					return nil
				}
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err := fn(items[i], buf); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// verifyLeaf returns a Bad with Err set when the leaf is not right.
func (d *Disk) verifyLeaf(r Root, c check, buf []byte) (Bad, error) {
	_, err := d.readAt(&c.at, buf)
	if err == nil {
		return Bad{}, nil
	}
	bad := Bad{Root: r.CID, Path: r.Path, Piece: c.piece, Err: err}
	if path, perr := d.pathOf(c.at.file); perr == nil {
		bad.Path = path
	}
	if passing(err) {
		return bad, err
	}
	return bad, d.withdraw(c.at)
}

// checksOf lists what the index claims of a root, place by place and file by
// file, so that disks are read from front to back.
func (d *Disk) checksOf(c cid.Cid) ([]check, error) {
	table, err := d.verifyTable(c)
	if err != nil {
		return nil, err
	}
	var checks []check
	err = d.view(func(t tx) error {
		r, err := t.root(rootKey(c))
		if err != nil {
			return err
		}
		for _, n := range r.Places {
			p, err := t.place(n)
			if err != nil {
				return err
			}
			err = t.eachFile(p, func(n uint64, f fileRec) error {
				checks, err = t.checksOf(checks, table, p, n, f)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return checks, err
}

func (t tx) checksOf(checks []check, table *merkle.Table, p placeRec, n uint64, f fileRec) ([]check, error) {
	claimed := func(piece int, off int64) error {
		key := table.Pieces[piece].Key
		v := t.in(leavesBucket).Get(leafKey(key, n))
		if v == nil {
			return nil
		}
		loc, err := decodeLocation(v, key)
		if off >= 0 {
			loc.Off = off // a leaf that a file has more than once is indexed once
		}
		checks = append(checks, check{piece, located{key, n, loc}})
		return err
	}
	if p.Kind == kept {
		for piece := range table.Pieces {
			if err := claimed(piece, -1); err != nil {
				return nil, err
			}
		}
		return checks, nil
	}
	entry, ok := table.Lookup(f.Rel)
	if !ok {
		return checks, nil
	}
	for _, s := range table.Entries[entry].Spans {
		if s.Piece < 0 {
			continue
		}
		if err := claimed(s.Piece, s.Offset); err != nil {
			return nil, err
		}
	}
	return checks, nil
}

// verifyTable is the table of a root; that of a root that is a leaf is known
// without reading it.
func (d *Disk) verifyTable(c cid.Cid) (*merkle.Table, error) {
	k, ok := merkle.KeyOf(c)
	if !ok || c.Type() != cid.Raw {
		return d.table(c)
	}
	r, err := d.Root(c)
	if err != nil {
		return nil, err
	}
	t, err := merkle.NewTree(c)
	if err != nil {
		return nil, err
	}
	if size := int(min(r.Size, merkle.MaxLeaf)); size > 0 {
		if err := t.AddLeaf(merkle.Leaf{Key: k, CID: c, Payload: size, Size: size}); err != nil {
			return nil, err
		}
	}
	return t.Table()
}
