package reach

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"
	"github.com/shoal-p2p/shoal/internal/route"
	"github.com/shoal-p2p/shoal/reach/plan"
)

// Two nodes that are connected over a relay meet like this. The caller, who made
// that connection, opens a stream over it and writes its offer; the called
// answers with its own. Both now know all addresses and how both sides' routers
// map. The caller writes that an attempt begins and waits half a round trip, so
// that both dial at the same moment. If they have not met when its time is over,
// the next attempt begins. The stream's end is the end of it.

const (
	offerTimeout = 10 * time.Second
	meetTimeout  = 40 * time.Second
	searchTime   = 11 * time.Second
	lastGrace    = 3 * time.Second
	retrySoon    = 300 * time.Millisecond
	retriesSoon  = 5
	retryFirst   = 30 * time.Second // until a pair that did not meet tries again
	retryMax     = 10 * time.Minute
)

// meet brings about a direct connection to p, which is connected over a relay.
func (r *Reach) meet(p peer.ID) {
	ctx, cancel := context.WithTimeout(r.ctx, meetTimeout)
	defer cancel()
	stop := r.untilDirect(p, cancel)
	defer stop()
	err := r.call(ctx, p)
	met := direct(r.inner.Network().ConnsToPeer(p)) != nil
	r.log.Debug("tried to meet", "peer", p, "met", met, "err", err)
	r.over(p, met, true)
}

func (r *Reach) call(ctx context.Context, p peer.ID) error {
	short, cancel := context.WithTimeout(ctx, offerTimeout)
	defer cancel()
	st, talk, err := r.begin(short, p)
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	defer st.Close()
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
	mine := r.offer()
	_ = st.SetDeadline(time.Now().Add(offerTimeout))
	from := time.Now()
	if err := write(talk, mine); err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	in := bufio.NewReaderSize(talk, maxMessage)
	theirs, err := read(in)
	if err != nil {
		return fmt.Errorf("their offer: %w", err)
	}
	rtt := time.Since(from)
	_ = st.SetDeadline(time.Time{})
	r.log.Debug("meet", "peer", p, "mine", mine.side, "theirs", theirs.side, "rtt", rtt, "to", theirs.addrs)
	search, callers := plan.Search(mine.side, theirs.side)
	attempts := plan.Attempts
	if search {
		attempts = 1 // is enough where it is a matter of filters
	}
	for i := range attempts {
		m := message{try: uint64(i) + 1, client: plan.CallerIsClient(mine.side, theirs.side, i)}
		if i == 0 && neighbours(mine.outside, theirs.outside) {
			m.addrs = r.near()
		}
		if err := write(talk, m); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		if pause(ctx, rtt/2) != nil {
			return ctx.Err()
		}
		patience := plan.Patience(i, rtt)
		if search {
			patience = min(patience, time.Second+4*rtt)
		}
		if r.dial(ctx, p, theirs.addrs, m.client, patience) == nil {
			return nil
		}
	}
	if !search || ctx.Err() != nil {
		return ctx.Err()
	}
	if err := write(talk, message{try: uint64(attempts) + 1, search: true}); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return r.search(ctx, p, mine, theirs, callers)
}

// begin opens the stream on which two nodes meet, and gives what is written to and
// read from it. libp2p's host would wait until the peer is identified, a round trip
// for nothing: whoever does not speak the protocol ends the stream. Members wait,
// since nothing is said to a peer before it is admitted.
func (r *Reach) begin(ctx context.Context, p peer.ID) (network.Stream, io.ReadWriter, error) {
	ctx = network.WithAllowLimitedConn(network.WithNoDial(ctx, "meet"), "meet")
	if r.host != r.inner {
		st, err := r.host.NewStream(ctx, p, r.id("punch"))
		return st, st, err
	}
	st, err := r.inner.Network().NewStream(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	if err := st.SetProtocol(r.id("punch")); err != nil {
		_ = st.Reset()
		return nil, nil, err
	}
	return st, multistream.NewMSSelect(st, r.id("punch")), nil
}

// answerPunch is the called's part.
func (r *Reach) answerPunch(st network.Stream) {
	p := st.Conn().RemotePeer()
	if !r.under(p) {
		_ = st.Reset()
		return
	}
	r.spawn(func() {
		ctx, cancel := context.WithTimeout(r.ctx, meetTimeout)
		defer cancel()
		stop := r.untilDirect(p, cancel)
		defer stop()
		defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
		err := r.listen(ctx, st, p)
		_ = st.Close()
		met := direct(r.inner.Network().ConnsToPeer(p)) != nil
		r.log.Debug("was asked to meet", "peer", p, "met", met, "err", err)
		r.over(p, met, false)
	})
}

func (r *Reach) listen(ctx context.Context, st network.Stream, p peer.ID) error {
	in := bufio.NewReaderSize(st, maxMessage)
	_ = st.SetDeadline(time.Now().Add(offerTimeout))
	theirs, err := read(in)
	if err != nil {
		return err
	}
	mine := r.offer()
	if neighbours(mine.outside, theirs.outside) {
		mine.addrs = append(r.near(), mine.addrs...)
	}
	if err := write(st, mine); err != nil {
		return err
	}
	_ = st.SetDeadline(time.Time{})
	end, done := func() {}, make(chan struct{})
	close(done)
	defer func() { end() }()
	for {
		m, err := read(in)
		if err != nil {
			// The caller may be through with a handshake that is not over here.
			select {
			case <-done:
			case <-time.After(lastGrace):
			case <-ctx.Done():
			}
			return err
		}
		end() // of the attempt before
		theirs.addrs = append(m.addrs, theirs.addrs...)
		try, cancel := context.WithCancel(ctx)
		over := make(chan struct{})
		done, end = over, func() { cancel(); <-over }
		r.spawnOr(over, func() {
			if m.search {
				_, callers := plan.Search(theirs.side, mine.side)
				_ = r.search(try, p, mine, theirs, !callers)
			} else {
				_ = r.dial(try, p, theirs.addrs, !m.client, searchTime)
			}
		})
	}
}

// spawnOr runs f in a goroutine and closes done at its end, or at once if Reach
// is closing.
func (r *Reach) spawnOr(done chan struct{}, f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		close(done)
		return
	}
	r.wg.Go(func() { defer close(done); f() })
}

// dial dials p at addresses at the moment that p does the same. Client says who
// is the client of a TCP connection that both begin.
func (r *Reach) dial(ctx context.Context, p peer.ID, addrs []ma.Multiaddr, client bool, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r.inner.Peerstore().AddAddrs(p, dialable(addrs), peerstore.TempAddrTTL)
	ctx = network.WithForceDirectDial(network.WithSimultaneousConnect(ctx, client, "meet"), "meet")
	_, err := r.inner.Network().DialPeer(ctx, p)
	return err
}

// dialable leaves out what a stranger should not have us dial: relays, and this
// machine itself.
func dialable(addrs []ma.Multiaddr) []ma.Multiaddr {
	return ma.FilterAddrs(addrs, func(a ma.Multiaddr) bool {
		at, _, ok := endpoint(a)
		return ok && !route.Circuit(a) && !at.Addr().IsLoopback() && !at.Addr().IsUnspecified() && !at.Addr().IsMulticast() && !at.Addr().IsLinkLocalUnicast()
	})
}

// offer is what this node says of itself to one that it wants to meet.
func (r *Reach) offer() message {
	m := message{nonce: make([]byte, nonceSize)}
	_, _ = rand.Read(m.nonce) // never fails
	tcp, udp := r.ports(plan.TCP), r.ports(plan.UDP)
	r.mu.Lock()
	m.side = plan.Side{UDP: r.book.Mapping(plan.UDP), TCP: r.book.Mapping(plan.TCP), Hard: r.cfg.Hard}
	m.outside = r.book.Outside()
	var at []ma.Multiaddr
	for _, port := range udp {
		for _, a := range r.book.Offer(plan.UDP, port) {
			at = append(at, quicAddr(a))
		}
	}
	for _, port := range tcp {
		for _, a := range r.book.Offer(plan.TCP, port) {
			at = append(at, tcpAddr(a))
		}
	}
	r.mu.Unlock()
	if all, ok := r.inner.(interface{ AllAddrs() []ma.Multiaddr }); ok {
		at = append(at, slices.DeleteFunc(all.AllAddrs(), func(a ma.Multiaddr) bool { return !manet.IsPublicAddr(a) })...)
	}
	m.addrs = ma.Unique(at)
	m.addrs = m.addrs[:min(len(m.addrs), maxAddrs/2)]
	return m
}

// near are the addresses of this node on its own network, for those behind the
// same router only.
func (r *Reach) near() []ma.Multiaddr {
	listening, err := r.inner.Network().InterfaceListenAddresses()
	if err != nil {
		return nil
	}
	out := ma.FilterAddrs(listening, func(a ma.Multiaddr) bool {
		at, _, ok := endpoint(a)
		return ok && !manet.IsPublicAddr(a) && !at.Addr().IsLoopback()
	})
	return out[:min(len(out), maxAddrs/2)]
}

// neighbours reports whether two nodes were seen at the same address.
func neighbours(a, b []netip.Addr) bool {
	return slices.ContainsFunc(a, func(x netip.Addr) bool { return slices.Contains(b, x) })
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
