package node

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback"
	"github.com/shoal-p2p/shoal/cdnfallback/policy"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/merkle"
)

// swept is the end of reading a whole file from an origin without ranges.
type swept struct {
	from *source
	lies int // of the origin, before
	err  error
}

// sweep reads the file of a piece from its start, for an origin that refuses to
// begin in the middle, and takes from it what is missing. The origin is asked
// for nothing else meanwhile.
func (d *download) sweep(ctx context.Context, now time.Time, s *source, piece int, why policy.Reason) {
	if s.sweeping {
		return // another request met the same refusal
	}
	s.sweeping = true
	d.originsDown(now)
	entry := &d.table.Entries[d.table.Places(piece)[0].Entry]
	seen := make([]bool, len(d.table.Pieces))
	for i := range d.have.All() {
		seen[i] = true
	}
	ev := swept{from: s, lies: d.count.lies[s]}
	d.task(ctx, func() exchange.Event {
		var batch sync.WaitGroup
		ev.err = d.readWhole(ctx, entry, seen, arrival{source: s, reason: why, batch: &batch})
		batch.Wait()
		return ev
	})
}

// readWhole reads a file and hands on the pieces that are not in seen, up to
// the last of them.
func (d *download) readWhole(ctx context.Context, entry *merkle.Entry, seen []bool, next arrival) error {
	body, err := next.source.o.Range(ctx, d.originPath(entry.Path), 0, entry.Size, cdnfallback.Validator{Size: entry.Size})
	if err != nil {
		return err
	}
	defer body.Close()
	slow := d.n.slowed(ctx, body)
	var at int64
	for _, s := range entry.Spans {
		if s.Piece < 0 || seen[s.Piece] {
			continue
		}
		if _, err := io.CopyN(io.Discard, slow, s.Offset-at); err != nil {
			return err
		}
		at = s.Offset + int64(d.table.Pieces[s.Piece].Payload)
		seen[s.Piece] = true
		if next.data, err = readPiece(slow, d.table.Pieces[s.Piece]); err != nil {
			return err
		}
		next.piece = s.Piece
		if err := d.arrived(ctx, next); err != nil {
			return err
		}
	}
	return nil
}

func (d *download) onSwept(now time.Time, ev swept) {
	ev.from.sweeping = false
	switch {
	case d.count.lies[ev.from] > ev.lies: // originLied has said when to ask again
	case ev.err != nil:
		d.originFailed(now, ev.from, ev.err)
	default:
		ev.from.backoff.OnSuccess()
	}
	d.originsDown(now)
}
