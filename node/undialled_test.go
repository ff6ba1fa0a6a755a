package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	p2pswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

func TestUndialled(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp4", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	at := func(addr string, err error) p2pswarm.TransportError {
		return p2pswarm.TransportError{Address: ma.StringCast(addr), Cause: err}
	}
	tcp, quic := "/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/udp/4001/quic-v1"
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("no addresses"), "no addresses"},
		{&p2pswarm.DialError{Peer: peer.ID("p"), Cause: p2pswarm.ErrNoAddresses}, "failed to dial 2w: no addresses"},
		{&p2pswarm.DialError{DialErrors: []p2pswarm.TransportError{at(tcp, refused)}}, "its address fails: connection refused"},
		{
			fmt.Errorf("dial: %w", &p2pswarm.DialError{Cause: p2pswarm.ErrAllDialsFailed, DialErrors: []p2pswarm.TransportError{
				at(tcp, refused), at(quic, errors.New("timeout: no recent network activity")), at(tcp, refused),
			}, Skipped: 2}),
			"all 5 addresses fail: connection refused, timeout: no recent network activity",
		},
	} {
		if got := undialled(c.err); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
}
