package pick

// PeerKey names a peer; any comparable string.
type PeerKey string

// Path is how a peer is reached. Lower is preferred.
type Path uint8

// The paths, best first.
const (
	LAN Path = iota
	WAN
	Relay
)

// Request asks a peer for a run of blocks of one piece, in order.
type Request struct {
	Peer  PeerKey
	Piece int
	First int // block number in the piece
	Count int // blocks
}

// Cancel takes back all that was asked of a peer for a piece.
type Cancel struct {
	Peer  PeerKey
	Piece int
}

// Plan is what to do now.
type Plan struct {
	Requests []Request
	Cancels  []Cancel
}
