package reach

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/reach/plan"
)

// search meets a peer whose router, or ours, gives each conversation another port
// while the other's lets in only what was spoken to by port. Whose ports change
// opens many sockets towards the other, who sends to many ports; a probe that
// meets a socket's port has found a way in, and the socket dials by it.
func (r *Reach) search(ctx context.Context, p peer.ID, mine, theirs message, ours bool) error {
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	to, ok := udp4(theirs.addrs)
	if !ok || len(mine.nonce) == 0 || len(theirs.nonce) == 0 {
		return errors.New("no UDP address to search at")
	}
	if ours {
		return r.openMany(ctx, p, to, theirs.nonce)
	}
	return r.probeMany(ctx, to.Addr(), mine.nonce)
}

// udp4 is the first IPv4 address for QUIC.
func udp4(addrs []ma.Multiaddr) (netip.AddrPort, bool) {
	for _, a := range addrs {
		if at, t, ok := endpoint(a); ok && t == plan.UDP && at.Addr().Is4() && at.Addr().IsGlobalUnicast() && !at.Addr().IsPrivate() {
			return at, true
		}
	}
	return netip.AddrPort{}, false
}

// probeMany sends to random ports of ip, each once, until the peer has come in.
func (r *Reach) probeMany(ctx context.Context, ip netip.Addr, nonce []byte) error {
	if err := pause(ctx, 100*time.Millisecond); err != nil { // the sockets open first
		return err
	}
	const batch = 5
	tick := time.NewTicker(time.Second * batch / plan.ProbeRate)
	defer tick.Stop()
	ports := rand.Perm(1<<16 - 1024)
	for i := range plan.Probes {
		to := &net.UDPAddr{IP: ip.AsSlice(), Port: 1024 + ports[i]}
		if err := r.quic.send(to, nonce); err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		if i%batch != batch-1 {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	<-ctx.Done() // the last probe may be on its way
	return ctx.Err()
}

// openMany opens sockets towards the peer, and dials by the one that is found.
func (r *Reach) openMany(ctx context.Context, p peer.ID, to netip.AddrPort, nonce []byte) error {
	found := make(chan net.PacketConn)
	var wg sync.WaitGroup
	defer wg.Wait()
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	for range plan.Sockets {
		c, err := net.ListenUDP("udp4", nil)
		if err != nil {
			break // as many as this system gives
		}
		_, _ = c.WriteToUDPAddrPort(nonce[:1], to)
		wg.Go(func() {
			defer context.AfterFunc(stop, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })()
			if !hears(c, to, nonce) {
				_ = c.Close()
				return
			}
			select {
			case found <- c:
			case <-stop.Done():
				_ = c.Close()
			}
		})
	}
	select {
	case c := <-found:
		cancel()
		_ = c.SetReadDeadline(time.Time{})
		at := quicAddr(to)
		r.quic.use(at, c)
		r.log.Debug("found a port", "peer", p, "local", c.LocalAddr())
		return r.dial(ctx, p, []ma.Multiaddr{at}, true, searchTime)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hears waits for a probe, until the socket's deadline.
func hears(c *net.UDPConn, from netip.AddrPort, nonce []byte) bool {
	buf := make([]byte, 64)
	for {
		n, at, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return false
		}
		if netip.AddrPortFrom(at.Addr().Unmap(), at.Port()) == from && bytes.Equal(buf[:n], nonce) {
			return true
		}
	}
}
