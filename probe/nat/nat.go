package nat

import "net/netip"

// Answer is whether something came about: Unknown where it was not tried.
type Answer uint8

// The answers.
const (
	Unknown Answer = iota
	No
	Yes
)

// Observation is what was seen of one UDP socket of this machine.
type Observation struct {
	Local  netip.AddrPort   // its address on this machine
	Asked  int              // peers with open ports that were sent to
	Mapped []netip.AddrPort // where those that answered, each at another address, saw it
	// Unasked: a packet came in from an address that the socket had not sent to.
	Unasked Answer
	// OtherPort: one came in from an address that it had sent to, from another port.
	OtherPort Answer
}

// Mapping is how a NAT gives outside addresses to a socket.
type Mapping uint8

// The mappings.
const (
	MappingUnknown Mapping = iota
	Blocked                // nothing gets out and back in
	Direct                 // no NAT: the outside address is the machine's own
	Independent            // one outside address, whomever it speaks to ("cone")
	Dependent              // another for each ("symmetric")
)

// Filtering is from whom a NAT or firewall lets packets in.
type Filtering uint8

// The filterings, the strictest last.
const (
	FilteringUnknown Filtering = iota
	Open                       // from anyone
	ByAddress                  // from addresses spoken to
	ByPort                     // from addresses and ports spoken to
	Strict                     // by address or by port: it could not be told which
)

// Type is a NAT, or that there is none.
type Type struct {
	Mapping   Mapping
	Filtering Filtering
}

// Classify names the NAT of an observation.
func Classify(o Observation) Type {
	t := Type{Filtering: filtering(o)}
	switch first := o.first(); {
	case len(o.Mapped) == 0 && o.Asked == 0:
		return Type{}
	case len(o.Mapped) == 0:
		return Type{Mapping: Blocked}
	case o.differs():
		t.Mapping = Dependent
	case first == o.Local:
		t.Mapping = Direct
	case len(o.Mapped) > 1:
		t.Mapping = Independent
	}
	return t
}

func (o Observation) first() netip.AddrPort {
	if len(o.Mapped) == 0 {
		return netip.AddrPort{}
	}
	return o.Mapped[0]
}

// differs tells whether two peers saw the socket at two addresses.
func (o Observation) differs() bool {
	for _, m := range o.Mapped {
		if m != o.Mapped[0] {
			return true
		}
	}
	return false
}

func filtering(o Observation) Filtering {
	switch {
	case o.Unasked == Yes:
		return Open
	case o.OtherPort == Yes && o.Unasked == No:
		return ByAddress
	case o.OtherPort == No:
		return ByPort
	case o.Unasked == No:
		return Strict
	}
	return FilteringUnknown
}

// Punch says with whom a hole can be punched.
type Punch uint8

// What can be punched.
const (
	PunchUnknown Punch = iota
	Needless           // anyone can connect
	AlmostAll          // with all but those behind a NAT with another mapping for each
	Some               // with those that let in whoever comes from an address they spoke to
	None               // no UDP at all; over TCP perhaps
)

// Punch judges by the rule that a hole needs one side whose outside address the
// other knows, and a side that moves needs one that filters by address at most.
func (t Type) Punch() Punch {
	switch {
	case t.Mapping == Blocked:
		return None
	case t.Filtering == Open && (t.Mapping == Direct || t.Mapping == Independent):
		return Needless
	case t.Mapping == Dependent:
		return Some
	case t.Mapping == Direct || t.Mapping == Independent:
		return AlmostAll
	}
	return PunchUnknown
}

// String is the type in words.
func (t Type) String() string {
	switch t.Mapping {
	case MappingUnknown:
		return "unknown"
	case Blocked:
		return "UDP is blocked"
	}
	s := map[Mapping]string{Direct: "no NAT", Independent: "NAT with one outside address (cone)", Dependent: "NAT with another outside address for each peer (symmetric)"}[t.Mapping]
	return s + ", " + t.Filtering.String()
}

// String is the filtering in words.
func (f Filtering) String() string {
	return [...]string{
		"filtering unknown", "open to anyone", "open to addresses it spoke to",
		"open to exactly whom it spoke to", "closed to strangers",
	}[f]
}
