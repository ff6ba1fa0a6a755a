package node

import (
	"net"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/shoal-p2p/shoal/probe"
	"go.uber.org/fx"
)

// withSockets lets the node have libp2p's UDP sockets beside QUIC.
func (n *Node) withSockets() libp2p.Option { return libp2p.WithFxOption(fx.Populate(&n.udp)) }

// serveProbes answers peers that ask what this node sees of them.
func (n *Node) serveProbes() error {
	var err error
	n.probes, err = probe.Serve(n.host, probe.Config{
		Prefix: n.prefix(), Sockets: quicSockets(n.udp, n.host.Network().ListenAddresses()), Log: n.log,
		Open: func() bool { return n.reach.State().Reachability == "public" },
	})
	return err
}

// quicSockets are those on which the host listens for QUIC by IPv4.
func quicSockets(udp *quicreuse.ConnManager, listen []ma.Multiaddr) []net.PacketConn {
	var out []net.PacketConn
	for _, a := range listen {
		if _, err := a.ValueForProtocol(ma.P_QUIC_V1); err != nil {
			continue
		}
		network, hostPort, err := manet.DialArgs(a)
		if err != nil || network != "udp4" {
			continue
		}
		at, err := net.ResolveUDPAddr(network, hostPort)
		if err != nil {
			continue
		}
		if c, err := udp.SharedNonQUICPacketConn(network, at); err == nil { // else a transport that shares nothing
			out = append(out, c)
		}
	}
	return out
}
