package pick

import "time"

// PeerKey names a peer; any comparable string.
type PeerKey string

// Path is how a peer is reached. Lower is preferred.
type Path uint8

// The paths, best first.
const (
	LAN Path = iota
	WAN
	Relay
	paths
)

// Request asks a peer for a run of blocks of one piece, in order.
type Request struct {
	Peer   PeerKey
	Piece  int
	First  int  // block number in the piece; 0 begins an attempt
	Count  int  // blocks, at least 1
	Urgent bool // it has a deadline
	Tied   bool // others are asked for it too: the peer is to offer it before it sends
	Again  bool // takes an offer: nothing more is in flight
}

// Cancel takes back all that was asked of a peer for a piece. What arrived of
// it, and what still does, is to be thrown away.
type Cancel struct {
	Peer  PeerKey
	Piece int
}

// Plan is what to do now, in the order of its fields: a peer may be asked
// again in Requests for a piece that Cancels takes back.
type Plan struct {
	Cancels  []Cancel
	Freed    []int     // pieces that are missing and no longer asked of anyone: Asked turned false
	Requests []Request // best use of each peer first
	Claims   []int     // pieces that come from far: peers on the LAN are told to wait for them for ClaimTTL
}

// Config tunes a Picker. The zero value works.
type Config struct {
	Self       PeerKey       // our own, as other peers know us
	Block      int           // bytes of a block; 64 KiB if zero
	MaxStarted int           // attempts in flight at once, each a buffer of one piece, at least 8; 64 if zero
	MaxBytes   int64         // bytes of the pieces in flight at once, passed by the last at most; 64 MiB if zero
	MaxPeer    int           // bytes in flight at one peer; 8 MiB if zero
	Worth      time.Duration // a worse path is used for what a better one holds only if all is done sooner by more than this; 1 s if zero
}
