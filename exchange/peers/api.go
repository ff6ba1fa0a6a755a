package peers

import "time"

// Key names a peer; any comparable string.
type Key string

// Path is how a peer is reached; lower is better. The values are exchange's.
type Path uint8

// The paths.
const (
	LAN Path = iota
	WAN
	Relay
)

// How tells where a candidate comes from; lower is connected to first.
type How uint8

// The ways to be found.
const (
	Named  How = iota // by the user, in a link or a flag
	Near              // on our own network
	Worked            // it gave us something before
	Told              // by the DHT or another peer
)

// Config tunes a Crowd. The zero value works.
type Config struct {
	Want       int           // peers that are looked for; 50 if zero
	Most       int           // peers at all; 80 if zero
	AtOnce     int           // attempts to connect under way; 24 if zero
	Candidates int           // that are remembered, peers included; 512 if zero
	Turnover   float64       // part of the peers that is replaced each Every; 0.04 if zero
	Every      time.Duration // 1 min if zero
	Young      time.Duration // how long a peer stays in any case; 1 min if zero
	Active     time.Duration // who moved something so lately stays; 15 s if zero
	Retry      time.Duration // after a failed attempt, doubled with each; 5 s if zero
}

// Plan is what to do now.
type Plan struct {
	Dial []Key // OnFailed or OnPeer tells how each ended
	Drop []Key // peers to leave; they are candidates no more, and OnGone need not follow
}
