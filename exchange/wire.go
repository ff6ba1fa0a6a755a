package exchange

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Limits of the protocol; PROTOCOL.md gives the reason of each.
const (
	Block      = 64 << 10                           // bytes of a block, the unit of request
	maxBlocks  = merkle.MaxLeaf / Block             // blocks of a piece
	maxHello   = 1 << 10                            // bytes of the first message
	maxMessage = 512 << 10                          // bytes of any other message
	maxReply   = maxTree + merkle.MaxBlock + 64<<10 // bytes of a message while a tree is asked for
	maxFields  = maxRuns + 64                       // fields in a message, so that small ones do not grow large in memory
	maxPartial = 64                                 // pieces that are coming, in one message
	maxRuns    = 1 << 16                            // numbers in a run list
	maxTree    = 1 << 20                            // bytes of blocks in a tree reply, passed by the last block at most
	maxNodes   = 1 << 13                            // blocks in a tree reply
	maxRequest = 1 << 9                             // blocks of a request: 32 MiB
	maxQueued  = 1 << 12                            // requests of a peer that wait to be served
	maxHandles = 1 << 10                            // roots open between two peers
	maxPeers   = 50                                 // records in a Peers message
	maxRecord  = 2 << 10                            // bytes of each
	maxAgent   = 128                                // bytes of Hello.agent
	maxCID     = 192                                // bytes of a binary CID: merkle.MaxIdentity and what stands before it
	maxBad     = 16                                 // Bad messages of a session
)

var errProtocol = errors.New("protocol violation")

// Protocols names the two stream protocols of a swarm. prefix is "/shoal", or
// "/shoal/<swarm-id>" in a private one.
func protocols(prefix string) (control, data protocol.ID) {
	return protocol.ID(prefix + "/exchange/1.0.0"), protocol.ID(prefix + "/pieces/1.0.0")
}

// appendMessage appends m with its length before it.
func appendMessage(b []byte, m *pb.Message) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(proto.Size(m)))
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, m)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return b, nil
}

// writeMessage writes one length-delimited message.
func writeMessage(w io.Writer, m *pb.Message) error {
	b, err := appendMessage(make([]byte, 0, 64), m)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// readMessage reads one length-delimited message of at most limit() bytes;
// limit is asked when the length is there. buf is scratch space that grows to
// what messages need.
func readMessage(r *bufio.Reader, buf *[]byte, limit func() int) (*pb.Message, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	if n > uint64(limit()) {
		return nil, fmt.Errorf("%w: message of %d bytes", errProtocol, n)
	}
	if err := readGrowing(r, buf, int(n)); err != nil {
		return nil, err
	}
	return parseMessage(*buf)
}

// parseMessage decodes a message of a stranger.
func parseMessage(b []byte) (*pb.Message, error) {
	if n := countFields(b); n > maxFields {
		return nil, fmt.Errorf("%w: message of more than %d fields", errProtocol, maxFields)
	}
	m := new(pb.Message)
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%w: %w", errProtocol, err)
	}
	return m, nil
}

// castCID reads a binary CID of a stranger.
func castCID(b []byte) (cid.Cid, error) {
	if len(b) > maxCID {
		return cid.Undef, fmt.Errorf("%w: CID of %d bytes", errProtocol, len(b))
	}
	c, err := cid.Cast(b)
	if err != nil {
		return cid.Undef, fmt.Errorf("%w: %w", errProtocol, err)
	}
	return c, nil
}

// countFields counts the fields of a message and of the messages in it, before
// any is decoded: an empty one takes two bytes on the wire and some 50 in
// memory. Bytes that do not parse count as nothing; decoding refuses them.
func countFields(b []byte) int {
	total := 0
	for len(b) > 0 {
		_, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return total
		}
		body := b[n:]
		size := protowire.ConsumeFieldValue(1, kind, body)
		if size < 0 {
			return total
		}
		total++
		if inner, k := protowire.ConsumeBytes(body); kind == protowire.BytesType && k > 0 {
			total += countFlat(inner)
		}
		b = body[size:]
	}
	return total
}

// countFlat counts the fields of b, which need not be a message, without what is in them.
func countFlat(b []byte) (total int) {
	for len(b) > 0 {
		_, _, n := protowire.ConsumeField(b)
		if n < 0 {
			break
		}
		total++
		b = b[n:]
	}
	return total
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
