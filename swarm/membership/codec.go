package membership

import (
	"bytes"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protowire"
)

// maxID is the longest peer ID accepted, in bytes; an Ed25519 one has 38.
const maxID = 64

// maxTime is the last second of the year 9999.
const maxTime = 253402300799

// enc builds a message in protobuf's wire format with one encoding only: fields
// in ascending order, zero values left out.
type enc []byte

func (e *enc) num(n protowire.Number, v uint64) {
	if v != 0 {
		*e = protowire.AppendVarint(protowire.AppendTag(*e, n, protowire.VarintType), v)
	}
}

func (e *enc) bytes(n protowire.Number, b []byte) {
	if len(b) != 0 {
		*e = protowire.AppendBytes(protowire.AppendTag(*e, n, protowire.BytesType), b)
	}
}

func (e *enc) list(n protowire.Number, list [][]byte) {
	for _, b := range list {
		e.bytes(n, b)
	}
}

func (e *enc) time(n protowire.Number, t time.Time) { e.num(n, uint64(max(t.Unix(), 0))) }

// field is one field of a message: num for a varint, bytes (aliasing the input) else.
type field struct {
	n     protowire.Number
	num   uint64
	bytes []byte
}

// decode calls each for every field of b. It refuses every kind but varints and bytes.
func decode(b []byte, each func(field) error) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return ErrMalformed
		}
		b = b[n:]
		f := field{n: num}
		switch kind {
		case protowire.VarintType:
			f.num, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			return ErrMalformed
		}
		if n < 0 {
			return ErrMalformed
		}
		b = b[n:]
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}

// canonical makes sure that b is the one encoding of what was read from it, so
// that nothing can be said in two ways.
func canonical(b, again []byte) error {
	if !bytes.Equal(b, again) {
		return fmt.Errorf("%w: not in its one encoding", ErrMalformed)
	}
	return nil
}

func readID(b []byte) (peer.ID, error) {
	if len(b) > maxID {
		return "", fmt.Errorf("%w: peer ID of %d bytes", ErrTooLarge, len(b))
	}
	id, err := peer.IDFromBytes(b)
	if err != nil {
		return "", fmt.Errorf("%w: peer ID: %w", ErrMalformed, err)
	}
	return id, nil
}

func readTime(v uint64) (time.Time, error) {
	if v > maxTime {
		return time.Time{}, fmt.Errorf("%w: time after the year 9999", ErrMalformed)
	}
	return time.Unix(int64(v), 0).UTC(), nil
}
