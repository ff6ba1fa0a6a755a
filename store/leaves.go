package store

import (
	"bytes"
	"fmt"

	"github.com/shoal-p2p/shoal/merkle"
)

// Leaves returns up to most pieces that are here, each once, in the order of
// their keys and beginning after the key given; the zero Key comes before all.
// With fewer than most there are no more. Pieces of a root being fetched are among
// them from its next Sync on.
func (d *Disk) Leaves(after merkle.Key, most int) ([]merkle.Piece, error) {
	var out []merkle.Piece
	err := d.view(func(t tx) error {
		c := t.in(leavesBucket).Cursor()
		last := after
		for k, v := c.Seek(after[:]); k != nil && len(out) < most; k, v = c.Next() {
			if len(k) <= len(last) || bytes.Equal(k[:len(last)], last[:]) {
				continue
			}
			last = merkle.Key(k[:len(last)])
			at, err := decodeLocation(v, last)
			if err != nil {
				return err
			}
			out = append(out, merkle.Piece{Key: last, Size: at.size(), Payload: at.Payload})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list pieces: %w", err)
	}
	return out, nil
}
