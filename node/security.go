package node

import (
	"context"
	"net"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

// security is libp2p's TLS over connections that are read by whole records.
type security struct{ *tls.Transport }

func newSecurity(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (*security, error) {
	t, err := tls.New(id, key, muxers)
	return &security{t}, err
}

func (s *security) SecureInbound(ctx context.Context, c net.Conn, p peer.ID) (sec.SecureConn, error) {
	return s.Transport.SecureInbound(ctx, byRecord(c), p)
}

func (s *security) SecureOutbound(ctx context.Context, c net.Conn, p peer.ID) (sec.SecureConn, error) {
	return s.Transport.SecureOutbound(ctx, byRecord(c), p)
}
