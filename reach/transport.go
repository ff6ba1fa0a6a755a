package reach

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/transport"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/tcpreuse"
	ma "github.com/multiformats/go-multiaddr"
	quicgo "github.com/quic-go/quic-go"
)

// transports are libp2p's TCP and QUIC, which dial as two nodes do that meet, and
// WebSocket.
func (r *Reach) transports() []libp2p.Option {
	return []libp2p.Option{
		libp2p.Transport(func(up transport.Upgrader, limits network.ResourceManager, shared *tcpreuse.ConnMgr) (transport.Transport, error) {
			t, err := tcp.NewTCPTransport(up, limits, shared)
			return &tcpDialer{t}, err
		}),
		libp2p.Transport(func(key crypto.PrivKey, conns *quicreuse.ConnManager, psk pnet.PSK, gate connmgr.ConnectionGater, limits network.ResourceManager) (transport.Transport, error) {
			t, err := quic.NewTransport(key, conns, psk, gate, limits)
			r.quic.Transport, r.quic.conns = t, conns
			r.quic.over = func(c net.PacketConn) (transport.Transport, error) { return overSocket(c, key, gate, limits) }
			return r.quic, err
		}),
		r.webSocket(),
	}
}

// headStart is how much later than the client the server of a simultaneous
// connect sends its SYN: a SYN of the client that gets through is then accepted
// by the listener, which is a server as well, and not met by one that is not.
const headStart = 60 * time.Millisecond

// tcpDialer gives the client of a simultaneous connect its head start.
type tcpDialer struct{ *tcp.TcpTransport }

// Dial implements transport.Transport.
func (t *tcpDialer) Dial(ctx context.Context, to ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	return t.DialWithUpdates(ctx, to, p, nil)
}

// DialWithUpdates implements transport.DialUpdater.
func (t *tcpDialer) DialWithUpdates(ctx context.Context, to ma.Multiaddr, p peer.ID, up chan<- transport.DialUpdate) (transport.CapableConn, error) {
	if meet, client, _ := network.GetSimultaneousConnect(ctx); meet && !client {
		select {
		case <-time.After(headStart):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return t.TcpTransport.DialWithUpdates(ctx, to, p, up)
}

// quicDialer dials as a client always: of two nodes that both dial, whichever
// packet gets through makes a connection, so that nobody needs to know whose
// will. It also dials from a socket that was found to get through.
type quicDialer struct {
	transport.Transport
	conns *quicreuse.ConnManager
	over  func(net.PacketConn) (transport.Transport, error) // QUIC over one more socket

	mu    sync.Mutex
	found map[string]net.PacketConn // by the address to be dialled from it
}

func newQUICDialer() *quicDialer { return &quicDialer{found: map[string]net.PacketConn{}} }

// Dial implements transport.Transport.
func (q *quicDialer) Dial(ctx context.Context, to ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	q.mu.Lock()
	socket := q.found[to.String()]
	delete(q.found, to.String())
	q.mu.Unlock()
	t := q.Transport
	if socket != nil {
		var err error
		if t, err = q.over(socket); err != nil {
			return nil, err
		}
	}
	c, err := t.Dial(plainContext{ctx}, to, p)
	if err != nil && socket != nil {
		_ = socket.Close()
	}
	return c, err
}

// use has the next dial to an address go out by a socket, which becomes the
// connection's.
func (q *quicDialer) use(to ma.Multiaddr, socket net.PacketConn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.found[to.String()] = socket
}

// send sends a datagram from the socket that QUIC dials an address with.
func (q *quicDialer) send(to *net.UDPAddr, b []byte) error {
	network := "udp4"
	if to.IP.To4() == nil {
		network = "udp6"
	}
	if q.conns == nil {
		return errors.New("no QUIC here")
	}
	t, err := q.conns.TransportWithAssociationForDial(q.Transport, network, to)
	if err != nil {
		return err
	}
	defer t.DecreaseCount()
	_, err = t.WriteTo(b, to)
	return err
}

// Close implements io.Closer.
func (q *quicDialer) Close() error {
	if c, ok := q.Transport.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// ListenOrder is asked for by the swarm.
func (q *quicDialer) ListenOrder() int { return quic.ListenOrder }

// plainContext hides what a context says of a simultaneous connect.
type plainContext struct{ context.Context }

func (plainContext) Value(any) any { return nil }

// overSocket is QUIC over one more socket, which its one connection closes.
func overSocket(c net.PacketConn, key crypto.PrivKey, gate connmgr.ConnectionGater, limits network.ResourceManager) (transport.Transport, error) {
	conns, err := quicreuse.NewConnManager(quicgo.StatelessResetKey{}, quicgo.TokenGeneratorKey{}, quicreuse.DisableReuseport(),
		quicreuse.OverrideListenUDP(func(string, *net.UDPAddr) (net.PacketConn, error) { return c, nil }))
	if err != nil {
		return nil, err
	}
	return quic.NewTransport(key, conns, nil, gate, limits)
}

// stranger is QUIC over a socket for a node that nobody knows.
func stranger(c net.PacketConn) (transport.Transport, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	return overSocket(c, key, nil, nil)
}
