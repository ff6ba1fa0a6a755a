package ledger

import "time"

// PeerKey names a peer; any comparable string.
type PeerKey string

// Class tells by which rule a peer is served.
type Class uint8

// The classes.
const (
	Public Class = iota // reciprocity
	Group               // a member of the same private swarm: speed
)

// Reason says why a peer was served.
type Reason string

// The reasons.
const (
	Owed   Reason = "owed"   // it gave something, and is owed more than others
	Free   Reason = "free"   // a newcomer, with a piece of its free set
	Member Reason = "member" // of the same private swarm
	Idle   Reason = "idle"   // nobody else waits
)

// Standing is what a peer has shown of itself.
type Standing uint8

// The standings.
const (
	Newcomer Standing = iota // nothing, and it had no turn yet at its address
	Outsider                 // nothing, although it had
	Insider                  // it gave something, or passed on what it got, or is a member
)

// Balance is what went between us and a peer in total, in bytes.
type Balance struct {
	Received int64 // verified bytes it gave us
	Sent     int64 // bytes we gave it
}

// Config tunes a Ledger. The zero value works.
type Config struct {
	HalfLife   time.Duration // of the figure that orders peers; 10 min if zero
	Turn       int64         // bytes one peer gets before an equal one is served; 1 MiB if zero
	TurnTime   time.Duration // and for how long at most; 1 s if zero
	GroupShare float64       // of the uplink for Group when both classes wait, above 0 to 1; 0.8 if zero
	Remember   int64         // bytes of a restored balance that count for the order at most; 64 MiB if zero
}
