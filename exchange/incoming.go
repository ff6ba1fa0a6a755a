package exchange

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"

	"github.com/libp2p/go-buffer-pool"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/shoal-p2p/shoal/exchange/pb"
)

type pendingKey struct {
	root  *Root
	piece int
}

// incoming is a piece on its way: the blocks come straight into data.
// Guarded by Session.mu, but data itself while busy belongs to the reader.
type incoming struct {
	data      []byte
	missing   uint32 // one bit a block; MaxLeaf is 32 blocks
	busy      bool   // the reader is filling data
	cancelled bool
}

func (in *incoming) cancel() {
	in.cancelled = true
	if !in.busy {
		Release(in.data)
		in.data = nil
	}
}

// Release gives the buffer of a Received event back.
func Release(b []byte) {
	if cap(b) > 0 {
		pool.Put(b)
	}
}

// Request asks s for blocks of a piece of size bytes. The blocks of one piece
// are asked in one or several requests; when all have come, the piece is
// delivered as Received. Runs of whole consecutive pieces go as one message.
func (r *Root) Request(s *Session, asks []Ask) {
	s.mu.Lock()
	m := s.members[r]
	if m == nil || m.ours == 0 || s.ended != nil {
		s.mu.Unlock()
		return // Gone is on its way to the owner
	}
	handle := m.ours
	for _, a := range asks {
		k := pendingKey{r, a.Piece}
		in := s.pending[k]
		if in == nil {
			in = &incoming{data: pool.Get(a.Size), missing: 1<<blocks(a.Size) - 1}
			s.pending[k] = in
		}
		s.credit += int64(min(a.Count*Block, a.Size-a.First*Block))
	}
	s.mu.Unlock()
	for len(asks) > 0 {
		q := &pb.Request{Handle: handle, Piece: uint32(asks[0].Piece), First: uint32(asks[0].First), Count: uint32(asks[0].Count)}
		n := 1
		for n < len(asks) && asks[n].follows(asks[n-1]) && q.Count+uint32(asks[n].Count) <= maxRequest {
			q.Count += uint32(asks[n].Count)
			n++
		}
		asks = asks[n:]
		s.post(&pb.Message{Body: &pb.Message_Request{Request: q}})
	}
}

// Ask is a run of blocks of a piece.
type Ask struct {
	Piece, First, Count int
	Size                int // bytes of the whole piece
}

func (a Ask) follows(b Ask) bool {
	return a.Piece == b.Piece+1 && a.First == 0 && b.First+b.Count == blocks(b.Size)
}

// Cancel takes back all that was asked of s for a piece.
func (r *Root) Cancel(s *Session, piece int) {
	if s.drop(r, piece) {
		if h := s.handleOf(r); h != 0 {
			s.post(&pb.Message{Body: &pb.Message_Cancel{Cancel: &pb.Cancel{Handle: h, Piece: uint32(piece)}}})
		}
	}
}

// Bad tells s that a piece of its did not verify.
func (r *Root) Bad(s *Session, piece int) {
	if h := s.handleOf(r); h != 0 {
		s.post(&pb.Message{Body: &pb.Message_Bad{Bad: &pb.Bad{Handle: h, Piece: uint32(piece)}}})
	}
}

// Ban ends the session with a peer that lied twice, and its connection.
func (s *Session) Ban(why error) {
	s.end(fmt.Errorf("banned: %w", why))
	s.x.host.Network().ClosePeer(s.Peer)
}

// drop forgets a pending piece and reports whether it was pending.
func (s *Session) drop(r *Root, piece int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.pending[pendingKey{r, piece}]
	if in == nil {
		return false
	}
	delete(s.pending, pendingKey{r, piece})
	in.cancel()
	return true
}

func (s *Session) dropAll(r *Root) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, in := range s.pending {
		if k.root == r {
			delete(s.pending, k)
			in.cancel()
		}
	}
}

// acceptData reads frames from a data stream of a peer that we asked for pieces.
func (x *Exchange) acceptData(st network.Stream) {
	s := x.session(st.Conn().RemotePeer())
	if s == nil || !x.spawn(func() { s.readData(st) }) {
		st.Reset()
	}
}

func (s *Session) readData(st network.Stream) {
	defer st.Reset()
	stop := make(chan struct{})
	defer close(stop)
	s.x.spawn(func() { // a blocked read ends with the session
		select {
		case <-s.done:
			st.Reset()
		case <-stop:
		}
	})
	r := bufio.NewReaderSize(st, 64) // headers only: bodies are read past it
	var head [frameHeader]byte
	st.SetReadDeadline(time.Now().Add(helloTimeout))
	if _, err := io.ReadFull(r, head[:8]); err != nil || binary.BigEndian.Uint64(head[:8]) != s.nonce {
		return
	}
	st.SetReadDeadline(time.Time{})
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		f, err := parseFrame(head[:])
		if err == nil {
			err = s.readFrame(r, f)
		}
		if err != nil {
			s.end(err)
			return
		}
	}
}

// readFrame reads the bytes of one frame into the piece that they belong to.
func (s *Session) readFrame(r io.Reader, f frame) error {
	s.mu.Lock()
	root := s.theirs[f.handle]
	key := pendingKey{root, int(f.piece)}
	in := s.pending[key]
	s.credit -= int64(f.length)
	if s.credit < 0 {
		s.mu.Unlock()
		return fmt.Errorf("%w: %v sends more than was asked", errProtocol, s.Peer)
	}
	bitsOf := (uint32(1)<<f.count - 1) << f.first
	if f.count == 32 {
		bitsOf = ^uint32(0)
	}
	from := int(f.first) * Block
	fits := in != nil && !in.busy && from+int(f.length) <= len(in.data) &&
		(from+int(f.length) == len(in.data) || f.length == uint32(f.count)*Block) && in.missing&bitsOf == bitsOf
	if fits {
		in.busy = true
	}
	s.mu.Unlock()
	s.received.Add(int64(f.length))
	s.x.server.onReceived(s, int(f.length))
	if !fits {
		if err := s.discard(r, int(f.length)); err != nil {
			return err
		}
		if root != nil {
			root.deliver(Wasted{From: s, Bytes: int(f.length)})
		}
		return nil
	}
	return s.fill(r, f, key, in, from)
}

// fill reads a frame in steps, so that the owner sees progress on slow paths.
func (s *Session) fill(r io.Reader, f frame, key pendingKey, in *incoming, from int) error {
	const step = 256 << 10 // four events a MiB keep the owner's inbox cheap on fast paths
	body := in.data[from : from+int(f.length)]
	block, told := int(f.first), time.Now()
	for at := 0; at < len(body); {
		n := min(len(body)-at, Block)
		if time.Since(told) < 20*time.Millisecond {
			n = min(len(body)-at, step)
		}
		if err := s.x.down.wait(s.x.ctx, s.Path(), n); err != nil {
			return err
		}
		_, err := io.ReadFull(r, body[at:at+n])
		if over := s.filled(key, in, block, blocks(n), err != nil || at+n == len(body)); err != nil || over {
			if err == nil {
				err = s.discard(r, len(body)-at-n)
			}
			return unexpectedEOF(err)
		}
		key.root.deliver(Arrived{From: s, Piece: key.piece, N: blocks(n)})
		at, block, told = at+n, block+blocks(n), time.Now()
	}
	s.complete(key, in)
	return nil
}

// filled notes blocks that came, and reports whether the piece was cancelled meanwhile.
func (s *Session) filled(key pendingKey, in *incoming, block, n int, last bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		in.missing &^= 1 << (block + i)
	}
	if last || in.cancelled {
		in.busy = false
	}
	if in.cancelled && in.data != nil {
		Release(in.data)
		in.data = nil
	}
	return in.cancelled
}

// complete delivers a piece of which every block has come.
func (s *Session) complete(key pendingKey, in *incoming) {
	s.mu.Lock()
	whole := bits.OnesCount32(in.missing) == 0 && s.pending[key] == in && !in.cancelled
	data := in.data
	if whole {
		delete(s.pending, key)
	}
	s.mu.Unlock()
	if whole {
		key.root.deliver(Received{From: s, Piece: key.piece, Data: data})
	}
}

func (s *Session) discard(r io.Reader, n int) error {
	if _, err := io.CopyN(io.Discard, r, int64(n)); err != nil && !errors.Is(err, network.ErrReset) {
		return unexpectedEOF(err)
	}
	return nil
}
