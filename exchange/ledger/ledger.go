package ledger

import (
	"math/rand/v2"
	"time"
)

// PeerKey names a peer; any comparable string.
type PeerKey string

// Class tells by which rule a peer is served.
type Class uint8

// The classes.
const (
	Public Class = iota // reciprocity
	Group               // a member of the same private swarm: speed
)

// Balance is what went between us and a peer, in bytes.
type Balance struct {
	Received int64 // verified bytes it gave us
	Sent     int64 // bytes we gave it
}

// Config tunes a Ledger. The zero value works.
type Config struct {
	HalfLife   time.Duration // of the figure that orders peers; 10 min if zero
	Turn       int64         // bytes one peer gets before an equal one is served; 1 MiB if zero
	TurnTime   time.Duration // and for how long at most; 1 s if zero
	GroupShare float64       // of the uplink for Group when both classes queue, 0 to 1; 0.8 if zero
}

// Ledger decides whom to serve next.
type Ledger struct{}

// New returns an empty ledger.
func New(cfg Config, rng *rand.Rand) *Ledger { return &Ledger{} }

func (l *Ledger) OnReceived(now time.Time, peer PeerKey, n int64) {}
func (l *Ledger) OnSent(now time.Time, peer PeerKey, n int64)     {}
func (l *Ledger) Queue(now time.Time, peer PeerKey, n int64)      {}
func (l *Ledger) QueueFree(now time.Time, peer PeerKey, n int64)  {} // bytes of pieces in Free(prefix, ...)
func (l *Ledger) Unqueue(now time.Time, peer PeerKey, n int64)    {}
func (l *Ledger) Next(now time.Time) (PeerKey, bool)              { return "", false }
func (l *Ledger) OnGone(now time.Time, peer PeerKey)              {}
func (l *Ledger) Restore(peer PeerKey, b Balance)                 {}
func (l *Ledger) Balance(peer PeerKey) Balance                    { return Balance{} }
func (l *Ledger) Class(peer PeerKey, c Class)                     {}
func (l *Ledger) Value(peer PeerKey, v float64)                   {}
func (l *Ledger) Prefix(peer PeerKey, prefix string)              {}

// Free returns the pieces that a newcomer from an address prefix gets of a root.
func Free(prefix, root string, pieces int) []int { return nil }
