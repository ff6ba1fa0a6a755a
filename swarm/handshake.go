package swarm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// begin opens the admission stream to a peer and goes through the handshake.
func (s *Swarm) begin(ctx context.Context, p peer.ID) error {
	ctx = network.WithAllowLimitedConn(network.WithNoDial(ctx, "admission"), "admission")
	st, err := s.inner.NewStream(ctx, p, s.protocol())
	if err != nil {
		err = fmt.Errorf("it does not speak the admission protocol of this swarm: %w", err)
		if !s.Admitted(p) {
			s.tried(p, err)
			_ = s.inner.Network().ClosePeer(p)
		}
		return err
	}
	return s.talk(ctx, st, true)
}

// answer takes an admission stream: a handshake, or a list that a member pushes.
func (s *Swarm) answer(st network.Stream) {
	p := st.Conn().RemotePeer()
	if !s.spawn(func() {
		defer s.exit(p)
		ctx, cancel := context.WithTimeout(s.ctx, admitTimeout)
		defer cancel()
		if err := s.talk(ctx, st, false); err != nil {
			s.log.Debug("not admitted", "peer", p, "err", err)
		}
	}) {
		s.exit(p)
		_ = st.Reset()
	}
}

// talk goes through a handshake and acts on its end. first is whether we opened
// the stream.
func (s *Swarm) talk(ctx context.Context, st network.Stream, first bool) error {
	p := st.Conn().RemotePeer()
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
	at, _ := ctx.Deadline()
	if err := st.SetDeadline(at); err != nil {
		return err
	}
	if err := st.Scope().ReserveMemory(maxFrame+maxHello, network.ReservationPriorityHigh); err != nil {
		_ = st.Reset()
		return err
	}
	v := &visit{s: s, p: p, st: st, r: bufio.NewReaderSize(st, 1<<10), first: first}
	err := v.run(ctx)
	switch refused := (*refusedError)(nil); {
	case err == nil:
		_ = st.Close() // all is said and heard
		return nil
	case errors.As(err, &refused):
		s.drop(p, err)
	default: // broken off: another connection may do better
		if !s.Admitted(p) {
			s.tried(p, err)
			_ = st.Conn().Close()
		}
	}
	_ = st.Reset()
	return err
}

// refusedError is a refusal by either side.
type refusedError struct {
	err  error
	them bool // they refused us
}

func (e *refusedError) Error() string {
	if e.them {
		return "it refuses this node: membership " + e.err.Error()
	}
	return "its membership: " + e.err.Error()
}

func (e *refusedError) Unwrap() error { return e.err }

// visit is one handshake.
type visit struct {
	s     *Swarm
	p     peer.ID
	st    network.Stream
	r     *bufio.Reader
	first bool
	mine  hello
	list  []byte // our list as mine tells of it
}

// run is the handshake: each shows itself, the dialler first; the newer list
// follows, then each says whether it admits the other. Who shows no membership
// is refused before that: it is shown nothing by whom it dialled, gets no list,
// and is not listened to.
func (v *visit) run(ctx context.Context) error {
	if v.first {
		if err := v.greet(); err != nil {
			return err
		}
	}
	other := kindList // from a member, instead of a handshake
	if v.first {
		other = kindRefuse
	}
	k, body, err := readMessage(v.r, kindHello, other)
	switch {
	case err != nil:
		return err
	case k == kindList:
		return v.pushed(ctx, body)
	case k == kindRefuse:
		return refusedBy(body)
	}
	theirs, err := parseHello(body)
	if err != nil {
		return err
	}
	if err := v.s.examine(v.p, theirs.chain); err != nil {
		return v.refuse(err)
	}
	if !v.first {
		if err := v.greet(); err != nil {
			return err
		}
	}
	has, err := v.lists(theirs)
	if err != nil {
		return err
	}
	if v.s.cfg.hold != nil {
		v.s.cfg.hold()
	}
	if err := v.verdict(theirs.chain, has); err != nil {
		return err
	}
	return v.heard()
}

// greet writes our hello.
func (v *visit) greet() error {
	s := v.s
	s.mu.Lock()
	v.mine = hello{s.reg.Sequence(), s.reg.Digest(), s.chain}
	v.list = s.reg.Raw()
	s.mu.Unlock()
	return v.write(kindHello, appendHello(nil, v.mine))
}

func (v *visit) write(k kind, body []byte) error {
	_, err := v.st.Write(appendMessage(nil, k, body))
	return err
}

// lists makes both sides know the newer list, or both lists when two have the
// same number. The side that opened the stream writes first, so that neither
// waits for the other to read. It returns what the peer has then: nothing, when
// it has a list whose signer is revoked by what we know. It gets ours once it is
// admitted.
func (v *visit) lists(theirs hello) (has hello, err error) {
	has = theirs
	send := theirs.sequence < v.mine.sequence
	take := theirs.sequence > v.mine.sequence
	if theirs.sequence == v.mine.sequence && theirs.digest != v.mine.digest {
		send, take = true, true
	}
	if send && (v.first || !take) {
		if err := v.write(kindList, v.list); err != nil {
			return has, err
		}
	}
	if take {
		k, b, err := readMessage(v.r, kindList, kindRefuse)
		if err != nil {
			return has, err
		}
		if k == kindRefuse {
			return has, refusedBy(b)
		}
		ignored, err := v.s.heed(b, v.p)
		if err != nil {
			return has, err
		}
		if ignored {
			has.sequence, has.digest = 0, [32]byte{}
		}
	}
	if send && take && !v.first {
		if err := v.write(kindList, v.list); err != nil {
			return has, err
		}
	}
	if send && v.mine.newer(has) {
		has.sequence, has.digest = v.mine.sequence, v.mine.digest
	}
	return has, nil
}

// verdict says whether we admit the peer, which has a list as has tells.
func (v *visit) verdict(chain membership.Chain, has hello) error {
	m, issued, err := v.s.judge(v.p, chain)
	if err != nil {
		return v.refuse(err)
	}
	if err := v.s.admit(v.p, m, has); err != nil {
		return v.refuse(err)
	}
	var body []byte
	if issued != nil {
		body = membership.AppendChain(nil, issued)
	}
	return v.write(kindWelcome, body)
}

// refuse tells the peer why it is not admitted, and lets that arrive before the
// connection ends. What the peer still says is not kept.
func (v *visit) refuse(why error) error {
	if err := v.write(kindRefuse, []byte{code(why)}); err == nil && v.st.CloseWrite() == nil {
		_ = v.st.SetReadDeadline(time.Now().Add(partTimeout))
		_, _ = io.CopyN(io.Discard, v.r, maxFrame+maxHello)
	}
	return &refusedError{err: why}
}

// refusedBy is the peer's refusal as an error.
func refusedBy(body []byte) error {
	if len(body) != 1 {
		return fmt.Errorf("%w: a refusal of %d bytes", errProtocol, len(body))
	}
	return &refusedError{err: reasonOf(body[0]), them: true}
}

// heard reads the peer's verdict.
func (v *visit) heard() error {
	k, body, err := readMessage(v.r, kindWelcome, kindRefuse)
	if err != nil {
		return err
	}
	if k == kindRefuse {
		return refusedBy(body)
	}
	if len(body) > 0 {
		if err := v.s.renewed(body); err != nil {
			v.s.log.Info("a new membership does not count", "peer", v.p, "err", err)
		}
	}
	v.s.accepted(v.p)
	v.s.spread() // a list that came meanwhile
	return nil
}

// pushed takes a list that a member sends unasked. It may overtake the last word
// of the handshake, which is on another stream.
func (v *visit) pushed(ctx context.Context, b []byte) error {
	if err := v.s.await(ctx, v.p); err != nil {
		return fmt.Errorf("%w: a list instead of a hello: %w", errProtocol, err)
	}
	ignored, err := v.s.heed(b, v.p)
	if ignored {
		v.s.mu.Lock()
		if c := v.s.peers[v.p]; c != nil {
			c.sequence, c.digest = 0, [32]byte{}
		}
		v.s.mu.Unlock()
		v.s.spread()
	}
	return err
}

// renewed takes a membership that an inviter made for us, if ours is provisional
// or due and the new one better: nobody may hang us on itself unasked.
func (s *Swarm) renewed(b []byte) error {
	chain, err := membership.ParseChain(b)
	if err != nil {
		return err
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.me.Provisional() && now.Before(s.me.RenewAt()) {
		return nil
	}
	m, err := membership.Check(now, s.id, s.self, chain, s.reg.Has)
	if err != nil {
		return err
	}
	same := bytes.Equal(membership.AppendChain(nil, s.chain), b)
	if same || m.Provisional() || !m.Roles.Has(s.me.Roles) || !(s.me.Provisional() || m.NotAfter.After(s.me.NotAfter)) {
		return nil
	}
	s.log.Info("membership countersigned", "swarm", s.name, "until", m.NotAfter.Format(time.DateOnly))
	s.chain, s.spare, s.me = chain, s.chain, m
	s.saved()
	for p, c := range s.peers { // they know the provisional one, which ends with its invite
		if c.in && c.welcomed {
			s.launch(func() { s.again(p) })
		}
	}
	return nil
}
