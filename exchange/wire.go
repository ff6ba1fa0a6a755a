package exchange

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
	"google.golang.org/protobuf/proto"
)

// Limits of the protocol; PROTOCOL.md gives the reason of each.
const (
	Block       = 64 << 10               // bytes of a block, the unit of request
	maxBlocks   = merkle.MaxLeaf / Block // blocks of a piece
	maxMessage  = 4<<20 + 64<<10         // bytes of a control message
	maxRuns     = 1 << 16                // numbers in a run list
	maxTree     = 1 << 20                // bytes of blocks in a tree reply, passed by the last block at most
	maxRequest  = 1 << 9                 // blocks of a request: 32 MiB
	maxQueued   = 1 << 12                // requests of a peer that wait to be served
	maxHandles  = 1 << 10                // roots open between two peers
	maxPeers    = 50                     // records in a Peers message
	maxAgent    = 128                    // bytes of Hello.agent
	frameHeader = 16
)

var errProtocol = errors.New("protocol violation")

// Protocols names the two stream protocols of a swarm. prefix is "/shoal", or
// "/shoal/<swarm-id>" in a private one.
func protocols(prefix string) (control, data protocol.ID) {
	return protocol.ID(prefix + "/exchange/1.0.0"), protocol.ID(prefix + "/pieces/1.0.0")
}

// writeMessage writes one length-delimited message.
func writeMessage(w io.Writer, m *pb.Message) error {
	b := binary.AppendUvarint(make([]byte, 0, 64), uint64(proto.Size(m)))
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, m)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	_, err = w.Write(b)
	return err
}

// readMessage reads one length-delimited message of at most maxMessage bytes.
// buf is scratch space that grows to what messages need.
func readMessage(r *bufio.Reader, buf *[]byte) (*pb.Message, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	if n > maxMessage {
		return nil, fmt.Errorf("%w: message of %d bytes", errProtocol, n)
	}
	if err := readGrowing(r, buf, int(n)); err != nil {
		return nil, err
	}
	m := new(pb.Message)
	if err := proto.Unmarshal(*buf, m); err != nil {
		return nil, fmt.Errorf("%w: %w", errProtocol, err)
	}
	return m, nil
}

// readGrowing fills buf with n bytes, growing it only as they arrive so that a
// length alone costs no memory.
func readGrowing(r io.Reader, buf *[]byte, n int) error {
	const step = 64 << 10
	*buf = (*buf)[:0]
	for len(*buf) < n {
		from := len(*buf)
		to := min(n, from+max(step, from))
		if cap(*buf) < to {
			grown := make([]byte, from, to)
			copy(grown, *buf)
			*buf = grown
		}
		*buf = (*buf)[:to]
		if _, err := io.ReadFull(r, (*buf)[from:to]); err != nil {
			return unexpectedEOF(err)
		}
	}
	return nil
}

func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

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
	case f.length == 0 || f.length > uint32(f.count)*Block || f.length <= uint32(f.count-1)*Block:
		return frame{}, fmt.Errorf("%w: %d bytes in %d blocks", errProtocol, f.length, f.count)
	case f.piece >= merkle.MaxPieces:
		return frame{}, fmt.Errorf("%w: piece %d", errProtocol, f.piece)
	}
	return f, nil
}

// blocks is the number of blocks of a piece of size bytes.
func blocks(size int) int { return (size + Block - 1) / Block }
