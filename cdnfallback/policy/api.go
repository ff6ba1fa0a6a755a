package policy

import "time"

// Reason tells why origin bytes are spent.
type Reason string

// The reasons.
const (
	Inject  Reason = "inject"   // nobody in view has it and nobody has claimed it
	Due     Reason = "deadline" // a reader needs it before peers can deliver it
	Start   Reason = "start"    // the first bytes of an interactive fetch
	Stall   Reason = "stall"    // peers deliver nothing
	Deficit Reason = "deficit"  // peers deliver less than is needed
	Tail    Reason = "tail"     // the last pieces of the slowest downloader
)

// Class tells how eagerly the origin is used.
type Class uint8

// The classes.
const (
	Interactive Class = iota // as fast as possible, origin at once where it helps
	Background               // waits for peers, yields
	Economy                  // origin only for what nobody has
)

// Spend is one origin request: a run of pieces by number, and why.
type Spend struct {
	First  int
	Count  int // at least 1
	Reason Reason
	Claim  time.Duration // how long others should wait for it: three times what it is expected to take, 2 s to a minute
}

// Code tells why the origin is not used now, or that it is.
type Code string

// The codes.
const (
	Idle    Code = "idle"    // nothing is wanted
	Using   Code = "using"   // a request is in flight or due now
	Grace   Code = "grace"   // peers are given time until next
	Backoff Code = "backoff" // the origin failed; next is the retry
	Claimed Code = "claimed" // it is for another node to fetch what nobody has
	Peers   Code = "peers"   // peers hold or deliver what is missing
	Spent   Code = "budget"  // all that may be spent in an hour is; next is when there is more
)

// Config tunes a Policy. The zero value is an interactive fetch.
type Config struct {
	Class       Class
	OriginAfter time.Duration // how long peers get before the origin; if zero until the first look: interactive 0.3 s at most, economy 1 s; background 30 s
	Parallel    int           // origin requests in flight; if zero 2 (4 while an interactive fetch starts), background 1; in a crowd one of the rule inject
	RunBytes    int           // bytes of one request when peers are known; 8 MiB if zero
	LongRun     int           // bytes of one request when nobody is known and the class is interactive; 64 MiB if zero
	Target      float64       // bytes/s below which the origin helps peers; if zero interactive measures itself against what the origin could give, others have no need
	Copies      float64       // of the content from origins in any hour, at most; no cap if zero
}
