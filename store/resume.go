package store

import (
	"context"
	"fmt"
)

// resume hashes what an earlier Create left. What the index claims was durable
// when it was claimed, but only hashing proves that it is still so; what was
// written and not claimed survives a killed process, so it is looked at too.
func (w *diskWriter) resume(ctx context.Context) error {
	claims, err := w.claims()
	if err != nil {
		return err
	}
	if k, ok := w.out.(*keptOutput); ok {
		return w.resumeKept(ctx, k, claims)
	}
	t := w.out.(*target)
	var look []int
	for i := range w.table.Pieces {
		if _, ok := claims[i]; ok || w.maybe(t, i) {
			look = append(look, i)
		}
	}
	return each(ctx, w.d.cfg.Hashers, look, func(piece int, buf []byte) error {
		claimed, ok := claims[piece]
		if !ok {
			p := w.table.Pieces[piece]
			claimed.loc.Prefix, claimed.loc.Suffix = frame(p.Key, p.Payload, p.Size)
		}
		if !t.check(piece, claimed.loc.Prefix, claimed.loc.Suffix, buf) {
			if ok {
				return w.d.withdraw(claimed)
			}
			return nil
		}
		if ok {
			w.mark(piece)
			return nil
		}
		w.note(piece, t.places(piece, claimed.loc.Prefix, claimed.loc.Suffix))
		return nil
	})
}

// maybe tells whether an unclaimed piece is worth a look.
func (w *diskWriter) maybe(t *target, piece int) bool {
	return w.resumed && w.table.Pieces[piece].Payload > 0 && t.written(piece)
}

// lend records that pieces are here under other roots, and the files of pieces
// that Evict leaves for that.
func (w *diskWriter) lend(pieces []int) error {
	lenders := map[uint64]bool{}
	err := w.d.view(func(t tx) error {
		if w.d.cached.none() {
			return nil
		}
		for _, piece := range pieces {
			ls, err := t.leaf(w.table.Pieces[piece].Key)
			if err != nil {
				return err
			}
			if file, all := w.d.cached.among(ls); all {
				lenders[file] = true
			}
		}
		return nil
	})
	for _, piece := range pieces {
		w.mark(piece)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.borrowed += len(pieces)
	w.lenders = lenders
	return err
}

// lends tells whether a reader lives from a file of pieces.
func (d *Disk) lends(file uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.active {
		if w != nil && w.borrowsFrom(file) {
			return true
		}
	}
	return false
}

func (w *diskWriter) borrowsFrom(file uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lenders[file]
}

// mark records that a claimed piece is here.
func (w *diskWriter) mark(piece int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.written[piece] {
		w.written[piece] = true
		w.left--
	}
}

// claims returns, for each piece that the index claims for this place, where it stands.
func (w *diskWriter) claims() (map[int]located, error) {
	m := map[int]located{}
	if !w.resumed {
		return m, nil
	}
	err := w.d.view(func(t tx) error {
		for i, p := range w.table.Pieces {
			file := w.rec.First
			if w.rec.Kind == partial {
				places := w.table.Places(i)
				if len(places) == 0 {
					continue
				}
				file += uint64(places[0].Entry)
			}
			v := t.in(leavesBucket).Get(leafKey(p.Key, file))
			if v == nil {
				continue
			}
			loc, err := decodeLocation(v, p.Key)
			if err != nil {
				return fmt.Errorf("resume %v: %w", w.table.Root, err)
			}
			m[i] = located{p.Key, file, loc}
		}
		return nil
	})
	return m, err
}

// resumeKept hashes what the index claims of a file of pieces, and goes on
// writing behind it.
func (w *diskWriter) resumeKept(ctx context.Context, k *keptOutput, claims map[int]located) error {
	var look []int
	for i, at := range claims {
		look = append(look, i)
		k.end = max(k.end, at.loc.Off+int64(at.loc.Payload))
	}
	return each(ctx, w.d.cfg.Hashers, look, func(piece int, buf []byte) error {
		at := claims[piece]
		if !w.borrow {
			if _, err := w.d.readAt(&at, buf); err != nil {
				return w.d.withdraw(at)
			}
		}
		k.mu.Lock()
		k.placed[at.key] = at.loc
		k.mu.Unlock()
		w.mark(piece)
		return nil
	})
}

// places are where a piece of a target can be read, one place for each file.
func (t *target) places(piece int, prefix, suffix []byte) []located {
	p := t.table.Pieces[piece]
	var ls []located
	last := -1
	for _, at := range t.table.Places(piece) {
		if at.Entry == last {
			continue
		}
		last = at.Entry
		ls = append(ls, located{p.Key, t.first + uint64(at.Entry), location{
			Off: at.Offset, Payload: p.Payload, Prefix: prefix, Suffix: suffix,
		}})
	}
	return ls
}
