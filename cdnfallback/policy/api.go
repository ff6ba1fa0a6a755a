package policy

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
	Count  int
	Reason Reason
}
