package dht

import (
	"context"
	"errors"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	mh "github.com/multiformats/go-multihash"
)

// ErrNoPeers says that there is nobody to ask yet: the routing table is empty.
var ErrNoPeers = errors.New("no peers in the routing table")

// Modes that Router.Mode returns.
const (
	ModeServer = "server" // answers other nodes' lookups and stores their records
	ModeClient = "client" // only asks
)

// Router stores and finds provider records. A record is kept under the root's
// multihash, so CIDs that differ only in version or codec name the same record.
// All methods may be called from several goroutines.
type Router interface {
	// Provide announces that this node has c. It returns ErrNoPeers when there
	// was nobody to tell, and another error when nobody kept the record.
	Provide(ctx context.Context, c cid.Cid) error
	// ProvideMany announces keys, which are multihashes, and says what that took.
	// It costs less than a Provide of each from a handful of keys on: nodes that
	// are near to many keys are looked up once. It returns ErrNoPeers when there
	// was nobody to tell, and another error when not all were announced.
	ProvideMany(ctx context.Context, keys []mh.Multihash) (Cost, error)
	// Withdraw takes back what Provide said, as far as that can be done: the
	// records that others keep end with their validity.
	Withdraw(c cid.Cid)
	// Find sends providers of c, this node left out, each once and each with at
	// least one address, until ctx ends, limit are found (0: no limit but the
	// router's own) or the lookup is exhausted; then it closes the channel. The
	// first are sent before the lookup is over. The caller drains the channel or
	// ends ctx.
	Find(ctx context.Context, c cid.Cid, limit int) <-chan peer.AddrInfo
	// Size is the number of peers in the routing table.
	Size() int
	// Mode is ModeServer or ModeClient.
	Mode() string
	// Close stops the router and waits for what it started. Later calls do nothing.
	Close() error
}
