package exchange

import (
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Event is what a peer of a root did. Events reach the owner of the root on the
// channel given to Exchange.Open, in the order of the peer's messages. It is
// one of the types below; the owner may send events of its own on the channel.
type Event any

// Opened says that a peer answered for the root. Missing peers neither have nor
// seek it. Pieces is 0 while the peer does not know the tree.
type Opened struct {
	Of      *Root
	From    *Session
	Missing bool
	Pieces  int
}

// Haves adds pieces to what a peer has. Runs are within merkle.MaxPieces; the
// owner checks them against its table.
type Haves struct {
	Of   *Root
	From *Session
	All  bool
	Runs []Run

	Partial []int // pieces that it is getting, and passes on as they come
}

// Unhaves takes pieces back.
type Unhaves struct {
	Of   *Root
	From *Session
	Runs []Run
}

// Rejected says that a piece that was requested will not come.
type Rejected struct {
	From  *Session
	Piece int
	Busy  bool
}

// Offered says that a peer would now send a piece that was asked of others too.
// Request it again, not tied, or Cancel it.
type Offered struct {
	From  *Session
	Piece int
}

// Claims says that a peer, or somebody of whom it heard by Relayed others, is
// fetching pieces from the origin for up to TTL milliseconds; with 0 it no longer is.
type Claims struct {
	From    *Session
	Runs    []Run
	TTL     int
	Relayed int  // 0: the peer itself; at most MaxRelayed
	Near    bool // from far, not from the origin, and told on the LAN alone
}

// Met names peers of the root that a peer knows, with the addresses that they
// gave themselves.
type Met struct {
	Of    *Root
	From  *Session
	Peers []peer.AddrInfo
}

// Arrived says that n more blocks of a requested piece came.
type Arrived struct {
	From  *Session
	Piece int
	N     int
}

// Received carries a whole leaf block, unverified. The owner only reads Data, which
// may be on its way to others, and calls Release once.
type Received struct {
	From  *Session
	Piece int
	Data  []byte
	of    *buffer
}

// Release gives Data back.
func (r Received) Release() { r.of.release() }

// Wasted counts bytes that came although they were cancelled.
type Wasted struct {
	From  *Session
	Bytes int
}

// Gone says that the peer's session ended.
type Gone struct {
	From *Session
	Err  error
}

// TreePart is the answer to Root.AskTree.
type TreePart struct {
	From    *Session
	Node    cid.Cid
	Skip    int
	Blocks  [][]byte
	More    bool
	Missing bool
}
