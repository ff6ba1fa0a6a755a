package reach

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/shoal-p2p/shoal/internal/route"
	"github.com/shoal-p2p/shoal/reach/plan"
)

// A node asks for its ports to be dialled: a byte, their number, and for each a
// byte, 1 for TCP or 2 for QUIC, and the port. The answer is a byte for each, 1 if
// it was reached. Only the address that the question came from is dialled.

const (
	maxPorts    = 8
	backTimeout = 6 * time.Second
	backDial    = 2 * time.Second
	backEvery   = 5 * time.Second // of one peer
	maxBacks    = 8               // at once
)

// backs are the dial-backs that others asked for.
type backs struct {
	mu   sync.Mutex
	now  int
	last map[peer.ID]time.Time
}

// enter counts a dial-back for p, unless there are too many.
func (b *backs) enter(now time.Time, p peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for o, at := range b.last {
		if now.Sub(at) >= backEvery {
			delete(b.last, o)
		}
	}
	if _, recent := b.last[p]; recent || b.now >= maxBacks || len(b.last) >= 1024 {
		return false
	}
	b.last[p] = now
	b.now++
	return true
}

func (b *backs) exit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now--
}

// askDialBack has p dial the ports of this node; it reports whether one was reached.
func (r *Reach) askDialBack(ctx context.Context, p peer.ID) (bool, error) {
	st, err := r.host.NewStream(network.WithNoDial(ctx, "dial back"), p, r.id("dialback"))
	if err != nil {
		return false, err
	}
	defer st.Close()
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
	q := []byte{0}
	for _, t := range []plan.Transport{plan.TCP, plan.UDP} {
		for _, port := range append(r.ports(t), r.mappedPorts(t)...) {
			if q[0] < maxPorts {
				q = binary.BigEndian.AppendUint16(append(q, byte(t)), port)
				q[0]++
			}
		}
	}
	if _, err := st.Write(q); err != nil {
		return false, err
	}
	if err := st.CloseWrite(); err != nil {
		return false, err
	}
	answer := make([]byte, q[0])
	if _, err := io.ReadFull(st, answer); err != nil {
		return false, err
	}
	for _, b := range answer {
		if b == 1 {
			return true, nil
		}
	}
	return false, nil
}

// mappedPorts are ports that a router forwards to this node.
func (r *Reach) mappedPorts(t plan.Transport) []uint16 {
	all, ok := r.inner.(interface{ AllAddrs() []ma.Multiaddr })
	if !ok {
		return nil
	}
	var out []uint16
	for _, a := range all.AllAddrs() {
		if at, tt, ok := endpoint(a); ok && tt == t && manet.IsPublicAddr(a) && !r.listens(t, at.Port()) {
			out = append(out, at.Port())
		}
	}
	return out
}

// answerDialBack dials back who asks.
func (r *Reach) answerDialBack(st network.Stream) {
	p := st.Conn().RemotePeer()
	at, _, ok := endpoint(st.Conn().RemoteMultiaddr())
	if !ok || route.Relayed(st.Conn()) || !r.backs.enter(time.Now(), p) {
		_ = st.Reset()
		return
	}
	r.spawn(func() {
		defer r.backs.exit()
		ctx, cancel := context.WithTimeout(r.ctx, backTimeout)
		defer cancel()
		defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
		if err := r.dialBack(ctx, st, at.Addr(), p); err != nil {
			_ = st.Reset()
			return
		}
		_ = st.Close()
	})
}

func (r *Reach) dialBack(ctx context.Context, st io.ReadWriter, ip netip.Addr, p peer.ID) error {
	var n [1]byte
	if _, err := io.ReadFull(st, n[:]); err != nil {
		return err
	}
	if n[0] == 0 || n[0] > maxPorts {
		return errors.New("asks for no ports, or too many")
	}
	q := make([]byte, 3*int(n[0]))
	if _, err := io.ReadFull(st, q); err != nil {
		return err
	}
	answer := make([]byte, n[0])
	var wg sync.WaitGroup
	for i := range answer {
		to := netip.AddrPortFrom(ip, binary.BigEndian.Uint16(q[3*i+1:]))
		t := plan.Transport(q[3*i])
		wg.Go(func() {
			if r.reachable(ctx, t, to, p) {
				answer[i] = 1
			}
		})
	}
	wg.Wait()
	_, err := st.Write(answer)
	return err
}

// reachable dials from a fresh port.
func (r *Reach) reachable(ctx context.Context, t plan.Transport, to netip.AddrPort, p peer.ID) bool {
	ctx, cancel := context.WithTimeout(ctx, backDial)
	defer cancel()
	if t == plan.TCP {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", to.String())
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	if r.quic.over == nil {
		return false
	}
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return false
	}
	defer socket.Close()
	fresh, err := stranger(socket)
	if err != nil {
		return false
	}
	c, err := fresh.Dial(ctx, quicAddr(to), p)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func quicAddr(at netip.AddrPort) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("%s/udp/%d/quic-v1", ipAddr(at.Addr()), at.Port()))
}

func tcpAddr(at netip.AddrPort) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("%s/tcp/%d", ipAddr(at.Addr()), at.Port()))
}

func ipAddr(ip netip.Addr) string {
	if ip.Is4() {
		return "/ip4/" + ip.String()
	}
	return "/ip6/" + ip.String()
}
