package policy

import (
	"math/rand/v2"
	"time"
)

// Config tunes a Policy. The zero value is an interactive fetch.
type Config struct {
	Class       Class
	OriginAfter time.Duration // how long peers get before the origin; interactive 0, background 30 s, economy 1 s if zero
	Parallel    int           // origin requests in flight; 2 if zero (4 while an interactive fetch starts)
	RunBytes    int           // bytes of one request when peers are known; 8 MiB if zero
	LongRun     int           // bytes of one request when nobody is known and the class is interactive; 64 MiB if zero
	Target      float64       // bytes/s that are needed; 0: none (interactive measures itself against the best rate seen)
}

// Policy decides when origin bytes may be spent.
type Policy struct{}

// New returns a policy for pieces of the given sizes; self is this node's key in the rendezvous with others.
func New(cfg Config, sizes []int, self string, rng *rand.Rand) *Policy { return &Policy{} }

func (p *Policy) Want(now time.Time, piece int, deadline time.Time)              {}
func (p *Policy) WantAll(now time.Time)                                          {}
func (p *Policy) Forget(now time.Time, piece int)                                {}
func (p *Policy) Done(now time.Time, piece int)                                  {}
func (p *Policy) Lost(now time.Time, piece int)                                  {}
func (p *Policy) OnPeer(now time.Time, peer string)                              {}
func (p *Policy) OnGone(now time.Time, peer string)                              {}
func (p *Policy) OnCount(now time.Time, peer string, pieces int)                 {}
func (p *Policy) OnLooked(now time.Time, providers int)                          {}
func (p *Policy) OnHolders(now time.Time, piece, n int)                          {}
func (p *Policy) OnAsked(now time.Time, piece int, asked bool)                   {}
func (p *Policy) OnClaim(now time.Time, peer string, piece int, until time.Time) {}
func (p *Policy) OnBytes(now time.Time, n int64)                                 {}
func (p *Policy) OnOrigin(now time.Time, first, count int, ok bool, bytes int64) {}
func (p *Policy) OnOriginPiece(now time.Time, piece int)                         {}
func (p *Policy) OnOriginRate(now time.Time, rate float64, rtt time.Duration)    {}
func (p *Policy) OnOriginDown(now time.Time, until time.Time)                    {}
func (p *Policy) Advance(now time.Time) []Spend                                  { return nil }
func (p *Policy) Deadline() time.Time                                            { return time.Time{} }

// Why tells what the next origin request waits for, and until when if that is known.
func (p *Policy) Why(now time.Time) (next time.Time, code Code) { return time.Time{}, "" }

// Code tells why the origin is not used now.
type Code string

// The codes.
const (
	Idle    Code = "idle"    // nothing is wanted
	Using   Code = "using"   // a request is in flight or due now
	Grace   Code = "grace"   // peers are given time until next
	Backoff Code = "backoff" // the origin failed; next is the retry
	Claimed Code = "claimed" // another node has said that it fetches what nobody has
	Peers   Code = "peers"   // peers hold or deliver what is missing
)
