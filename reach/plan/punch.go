package plan

import "time"

// Attempts are how often two nodes try to meet in the plain way.
const Attempts = 3

// Side is what one node tells another of itself before they try to meet.
type Side struct {
	UDP, TCP Mapping
	Hard     bool // willing to search for the port of a router that changes it
}

// CallerIsClient says who plays the client when two nodes connect to each other
// at the same moment: whose port cannot be known, since his packets find the way
// and the other's do not. QUIC does not need it: there both may be clients. When
// nothing speaks for either, the roles change with each attempt.
func CallerIsClient(caller, called Side, attempt int) bool {
	client := !(moves(called) && !moves(caller))
	if attempt%2 == 1 {
		client = !client
	}
	return client
}

// moves judges TCP by UDP when it was not seen itself.
func moves(s Side) bool { return s.TCP.Moves() || s.TCP == Unknown && s.UDP.Moves() }

// Patience is how long an attempt may take for nodes that are rtt apart. The
// first leaves time for one repeated SYN, which TCP sends after a second.
func Patience(attempt int, rtt time.Duration) time.Duration {
	return min(time.Duration(attempt+2)*time.Second+4*rtt, 8*time.Second)
}

// Search says whether the two should search for a port: both are willing, and
// exactly one has ports that change. caller tells that it is the caller's.
func Search(caller, called Side) (search, callers bool) {
	a, b := caller.UDP.Moves(), called.UDP.Moves()
	return caller.Hard && called.Hard && a != b, a
}

// Numbers of a search: whose ports change opens Sockets towards the other, who
// sends to Probes random ports of him. Any probe hits with Sockets in 64,512, so
// that all of them miss in 1 of 3,000 searches.
const (
	Sockets   = 256
	Probes    = 2048
	ProbeRate = 250 // a second, as much as a slow line bears
)
