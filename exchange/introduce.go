package exchange

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/shoal-p2p/shoal/exchange/pb"
)

// Peers of a root are told of each other: of up to 50 when they open it, then of
// those who came since (algorithms.md 12.1). Who came later is told of who was
// there and connects at once, so a small crowd is a full mesh within a few round
// trips; the later tellings serve large crowds, and those who cannot be reached
// from outside.
const (
	tellSoon   = 5 * time.Second // between tellings in a peer's first minute
	tellLate   = time.Minute     // and after it
	tellSooner = time.Minute
	leastTold  = 1            // of whom who knows as many as we do is told at random: it may be another
	mostHeard  = 4 * maxPeers // peers of which it is noted who told us of them
	mostTold   = 3 * maxPeers // records that are taken of a peer of a root at once; one a second more
)

// guest is what a root knows of a peer that has opened it, to tell others.
// Guarded by Root.mu.
type guest struct {
	since  time.Time
	opened uint64 // the how many-th guest it is
	named  uint64 // the how many-th whose record became known; 0: not yet
	told   uint64 // of those up to this one it was told
	next   time.Time
	heard  map[peer.ID]bool // whom it told us of
}

// welcome notes a peer that opens the root and tells it of the others, of fewer the
// more it knows already.
func (r *Root) welcome(s *Session, known int) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.guests == nil {
		r.guests = map[*Session]*guest{}
	}
	r.opened++
	g := &guest{since: now, opened: r.opened, told: r.named, next: now.Add(tellSoon)}
	r.guests[s] = g
	r.name(s, g)
	r.introduce(s, max(len(r.guests)-1-known, leastTold), func(o *guest) bool { return o != g && o.named > 0 })
}

// known is of how many peers we know, as far as it matters to who tells us of others.
// mu is held.
func (r *Root) known() int { return max(len(r.guests), r.heard) }

// name gives a guest its number once its record is known, and reports whether
// that is so now and was not before.
func (r *Root) name(s *Session, g *guest) bool {
	if g.named > 0 || r.x.record(s.Peer) == nil {
		return false
	}
	r.named++
	g.named = r.named
	return true
}

// identified tells those who opened the root after s of it, since its record was
// lacking when they were told of the others.
func (r *Root) identified(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.guests[s]
	if g == nil || !r.name(s, g) {
		return
	}
	for other, o := range r.guests {
		if o.opened > g.opened {
			r.introduce(other, 1, func(o *guest) bool { return o == g })
		}
	}
}

// tellNews tells each guest whose time has come of those who came since.
func (r *Root) tellNews(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = 0 // they are connected by now, or were none
	for s, g := range r.guests {
		switch {
		case s.ctx.Err() != nil || !s.interested(r):
			delete(r.guests, s)
			continue
		case now.Add(tellSoon / 2).Before(g.next): // upkeep comes by every tellSoon
			continue
		case now.Sub(g.since) < tellSooner:
			g.next = now.Add(tellSoon)
		default:
			g.next = now.Add(tellLate)
		}
		if g.told < r.named {
			r.introduce(s, maxPeers, func(o *guest) bool { return o != g && o.named > g.told })
			g.told = r.named
		}
	}
}

// introduce tells s of other guests, 50 or most of them at random if there are more,
// but of nobody of whom it told us, and nothing if it has all. Their addresses are their own signed records. mu
// is held.
func (r *Root) introduce(s *Session, most int, which func(*guest) bool) {
	h := s.handleOf(r)
	if h == 0 || s.hasAll(r) {
		return // who has all seeks nobody
	}
	var told map[peer.ID]bool
	if g := r.guests[s]; g != nil {
		told = g.heard
	}
	var others []*Session
	for other, g := range r.guests {
		if other.Peer != s.Peer && !told[other.Peer] && which(g) && other.ctx.Err() == nil && other.interested(r) {
			others = append(others, other)
		}
	}
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	var records [][]byte
	for _, other := range others {
		if rec := r.x.record(other.Peer); rec != nil && len(records) < min(most, maxPeers) {
			records = append(records, rec)
		}
	}
	if len(records) > 0 {
		s.post(&pb.Message{Body: &pb.Message_Peers{Peers: &pb.Peers{Handle: h, Records: records}}})
	}
}

// named goes through the roots of a peer whose record became known.
func (x *Exchange) named(p peer.ID) {
	s := x.session(p)
	if s == nil {
		return
	}
	s.mu.Lock()
	roots := slices.Collect(maps.Keys(s.members))
	s.mu.Unlock()
	for _, r := range roots {
		r.identified(s)
	}
}

// upkeep does what is due every few seconds: peers are told of new ones, and
// connections that carry something are kept from being trimmed.
func (x *Exchange) upkeep() {
	tick := time.NewTicker(tellSoon)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-x.ctx.Done():
			return
		case now := <-tick.C:
			x.mu.Lock()
			roots := slices.Collect(maps.Values(x.roots))
			x.mu.Unlock()
			for _, r := range roots {
				r.tellNews(now)
			}
			if n%6 == 0 {
				x.lookAround()
			}
			if n%60 == 0 && x.cfg.Save != nil { // who is killed loses five minutes
				x.cfg.Save(x.server.balances())
			}
			sessions := x.Sessions()
			for _, s := range sessions {
				s.protect(now)
			}
			if x.cfg.Group {
				x.server.rate(sessions)
			}
		}
	}
}

const (
	protection  = "shoal-transfer"
	idleTooLong = 30 * time.Second // then a connection is protected no more
)

// protect keeps the connection of a peer from being trimmed while something
// goes over it. Only upkeep calls it.
func (s *Session) protect(now time.Time) {
	received, sent := s.Amounts()
	switch moved := received + sent; {
	case moved != s.moved:
		if s.kept.IsZero() {
			s.x.host.ConnManager().Protect(s.Peer, protection)
		}
		s.moved, s.kept = moved, now
	case !s.kept.IsZero() && now.Sub(s.kept) >= idleTooLong:
		s.x.host.ConnManager().Unprotect(s.Peer, protection)
		s.kept = time.Time{}
	}
}

// onPeers takes records of other peers, each signed by the one it names. What
// comes faster than an honest peer tells is passed over, and so is what is no
// such record.
func (s *Session) onPeers(p *pb.Peers) error {
	if len(p.GetRecords()) > maxPeers || slices.ContainsFunc(p.Records, func(b []byte) bool { return len(b) > maxRecord }) {
		return fmt.Errorf("%w: %d peer records, or one of more than %d bytes", errProtocol, len(p.Records), maxRecord)
	}
	r := s.rootOf(p.GetHandle())
	if r == nil || !r.owned() {
		return nil
	}
	r.hear(s, p.Records)
	var met []peer.AddrInfo
	for _, b := range p.Records[:s.mayTell(r, len(p.Records))] {
		if s.x.met(b) {
			continue
		}
		if info, err := readRecord(b); err == nil {
			met = append(met, info)
		}
	}
	if len(met) > 0 {
		r.deliver(Met{Of: r, From: s, Peers: met})
	}
	return nil
}

// hear notes of whom a peer told, right or not: it need not be told of them.
func (r *Root) hear(s *Session, records [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = max(r.heard, len(records))
	g := r.guests[s]
	if g == nil {
		return
	}
	if g.heard == nil {
		g.heard = map[peer.ID]bool{}
	}
	for _, b := range records {
		if id, err := signer(b); err == nil && len(g.heard) < mostHeard {
			g.heard[id] = true
		}
	}
}

// met reports whether a record says that it is of somebody with whom there is a
// session, or of ourselves: in a small crowd nearly all are, and their signatures
// need not be verified.
func (x *Exchange) met(b []byte) bool {
	id, err := signer(b)
	return err == nil && (id == x.host.ID() || x.session(id) != nil)
}

// signer is of whom a record says that it is.
func signer(b []byte) (peer.ID, error) {
	env, err := record.UnmarshalEnvelope(b)
	if err != nil {
		return "", err
	}
	return peer.IDFromPublicKey(env.PublicKey)
}

// mayTell is how many of n records of peers are taken of s for a root now.
func (s *Session) mayTell(r *Root, n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.members[r]
	if m == nil {
		return 0
	}
	now := time.Now()
	if m.tellFrom.IsZero() {
		m.tellFrom = now.Add(-mostTold * time.Second)
	}
	if oldest := now.Add(-mostTold * time.Second); m.tellFrom.Before(oldest) {
		m.tellFrom = oldest
	}
	n = min(n, int(now.Sub(m.tellFrom)/time.Second))
	m.tellFrom = m.tellFrom.Add(time.Duration(n) * time.Second)
	return n
}

var errNoRecord = errors.New("not a peer record of the peer that signed it")

// readRecord reads a signed peer record of a stranger.
func readRecord(b []byte) (peer.AddrInfo, error) {
	env, untyped, err := record.ConsumeEnvelope(b, peer.PeerRecordEnvelopeDomain)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	rec, ok := untyped.(*peer.PeerRecord)
	if !ok || !rec.PeerID.MatchesPublicKey(env.PublicKey) {
		return peer.AddrInfo{}, errNoRecord
	}
	const most = 16 // addresses; each is an attempt to connect
	return peer.AddrInfo{ID: rec.PeerID, Addrs: rec.Addrs[:min(len(rec.Addrs), most)]}, nil
}
