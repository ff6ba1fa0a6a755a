package dht

import (
	"context"
	"errors"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// ErrNoPeers says that there is nobody to ask yet: the routing table is empty.
var ErrNoPeers = errors.New("no peers in the routing table")

// Router stores and finds provider records.
type Router interface {
	// Provide announces that this node has c. ErrNoPeers when nobody could be told.
	Provide(ctx context.Context, c cid.Cid) error
	// Find sends providers of c, this node left out, each once, until ctx ends,
	// limit are found (0: no limit) or the lookup is exhausted; then it closes
	// the channel. The caller must drain it or end ctx.
	Find(ctx context.Context, c cid.Cid, limit int) <-chan peer.AddrInfo
	// Size is the number of peers in the routing table.
	Size() int
	// Mode is "server" or "client".
	Mode() string
	Close() error
}
