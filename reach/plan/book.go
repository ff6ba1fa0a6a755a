package plan

import (
	"net/netip"
	"slices"
	"time"
)

// Transport is what a listening address speaks.
type Transport uint8

// The transports. They are told apart because routers do.
const (
	TCP Transport = iota + 1
	UDP
)

// Mapping is how the routers in front of a node choose the outside port.
type Mapping uint8

const (
	Unknown Mapping = iota
	None            // there is no translation: the address seen is the node's own
	Kept            // one observer: the outside port is the inside one, so probably the same for all
	Changed         // one observer: the outside port is another
	Same            // two observers at different addresses saw the same port
	Differs         // two observers at different addresses saw different ports
)

func (m Mapping) String() string {
	return [...]string{"unknown", "none", "kept", "changed", "same", "differs"}[min(m, Differs)]
}

// Stable reports whether a peer can be told the outside port.
func (m Mapping) Stable() bool { return m == None || m == Kept || m == Same }

// Moves reports whether the port for the next peer is probably another one.
func (m Mapping) Moves() bool { return m == Changed || m == Differs }

// Sight is an address of this node as somebody saw it.
type Sight struct {
	By        string     // the observer
	From      netip.Addr // its address
	Transport Transport
	Local     uint16 // the port that the connection used here
	Addr      netip.AddrPort
}

// Reachability says whether anybody can dial this node.
type Reachability uint8

const (
	Uncertain Reachability = iota
	Private
	Public
)

const (
	sightsKept  = 32 // the newest
	askAgain    = 10 * time.Second
	askAgainMax = 10 * time.Minute
	confirmed   = 30 * time.Minute // a confirmation is renewed after so long
)

// Book keeps what others say of this node's addresses. The zero value is ready.
type Book struct {
	sights []Sight // newest last, one of each observer and transport
	own    []netip.Addr
	mapped bool // a router has mapped a port for us
	web    bool // the internet was reached as browsers do

	asked   time.Time
	wait    time.Duration
	tried   int
	answer  Reachability
	renewAt time.Time
}

// OnInterfaces tells of the addresses that this machine has. If they are others
// than before, whether it can be dialled is asked anew. It returns those that are
// gone, and whether anything has changed.
func (b *Book) OnInterfaces(own []netip.Addr) (gone []netip.Addr, changed bool) {
	own = slices.Clone(own)
	slices.SortFunc(own, netip.Addr.Compare)
	if slices.Equal(own, b.own) {
		return nil, false
	}
	for _, a := range b.own {
		if !slices.Contains(own, a) {
			gone = append(gone, a)
		}
	}
	*b = Book{own: own, mapped: b.mapped, web: b.web, sights: b.sights}
	return gone, true
}

// Forget drops what an observer saw, by a connection that is no more.
func (b *Book) Forget(by string) {
	b.sights = slices.DeleteFunc(b.sights, func(s Sight) bool { return s.By == by })
}

// OnMapped tells whether a router forwards a port to this node.
func (b *Book) OnMapped(mapped bool) { b.mapped = mapped }

// OnWeb tells that this node has connected to somebody by WebSocket. Whoever gets
// out in no other way, as nobody's sight shows, is not reached from outside.
func (b *Book) OnWeb() { b.web = true }

// OnSight takes in what an observer saw. Observers on a near network and
// addresses that are not of the internet say nothing.
func (b *Book) OnSight(s Sight) {
	if !global(s.From) || !global(s.Addr.Addr()) {
		return
	}
	b.sights = slices.DeleteFunc(b.sights, func(o Sight) bool {
		return o.By == s.By && o.Transport == s.Transport && o.Addr.Addr().Is4() == s.Addr.Addr().Is4()
	})
	b.sights = append(b.sights, s)
	if len(b.sights) > sightsKept {
		b.sights = b.sights[1:]
	}
}

// global reports whether an address is one of the internet.
func global(a netip.Addr) bool {
	return a.IsValid() && a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}

// shared is RFC 6598's range, between a carrier's router and its customers'.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// Mapping is what is known of the routers' treatment of a transport over IPv4.
func (b *Book) Mapping(t Transport) Mapping {
	var first *Sight
	m := Unknown
	for i := range b.sights {
		s := &b.sights[len(b.sights)-1-i] // newest first
		switch {
		case s.Transport != t || !s.Addr.Addr().Is4() || s.Local == 0:
		case slices.Contains(b.own, s.Addr.Addr()):
			return None
		case first == nil:
			first, m = s, Changed
			if s.Addr.Port() == s.Local {
				m = Kept
			}
		case s.Local != first.Local || s.From == first.From: // compares with nothing
		case s.Addr != first.Addr:
			return Differs
		default:
			m = Same
		}
	}
	return m
}

// Outside are the addresses of the internet that this node was seen at, newest
// first, each once.
func (b *Book) Outside() []netip.Addr {
	var out []netip.Addr
	for _, s := range slices.Backward(b.sights) {
		if !slices.Contains(out, s.Addr.Addr()) {
			out = append(out, s.Addr.Addr())
		}
	}
	return out
}

// Offer are the outside addresses by which a peer may try to come in, for a node
// that listens on the given port of a transport: where it was seen and, where it
// was not by this transport, the port that a router which keeps ports would give.
func (b *Book) Offer(t Transport, port uint16) []netip.AddrPort {
	var out []netip.AddrPort
	known := map[bool]bool{}
	for _, s := range slices.Backward(b.sights) {
		if s.Transport != t || s.Local != port || slices.Contains(out, s.Addr) || len(out) >= 3 {
			continue
		}
		out = append(out, s.Addr)
		known[s.Addr.Addr().Is4()] = true
	}
	for _, ip := range b.Outside() {
		if a := netip.AddrPortFrom(ip, port); !known[ip.Is4()] && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// open reports whether what is seen could be dialled by anybody: there is no
// translation, or a router forwards a port.
func (b *Book) open() bool {
	for _, s := range b.sights {
		if slices.Contains(b.own, s.Addr.Addr()) || b.mapped {
			return true
		}
	}
	return false
}

// Ask reports whether a peer should be asked now to dial this node back, and
// when to look again.
func (b *Book) Ask(now time.Time) (bool, time.Time) {
	if !b.open() {
		return false, time.Time{}
	}
	if b.answer == Public {
		return !now.Before(b.renewAt), b.renewAt
	}
	if b.asked.IsZero() || !now.Before(b.asked.Add(b.wait)) {
		return true, now
	}
	return false, b.asked.Add(b.wait)
}

// OnAsked tells that a peer is being asked.
func (b *Book) OnAsked(now time.Time) {
	b.asked = now
	b.wait = min(max(2*b.wait, askAgain), askAgainMax)
	b.renewAt = now.Add(confirmed)
}

// OnAnswer tells whether a peer could dial this node back.
func (b *Book) OnAnswer(now time.Time, reached bool) {
	b.tried++
	switch {
	case reached:
		b.answer, b.tried, b.wait, b.renewAt = Public, 0, 0, now.Add(confirmed)
	case b.tried > 1 || b.answer == Uncertain:
		b.answer = Private // a node that was public is believed to be until two could not reach it
	}
}

// Reachability is what all this says of the node.
func (b *Book) Reachability() Reachability {
	switch {
	case len(b.sights) == 0 && !b.web:
		return Uncertain
	case !b.open():
		return Private
	}
	return b.answer
}
