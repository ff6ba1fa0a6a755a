package swarm

import (
	"net"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/time/rate"
)

// How fast connections are accepted before anything is known of the peer but its
// address: the handshake is what a stranger makes us pay for. Addresses at which
// a member was admitted within memberFor, and loopback, have a budget of their own, so
// that strangers cannot use it up.
const (
	strangerRate, strangerBurst = 2, 16   // a second, of one address
	unknownRate, unknownBurst   = 32, 128 // a second, of all strangers' addresses
	memberRate, memberBurst     = 16, 128 // a second, of one member's address
	memberFor                   = 24 * time.Hour
	addressesKept               = 4096 // of each kind
)

// accepts is the accept limiter.
type accepts struct {
	all       *rate.Limiter
	mu        sync.Mutex // so that one address has one limiter
	strangers *lru.Cache[netip.Prefix, *rate.Limiter]
	members   *lru.Cache[netip.Prefix, *seat]
}

// seat is the budget of an address that had members.
type seat struct {
	budget *rate.Limiter
	seen   time.Time
}

func newAccepts() *accepts {
	strangers, err := lru.New[netip.Prefix, *rate.Limiter](addressesKept)
	members, err2 := lru.New[netip.Prefix, *seat](addressesKept)
	if err != nil || err2 != nil {
		panic("swarm: an LRU of positive size is refused")
	}
	return &accepts{all: rate.NewLimiter(unknownRate, unknownBurst), strangers: strangers, members: members}
}

// host is what one subscriber has of the address space: an IPv4 address or an
// IPv6 /64. False for addresses without IP (a circuit is the relay's business)
// and for loopback.
func hostOf(a ma.Multiaddr) (netip.Prefix, bool) {
	if a == nil {
		return netip.Prefix{}, false
	}
	if _, err := a.ValueForProtocol(ma.P_CIRCUIT); err == nil {
		return netip.Prefix{}, false
	}
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(ip)
	addr = addr.Unmap()
	if !ok || addr.IsLoopback() {
		return netip.Prefix{}, false
	}
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	return p, err == nil
}

// member notes that a member was admitted from a.
func (l *accepts) member(a ma.Multiaddr) {
	host, ok := hostOf(a)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m, ok := l.members.Get(host)
	if !ok {
		m = &seat{budget: rate.NewLimiter(memberRate, memberBurst)}
		l.members.Add(host, m)
	}
	m.seen = time.Now()
}

// trusts reports whether a had a member lately, or is this machine.
func (l *accepts) trusts(a net.Addr) bool {
	m, err := manet.FromNetAddr(a)
	if err != nil {
		return false
	}
	host, ok := hostOf(m)
	if !ok {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.members.Peek(host)
	return ok && time.Since(s.seen) < memberFor
}

// allow reports whether a connection from a may go on to its handshake.
func (l *accepts) allow(a ma.Multiaddr) bool {
	host, ok := hostOf(a)
	if !ok {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if m, ok := l.members.Get(host); ok && time.Since(m.seen) < memberFor {
		return m.budget.Allow()
	}
	own, ok := l.strangers.Get(host)
	if !ok {
		own = rate.NewLimiter(strangerRate, strangerBurst)
		l.strangers.Add(host, own)
	}
	return own.Allow() && l.all.Allow()
}
