package sim

import (
	"math/bits"
	"math/rand/v2"
	"time"

	"github.com/shoal-p2p/shoal/exchange/pick"
	"github.com/shoal-p2p/shoal/exchange/upload"
)

// peer is a node of the swarm: its line, its server, and its download unless it
// holds everything.
type peer struct {
	// What news need comes first: of thousands of peers they wait for memory.
	picker  *pick.Picker
	grab    *grab // in its place, of one that grabs
	policy  *spending
	unasked []news // for the picker
	unsent  []news // for the server

	line
	server
	spec    Peer
	home    *Crowd // where its events happen
	index   int
	begun   uint64 // events that came of its own
	key     string
	rng     *rand.Rand
	links   []*link
	byKey   map[string]*link
	byHome  [][]*link // links of the other ends, by their share
	grouped int       // links when that was made
	here    bool      // arrived and has not left

	free    []int // its free set
	sending *link // whose unit is on the line
	have    []uint64
	lies    []uint64 // what it says that it has, if that is not what it has
	count   int      // pieces had
	fresh   []int
	partial map[int]*link // pieces that are passed on as they come, and from where
	coming  []int         // of these, to be told
	batch   bool          // of have is due

	thinks  time.Duration // when the cores are asked after an event; negative: not
	wakes   time.Duration // when they are asked without one
	timer   time.Duration // of the event for that, which may come before; negative: there is none
	thought time.Duration // when they were asked last
	looked  time.Duration // when they were asked who is dead
	useful  time.Duration // when the last block came that helped
	sought  time.Duration // when it looked for more peers

	began, done time.Duration // done is negative until everything is here
	received    int64         // payload bytes that helped
	wasted      int64         // payload bytes that came and did not
}

// link is a connection as one of its ends sees it.
type link struct {
	self, other *peer
	back        *link        // as the other end sees it
	asks        *pick.Peer   // the other end as downloader's picker knows it; nil: not
	serves      *upload.Peer // and as the server does
	delay       time.Duration
	live        bool
	window      int           // bytes in flight at most
	told        time.Duration // when the last control message comes

	// As server.
	writing []*frame // handed to the transport, not taken yet
	sent    int64

	// What the line sends.
	frames   []*frame
	inFlight int

	// As downloader.
	pending []incoming
	request *request // that the other end, the origin, answers
}

// incoming is a piece that was asked for; blocks have one bit each.
type incoming struct {
	piece   int
	missing uint32
}

// fetches reports whether a peer has a download.
func (p *peer) fetches() bool { return p.picker != nil || p.grab != nil }

func (p *peer) has(piece int) bool { return p.have[piece>>6]>>(piece&63)&1 == 1 }

// add notes a piece and reports whether it is new.
func (p *peer) add(piece int) bool {
	if p.has(piece) {
		return false
	}
	p.have[piece>>6] |= 1 << (piece & 63)
	p.count++
	return true
}

// says calls f for the maximal runs of pieces that p says it has.
func (p *peer) says(f func(first, count int)) {
	have := p.have
	switch {
	case p.lies != nil:
		have = p.lies
	case p.spec.Rides && !p.spec.Claims:
		return
	}
	first, count := 0, 0
	for w, x := range have {
		for ; x != 0; x &= x - 1 {
			switch i := w<<6 + bits.TrailingZeros64(x); {
			case count > 0 && i == first+count:
				count++
			default:
				if count > 0 {
					f(first, count)
				}
				first, count = i, 1
			}
		}
	}
	if count > 0 {
		f(first, count)
	}
}

// waiting returns what a link was asked for of a piece, nil if nothing.
func (l *link) waiting(piece int) *incoming {
	for i := range l.pending {
		if l.pending[i].piece == piece {
			return &l.pending[i]
		}
	}
	return nil
}

// drop forgets a piece that was asked for and reports whether it was.
func (l *link) drop(piece int) bool {
	for i := range l.pending {
		if l.pending[i].piece == piece {
			l.pending[i] = l.pending[len(l.pending)-1]
			l.pending = l.pending[:len(l.pending)-1]
			return true
		}
	}
	return false
}
