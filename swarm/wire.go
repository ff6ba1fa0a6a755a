package swarm

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/shoal-p2p/shoal/swarm/membership"
)

// Limits of the admission protocol; PROTOCOL.md gives the reasons.
const (
	maxHello = 8 + 32 + membership.MaxBytes
	maxFrame = 1 + membership.MaxList
)

// kind is the first byte of a message.
type kind byte

const (
	kindHello   kind = 1 // sequence and digest of the newest list, own chain
	kindList    kind = 2 // a list of revocations as membership encodes it
	kindWelcome kind = 3 // admitted; a new chain for the receiver, or nothing
	kindRefuse  kind = 4 // not admitted: one byte, the reason
)

// hello is what a peer shows first.
type hello struct {
	sequence uint64
	digest   [32]byte
	chain    membership.Chain
}

// newer reports whether the list that h tells of is newer than that of o.
func (h hello) newer(o hello) bool {
	return cmp.Or(cmp.Compare(h.sequence, o.sequence), bytes.Compare(h.digest[:], o.digest[:])) > 0
}

var errProtocol = errors.New("protocol violation")

// reasons are the codes of kindRefuse, in order from 1.
var reasons = []error{
	membership.ErrNone, membership.ErrMalformed, membership.ErrTooLarge, membership.ErrSwarm, membership.ErrPeer,
	membership.ErrChain, membership.ErrRole, membership.ErrExpired, membership.ErrNotYet, membership.ErrRevoked, ErrUsedUp,
}

// code is the number of err's reason; 0 for one that is not told.
func code(err error) byte {
	for i, r := range reasons {
		if errors.Is(err, r) {
			return byte(i + 1)
		}
	}
	return 0
}

func reasonOf(code byte) error {
	if code >= 1 && int(code) <= len(reasons) {
		return reasons[code-1]
	}
	return errors.New("no reason given")
}

// limit is the longest body of a kind.
func (k kind) limit() int {
	switch k {
	case kindHello, kindWelcome:
		return maxHello
	case kindList:
		return membership.MaxList
	case kindRefuse:
		return 1
	}
	return -1
}

// appendMessage appends a message: the length of what follows as unsigned
// varint, the kind, the body.
func appendMessage(b []byte, k kind, body []byte) []byte {
	b = binary.AppendUvarint(b, uint64(1+len(body)))
	return append(append(b, byte(k)), body...)
}

// readMessage reads a message of one of the kinds wanted. Memory grows with the
// bytes that come, not with the length that is said.
func readMessage(r *bufio.Reader, want ...kind) (kind, []byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, nil, err
	}
	if n < 1 || n > maxFrame {
		return 0, nil, fmt.Errorf("%w: message of %d bytes", errProtocol, n)
	}
	first, err := r.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	k, size := kind(first), int(n)-1
	if !bytes.ContainsRune(kinds(want), rune(first)) {
		return 0, nil, fmt.Errorf("%w: message of kind %d, want %v", errProtocol, first, want)
	}
	if size > k.limit() {
		return 0, nil, fmt.Errorf("%w: message of kind %d with %d bytes", errProtocol, first, size)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r, int64(size)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return k, body.Bytes(), nil
}

func kinds(want []kind) []byte {
	b := make([]byte, len(want))
	for i, k := range want {
		b[i] = byte(k)
	}
	return b
}

// appendHello appends a hello's body: sequence, digest, chain.
func appendHello(b []byte, h hello) []byte {
	b = binary.BigEndian.AppendUint64(b, h.sequence)
	return membership.AppendChain(append(b, h.digest[:]...), h.chain)
}

func parseHello(b []byte) (hello, error) {
	var h hello
	if len(b) < 40 {
		return h, fmt.Errorf("%w: hello of %d bytes", errProtocol, len(b))
	}
	h.sequence = binary.BigEndian.Uint64(b)
	copy(h.digest[:], b[8:])
	var err error
	if h.chain, err = membership.ParseChain(b[40:]); err != nil {
		return h, fmt.Errorf("%w: %w", errProtocol, err)
	}
	return h, nil
}
