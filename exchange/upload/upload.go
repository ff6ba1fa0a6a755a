package upload

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// PeerKey names a peer; any comparable string.
type PeerKey = ledger.PeerKey

// RootKey names a root, as the caller likes: any comparable value.
type RootKey any

// Part is a run of blocks of one piece of a root that a peer asked for.
type Part struct {
	Root         RootKey
	Piece        int
	First, Count int  // blocks
	Size         int  // bytes of the whole piece
	Urgent       bool // a reader waits for it
	Free         bool // of the free set of a newcomer at the peer's address
	Tied         bool // asked of others too: to be offered before it is sent
	promised     bool // offered, or taken and not sent yet
	begun        bool // some of it was sent
}

// bytes of the blocks.
func (p Part) bytes(block int) int {
	return min((p.First+p.Count)*block, p.Size) - p.First*block
}

// Config tunes Uploads. The zero value works.
type Config struct {
	Block     int           // bytes; 64 KiB if zero
	MaxFrame  int           // blocks sent at once at most; 32 if zero
	MaxQueued int           // parts that wait of one peer; 4,096 if zero
	MaxBusy   int           // frames of one peer between Next and OnSent; 2 if zero
	MaxWindow int           // bytes on the way; 16 MiB if zero
	Ahead     time.Duration // of the line's rate kept in buffers; 100 ms if zero
	Ledger    ledger.Config
}

const (
	look = 64 // parts of a queue that are looked at: bounds what choosing costs, and how far one is moved forward
)

// Uploads decides what to send next. It is not safe for use by several
// goroutines. A peer exists from OnPeer until OnGone.
//
// Invariant: the ledger knows of as many blocks of a peer as its queue has, less
// those that are offered, and all that are tied while it is owed much or hidden, and of
// none while its window is full, MaxBusy frames of it are being sent, or it is barred. So whom
// the ledger names has something to be sent or offered. See TestBooks.
type Uploads struct {
	cfg     Config
	ledger  *ledger.Ledger
	peers   map[PeerKey]*peer
	order   []*peer // the same, by key
	givers  int     // peers that gave something and have something to be sent
	books   map[RootKey]*book
	last    *book // asked for last; nil: none
	line    uplink
	pace    pace
	got     time.Time // when somebody gave us something last
	wake    time.Time
	turns   []*peer     // whose turn has begun and is not over, in the order of begin
	offers  []Offer     // for Offers
	asked   []offered   // without an answer
	mutes   []*peer     // who are offered nothing for a while
	ties    int         // blocks that are tied and not offered
	owed    int         // blocks that are promised or of pieces that were begun, those of who does not answer left out
	shut    bool        // so many that nothing more is offered
	hidden  []*peer     // whose tied parts the ledger does not know of for that reason
	soles   []solePiece // pieces that nobody else is known to have, in the order in which they came
	plain   int         // blocks that are ready and not tied
	demand  demand
	wanting int       // peers that are no outsiders, and could be sent something or were promised it and take it
	closed  bool      // outsiders are served nothing
	shutAt  time.Time // since when, or since when none was let in
	gavers  int       // peers that gave something
	warm    uint64    // so that OnNews looks ahead
}

// peer is whom we send to.
type peer struct {
	// What OnHave needs comes first: of thousands of peers it waits for memory.
	has     []holding
	one     [1]holding // where has begins: mostly there is one root
	outside uint64     // it was no insider then, see ledger.Insiders, plus one; 0: not known
	inside  bool       // known to be an insider
	gave    bool       // known to have given something
	offers  bool       // it told of something that it has, and did not refuse it
	refused bool       // it did
	served  bool       // it was sent something
	gone    bool

	key      PeerKey
	place    string        // where it is; "" if unknown
	parts    []Part        // in the order asked
	blocks   int           // in parts: those that are ready, here and below
	tied     int           // of these in Tied parts that are not offered
	offered  int           // and in those that are
	promised int           // in promised parts: offered ones, and others
	owed     int           // in parts that are promised or begun, ready or not
	taken    int           // in promised parts that are neither tied nor free
	free     int           // in Free parts that are not tied
	tiedFree int           // and in those that are, and are not offered
	mute     time.Duration // for how long it was offered nothing when it left an offer unanswered last; 0: it answered since
	muted    time.Time     // until when it is offered nothing
	offering bool          // its tied parts are exposed
	hidden   bool          // in Uploads.hidden
	barred   bool          // nothing of it is, but what it took when it was not
	spared   bool          // and its free parts
	exposed  int           // blocks that the ledger knows of
	gratis   int           // of these as free
	giver    bool          // counted in givers
	wants    bool          // counted in wanting
	busy     int           // frames between Next and OnSent
	root     RootKey
	piece    int  // begun last; -1: none
	turn     int  // bytes left of its turn, which is for the rest of one piece
	granted  bool // it was no outsider when the turn began
	window   window
	flights  []*flight     // not acknowledged, oldest first
	took     time.Duration // until the last one was
}

// flight is a frame on its way.
type flight struct {
	peer    *peer
	bytes   int
	at      time.Time
	behind  float64   // bytes in our own line before it, as reckoned
	checked int       // uplink.checks by then
	written time.Time // zero: it is being written
}

// New returns Uploads without peers.
func New(cfg Config, rng *rand.Rand) *Uploads {
	cfg.Block = cmp.Or(cfg.Block, 64<<10)
	cfg.MaxFrame = cmp.Or(cfg.MaxFrame, 32)
	cfg.MaxQueued = cmp.Or(cfg.MaxQueued, 4096)
	cfg.MaxBusy = cmp.Or(cfg.MaxBusy, 2)
	cfg.MaxWindow = cmp.Or(cfg.MaxWindow, 16<<20)
	cfg.Ahead = cmp.Or(cfg.Ahead, 100*time.Millisecond)
	u := &Uploads{
		cfg: cfg, ledger: ledger.New(cfg.Ledger, rng),
		peers: map[PeerKey]*peer{}, books: map[RootKey]*book{},
	}
	u.demand.idle = 1
	u.line = uplink{ahead: u.cfg.Ahead, least: 2 * u.cfg.Block}
	return u
}

func (u *Uploads) newWindow() window {
	return window{min: 2 * u.cfg.Block, max: u.cfg.MaxWindow, limit: windowStart}
}

// Ledger is what orders the peers: tell it of classes, values and prefixes.
func (u *Uploads) Ledger() *ledger.Ledger { return u.ledger }

// Peer is a peer as Uploads know it, for OnNews.
type Peer = peer

// OnPeer begins to serve a peer, from a balance on. One that is known begins anew.
func (u *Uploads) OnPeer(now time.Time, key PeerKey, b ledger.Balance) *Peer {
	u.OnGone(now, key)
	p := &peer{key: key, piece: -1, window: u.newWindow()}
	p.has = p.one[:0]
	u.peers[key] = p
	at, _ := slices.BinarySearchFunc(u.order, key, byKey)
	u.order = slices.Insert(u.order, at, p)
	u.ledger.Restore(key, b)
	if b.Received > 0 {
		u.gives(p)
	}
	return p
}

func byKey(p *peer, key PeerKey) int { return cmp.Compare(p.key, key) }

// OnGone forgets a peer and what it asked for.
func (u *Uploads) OnGone(now time.Time, key PeerKey) {
	p := u.peers[key]
	if p == nil {
		return
	}
	delete(u.peers, key)
	p.gone = true
	if at, ok := slices.BinarySearchFunc(u.order, key, byKey); ok {
		u.order = slices.Delete(u.order, at, at+1)
	}
	u.give(now, p, false)
	u.want(now, p, false)
	if p.gave {
		u.gavers--
	}
	u.uncount(p)
	u.asked = slices.DeleteFunc(u.asked, func(o offered) bool { return o.peer == p })
	u.mutes = slices.DeleteFunc(u.mutes, func(q *peer) bool { return q == p })
	for _, f := range p.flights {
		u.line.lose(now, f.bytes)
	}
	u.ties -= p.tied
	u.plain -= p.blocks - p.tied - p.offered
	if p.counts() {
		u.owed -= p.owed
	}
	u.ledger.OnGone(now, key)
}

// Queue takes a request; false when the peer is unknown or has too many waiting.
func (u *Uploads) Queue(now time.Time, key PeerKey, part Part) bool {
	p := u.peers[key]
	if p == nil || len(p.parts) >= u.cfg.MaxQueued {
		return false
	}
	if !part.Tied && part.First == 0 && u.untie(p, part) {
		u.expose(now, p)
		return true
	}
	part.promised, part.begun = false, false
	u.join(p, &part)
	p.parts = append(p.parts, part)
	u.add(p, part, u.ready(part))
	u.owe(p, &part, part.Count)
	u.expose(now, p)
	return true
}

// add counts blocks of a part of a peer's queue in, or out.
func (u *Uploads) add(p *peer, part Part, blocks int) {
	p.blocks += blocks
	if part.promised {
		p.promised += blocks
	}
	if !part.Tied {
		u.plain += blocks
	}
	switch {
	case part.Tied && part.promised:
		p.offered += blocks
	case part.Tied:
		p.tied += blocks
		u.ties += blocks
		if part.Free {
			p.tiedFree += blocks
		}
	case part.Free:
		p.free += blocks
	case part.promised:
		p.taken += blocks
	}
}

// mark says of the tied parts of a piece whether they are still tied, and whether
// they are promised. False if there are none.
func (u *Uploads) mark(p *peer, root RootKey, piece int, tied, promised bool) (found bool) {
	for i := range p.parts {
		if q := &p.parts[i]; q.Tied && q.Piece == piece && q.Root == root {
			n := u.ready(*q)
			u.add(p, *q, -n)
			u.owe(p, q, -q.Count)
			q.Tied, q.promised, found = tied, promised, true
			u.owe(p, q, q.Count)
			u.add(p, *q, n)
		}
	}
	return found
}

// untie makes the tied parts of a piece like any other: the peer takes it. False
// if there are none.
func (u *Uploads) untie(p *peer, part Part) bool {
	offered := false
	for i := range p.parts {
		q := &p.parts[i]
		offered = offered || q.Piece == part.Piece && q.Tied && q.promised && q.Root == part.Root
	}
	u.answered(p, part.Root, part.Piece)
	return u.mark(p, part.Root, part.Piece, false, offered)
}

// Cancel takes the parts of a piece off a peer's queue.
func (u *Uploads) Cancel(now time.Time, key PeerKey, root RootKey, piece int) {
	u.remove(now, key, func(q *Part) bool { return q.Piece == piece && q.Root == root })
}

// Leave takes all of a root off a peer's queue.
func (u *Uploads) Leave(now time.Time, key PeerKey, root RootKey) {
	u.remove(now, key, func(q *Part) bool { return q.Root == root })
}

func (u *Uploads) remove(now time.Time, key PeerKey, match func(*Part) bool) {
	p := u.peers[key]
	if p == nil {
		return
	}
	kept := 0
	for i := range p.parts {
		if q := &p.parts[i]; match(q) {
			u.answered(p, q.Root, q.Piece)
			u.add(p, *q, -u.ready(*q))
			u.owe(p, q, -q.Count)
			continue
		}
		if kept < i {
			p.parts[kept] = p.parts[i]
		}
		kept++
	}
	if kept < len(p.parts) {
		clear(p.parts[kept:])
		p.parts = p.parts[:kept]
		u.expose(now, p)
	}
}

// OnHave tells that a peer of a root says it has count pieces from first on, and not all.
func (u *Uploads) OnHave(now time.Time, key PeerKey, root RootKey, first, count int) {
	b := u.open(root)
	if p := u.peers[key]; p != nil {
		u.had(now, p, b, first, count)
	}
}

// News is that a peer has a piece.
type News struct {
	From  *Peer // of these Uploads
	Piece int
}

// OnNews is OnHave of many at once, for who keeps a Peer so that it need not be looked
// up. News of who is gone by now are ignored.
func (u *Uploads) OnNews(now time.Time, root RootKey, news []News) {
	b := u.open(root)
	for _, n := range news { // memory is waited for once, not once for each
		if h := &n.From.one[0]; h.has(n.Piece) {
			u.warm++
		}
	}
	for _, n := range news {
		if !n.From.gone {
			u.had(now, n.From, b, n.Piece, 1)
		}
	}
}

// had notes that a peer says it has count pieces from first on.
func (u *Uploads) had(now time.Time, p *peer, b *book, first, count int) {
	for i := range count {
		u.passed(now, p, b, first+i)
		if u.insider(p) {
			u.copied(now, p, b, first+i)
			u.endSole(b, first+i)
		}
	}
	if !p.offers && count > 0 && !p.refused {
		p.offers = true
		u.expose(now, p)
	}
}

// OnTrip tells of a measured round trip to a peer. The shortest counts: what is
// longer waited in buffers.
func (u *Uploads) OnTrip(key PeerKey, trip time.Duration) {
	if p := u.peers[key]; p != nil {
		p.window.came(trip)
	}
}

// OnReceived tells the ledger what a peer gave.
func (u *Uploads) OnReceived(now time.Time, key PeerKey, n int64) {
	if p := u.peers[key]; p != nil {
		u.ledger.OnReceived(now, key, n)
		if n > 0 {
			u.got = now
			u.gives(p)
		}
		u.expose(now, p)
	}
}

// Deadline is when Next may say something else without an event; zero: only an
// event can change it.
func (u *Uploads) Deadline() time.Time { return u.wake }

// Waiting is how many parts wait in a peer's queue.
func (u *Uploads) Waiting(key PeerKey) int {
	if p := u.peers[key]; p != nil {
		return len(p.parts)
	}
	return 0
}
