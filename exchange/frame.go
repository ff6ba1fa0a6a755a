package exchange

import (
	"encoding/binary"
	"fmt"

	"github.com/shoal-p2p/shoal/merkle"
)

const frameHeader = 16 // bytes

// frame is the header of raw bytes on a data stream: blocks of one piece.
type frame struct {
	handle uint32 // of the sender
	piece  uint32
	first  uint16 // block
	count  uint16 // blocks, 1 to maxBlocks
	length uint32 // bytes that follow, at most count*Block
}

// appendFrame appends the 16 bytes of f, big-endian.
func appendFrame(b []byte, f frame) []byte {
	b = binary.BigEndian.AppendUint32(b, f.handle)
	b = binary.BigEndian.AppendUint32(b, f.piece)
	b = binary.BigEndian.AppendUint16(b, f.first)
	b = binary.BigEndian.AppendUint16(b, f.count)
	return binary.BigEndian.AppendUint32(b, f.length)
}

// parseFrame reads a header and checks the limits that hold for any piece.
func parseFrame(b []byte) (frame, error) {
	if len(b) != frameHeader {
		return frame{}, fmt.Errorf("%w: frame header of %d bytes", errProtocol, len(b))
	}
	f := frame{
		handle: binary.BigEndian.Uint32(b),
		piece:  binary.BigEndian.Uint32(b[4:]),
		first:  binary.BigEndian.Uint16(b[8:]),
		count:  binary.BigEndian.Uint16(b[10:]),
		length: binary.BigEndian.Uint32(b[12:]),
	}
	switch {
	case f.count == 0 || int(f.first)+int(f.count) > maxBlocks:
		return frame{}, fmt.Errorf("%w: blocks %d+%d of a piece", errProtocol, f.first, f.count)
	case f.length > uint32(f.count)*Block || f.length <= uint32(f.count-1)*Block:
		return frame{}, fmt.Errorf("%w: %d bytes in %d blocks", errProtocol, f.length, f.count)
	case f.piece >= merkle.MaxPieces:
		return frame{}, fmt.Errorf("%w: piece %d", errProtocol, f.piece)
	}
	return f, nil
}

// bits has one bit for each block of f.
func (f frame) bits() uint32 { return (1<<f.count - 1) << f.first }

// blocks is the number of blocks of a piece of size bytes.
func blocks(size int) int { return (size + Block - 1) / Block }
