package dht

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
)

// MDNSService is the service name of the open swarm.
const MDNSService = "_shoal._udp"

const (
	// answerJitter spreads the answers of many nodes to one question. RFC 6762
	// has 20-120 ms; a download that waits for the answer has 1 s in all.
	answerJitter = 20 * time.Millisecond
	// answerGap is the least time between two answers on one interface, so that
	// questions cannot make a node flood it.
	answerGap = 100 * time.Millisecond
	// askFirst and askMost are the first and the longest time between two
	// questions; it grows fourfold. The first repeat makes up for a lost packet.
	askFirst = 250 * time.Millisecond
	askMost  = time.Minute
)

// MDNSConfig configures an MDNS.
type MDNSConfig struct {
	// Service is the service's name, such as "_shoal._udp"; MDNSService if empty.
	// Nodes hear only those of the same name.
	Service string
	// Found is called with peers that this node should dial now. It is required,
	// is called from one goroutine and must not block.
	Found func(peer.AddrInfo)
	// Loopback includes the loopback interface and its addresses, for swarms on
	// one machine without a network.
	Loopback bool
	// Log gets what an operator wants to know; nothing is logged if nil.
	Log *slog.Logger

	port int // 5353 if zero; tests keep away from the machine's own
}

// MDNS finds nodes on the LAN and is found by them.
//
// It speaks libp2p's mDNS discovery. Unlike go-libp2p's it reads the host's
// addresses for each answer, so that a change needs no restart; it keeps an
// answer within one frame; and it tells and asks at once when it starts, so that
// two nodes know each other within milliseconds.
type MDNS struct {
	cfg      MDNSConfig
	log      *slog.Logger
	host     host.Host
	net      multicast
	service  string // with the domain
	instance string
	addrs    event.Subscription

	mu  sync.Mutex
	lan *sightings

	// Owned by run.
	faces   []lanFace
	onLink  []netip.Prefix
	told    []ma.Multiaddr // own addresses when last announced
	askAt   time.Time
	askGap  time.Duration
	answers map[lanFace]answerTime

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// answerTime is when an interface is to be answered (zero: not) and was last.
type answerTime struct{ due, last time.Time }

// NewMDNS starts looking and answering. It fails if UDP port 5353 cannot be
// shared; a machine without a network is no failure.
func NewMDNS(h host.Host, cfg MDNSConfig) (*MDNS, error) {
	socks, err := listenMDNS(cmp.Or(cfg.port, mdnsPort), cfg.Loopback)
	if err != nil {
		return nil, err
	}
	m, err := newMDNS(h, cfg, socks)
	if err != nil {
		socks.close()
	}
	return m, err
}

func newMDNS(h host.Host, cfg MDNSConfig, nw multicast) (*MDNS, error) {
	cfg.Service = cmp.Or(cfg.Service, MDNSService)
	m := &MDNS{
		cfg: cfg, log: cfg.Log, host: h, net: nw,
		service:  strings.Trim(cfg.Service, ".") + ".local.",
		instance: strings.ToLower(rand.Text()), // of no meaning, as libp2p's specification wants it
		lan:      newSightings(h.ID()),
		answers:  make(map[lanFace]answerTime),
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if _, err := mdnsQuery(m.service); err != nil {
		return nil, err
	}
	var err error
	m.addrs, err = h.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated), eventbus.Name("shoal/mdns"))
	if err != nil {
		return nil, fmt.Errorf("watch the host's addresses: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.wg.Go(func() { m.run(ctx) })
	return m, nil
}

// Close says goodbye and stops. Later calls do nothing.
func (m *MDNS) Close() error {
	m.cancel()
	m.wg.Wait()
	return nil
}

// Seen says whether p was heard on this LAN in the last 10 minutes.
func (m *MDNS) Seen(p peer.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lan.seen(time.Now(), p)
}

// Heard is the number of peers heard on this LAN in the last 10 minutes.
func (m *MDNS) Heard() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for p := range m.lan.peers {
		if m.lan.seen(time.Now(), p) {
			n++
		}
	}
	return n
}

// run ends with ctx.
func (m *MDNS) run(ctx context.Context) {
	defer m.net.close()
	defer m.addrs.Close()
	m.restart(time.Now())
	defer m.tellAll(0)
	wake := time.NewTimer(0)
	defer wake.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case p, ok := <-m.net.packets():
			if !ok {
				return
			}
			m.hear(time.Now(), p)
		case _, ok := <-m.addrs.Out():
			if !ok {
				return
			}
			// Most changes are of addresses that a LAN has no use for.
			if told := m.told; !sameAddrs(told, m.own()) {
				m.restart(time.Now())
			}
		case <-wake.C:
		}
		wake.Reset(time.Until(m.step(time.Now())))
	}
}

// restart begins again, as on a new network: look at the interfaces, tell, ask.
func (m *MDNS) restart(now time.Time) {
	m.faces, m.onLink = m.net.faces()
	m.told = m.own()
	m.tellAll(mdnsTTL)
	m.askAt, m.askGap = now, askFirst
}

// step does what is due and returns when to come back.
func (m *MDNS) step(now time.Time) time.Time {
	if !now.Before(m.askAt) {
		m.ask()
		m.askAt = now.Add(m.askGap)
		m.askGap = min(4*m.askGap, askMost)
	}
	next := m.askAt
	for f, a := range m.answers {
		if a.due.IsZero() {
			continue
		}
		if !now.Before(a.due) {
			m.tell(f, mdnsTTL)
			m.answers[f] = answerTime{last: now}
		} else if a.due.Before(next) {
			next = a.due
		}
	}
	m.mu.Lock()
	found := m.lan.advance(now, m.connected)
	if at := m.lan.deadline(); !at.IsZero() && at.Before(next) {
		next = at
	}
	m.mu.Unlock()
	for _, p := range found {
		m.log.Debug("found on the lan", "peer", p.ID, "addrs", p.Addrs)
		m.cfg.Found(p)
	}
	return next
}

// connected says whether there is a direct connection; one through a relay does
// not make a LAN one needless.
func (m *MDNS) connected(p peer.ID) bool {
	return m.host.Network().Connectedness(p) == network.Connected
}

// hear takes in a packet. Packets from elsewhere than this network are dropped:
// the port is open to the Internet on machines without a firewall.
func (m *MDNS) hear(now time.Time, p lanPacket) {
	if !nearIP(p.from, m.onLink) {
		return
	}
	heard, err := parseMDNS(p.data, m.service, m.onLink)
	if err != nil {
		m.log.Debug("bad mdns packet", "from", p.from, "err", err)
		return
	}
	if heard.asked {
		m.plan(now, p.face)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range heard.here {
		m.lan.onHeard(now, p)
	}
	for _, id := range heard.gone {
		m.lan.onGone(id)
	}
}

// plan sees to it that a question on f is answered soon.
func (m *MDNS) plan(now time.Time, f lanFace) {
	a := m.answers[f]
	if !a.due.IsZero() {
		return
	}
	if len(m.answers) > 64 { // interfaces come and go
		clear(m.answers)
	}
	a.due = now.Add(mrand.N(answerJitter))
	if at := a.last.Add(answerGap); a.due.Before(at) {
		a.due = at
	}
	m.answers[f] = a
}

// ask asks on all interfaces, which are looked at anew.
func (m *MDNS) ask() {
	m.faces, m.onLink = m.net.faces()
	q, err := mdnsQuery(m.service)
	if err != nil {
		return // checked by newMDNS
	}
	for _, f := range m.faces {
		if err := m.net.send(f, q); err != nil {
			m.log.Debug("mdns question not sent", "interface", f.index, "err", err)
		}
	}
}

func (m *MDNS) tellAll(ttl uint32) {
	for _, f := range m.faces {
		m.tell(f, ttl)
	}
}

// tell says on f that this node is here, or for a ttl of zero that it leaves.
func (m *MDNS) tell(f lanFace, ttl uint32) {
	b, err := mdnsAnswer(m.service, m.instance, peer.AddrInfo{ID: m.host.ID(), Addrs: m.own()}, ttl)
	if err == nil {
		err = m.net.send(f, b)
	}
	if err != nil {
		m.log.Debug("mdns answer not sent", "interface", f.index, "err", err)
	}
}

// own returns the addresses to tell: those of this machine's interfaces that a
// neighbour can dial, subnets of the LAN first, because the last may have no room.
func (m *MDNS) own() []ma.Multiaddr {
	addrs, err := m.host.Network().InterfaceListenAddresses()
	if err != nil {
		return nil
	}
	addrs = ma.FilterAddrs(addrs, func(a ma.Multiaddr) bool {
		ip, ok := firstIP(a)
		return ok && lanTransport(a) && nearIP(ip, m.onLink) && (m.cfg.Loopback || !ip.IsLoopback())
	})
	slices.SortStableFunc(addrs, func(a, b ma.Multiaddr) int { return cmp.Compare(rank(a), rank(b)) })
	return addrs
}

// rank orders own addresses: IPv4, then IPv6, link-local and loopback last.
func rank(a ma.Multiaddr) int {
	ip, _ := firstIP(a)
	switch {
	case ip.IsLoopback():
		return 3
	case ip.IsLinkLocalUnicast():
		return 2
	case ip.Is6():
		return 1
	}
	return 0
}
