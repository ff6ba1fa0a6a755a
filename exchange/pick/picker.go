package pick

import (
	"math/rand/v2"
	"time"
)

// Config tunes a Picker. The zero value works.
type Config struct {
	Block      int           // bytes of a block; 64 KiB if zero
	MaxStarted int           // attempts in flight at once, each a buffer of one piece; 64 if zero
	MaxPeer    int           // bytes in flight at one peer; 8 MiB if zero
	Worth      time.Duration // a worse path is used where it saves more than this in total; 1 s if zero
}

// Picker decides what to ask of whom.
type Picker struct{}

// New returns a picker for pieces of the given sizes in bytes. Nothing is wanted at first.
func New(cfg Config, sizes []int, rng *rand.Rand) *Picker { return &Picker{} }

func (p *Picker) Want(now time.Time, piece int, deadline time.Time)                {}
func (p *Picker) WantAll(now time.Time)                                            {}
func (p *Picker) Forget(now time.Time, piece int)                                  {}
func (p *Picker) Done(now time.Time, piece int)                                    {}
func (p *Picker) Lost(now time.Time, piece int)                                    {}
func (p *Picker) Hold(now time.Time, piece int, held bool)                         {}
func (p *Picker) OnPeer(now time.Time, peer PeerKey, path Path, rtt time.Duration) {}
func (p *Picker) OnGone(now time.Time, peer PeerKey)                               {}
func (p *Picker) OnAlive(now time.Time, peer PeerKey)                              {}
func (p *Picker) OnHave(now time.Time, peer PeerKey, first, count int)             {}
func (p *Picker) OnUnhave(now time.Time, peer PeerKey, first, count int)           {}
func (p *Picker) OnBlocks(now time.Time, peer PeerKey, piece, n int)               {}
func (p *Picker) OnReject(now time.Time, peer PeerKey, piece int)                  {}
func (p *Picker) OnPiece(now time.Time, peer PeerKey, piece int, ok bool)          {}
func (p *Picker) Advance(now time.Time) Plan                                       { return Plan{} }
func (p *Picker) Deadline() time.Time                                              { return time.Time{} }
func (p *Picker) Holders(piece int) int                                            { return 0 }
func (p *Picker) Rate(peer PeerKey) float64                                        { return 0 }
func (p *Picker) InFlight() int64                                                  { return 0 }
func (p *Picker) Snubbed(peer PeerKey) bool                                        { return false }
func (p *Picker) Dead(now time.Time) []PeerKey                                     { return nil }
func (p *Picker) Wanted() int                                                      { return 0 }
func (p *Picker) Asked(piece int) bool                                             { return false }
