package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
	"github.com/shoal-p2p/shoal/exchange/pick"
	"github.com/shoal-p2p/shoal/exchange/upload"
)

// Peer describes one peer of a crowd.
type Peer struct {
	Up, Down float64       // bytes/s
	Holder   bool          // has everything from the start
	Arrives  time.Duration // after the start
	Stay     time.Duration // as a seed once it has everything; negative: for good
	Leaves   time.Duration // after the start, with what it has then; never if zero
	Gives    float64       // leaves once it sent so many copies; never if zero

	Prefix  string        // of its address, which newcomers share; one of its own if empty
	Rides   bool          // takes and gives nothing: it tells nobody what it has
	Claims  bool          // rides, and tells what it has all the same, but rejects what it is asked
	Lies    bool          // rides, and says from the start that it has half of the pieces, drawn at random
	Grabs   bool          // rides with a client made for that, as internal/freerider
	Dials   bool          // is connected to everybody
	Renames time.Duration // rides, and comes back under another name so often
}

// Config describes a run. Zero values are defaults.
type Config struct {
	Peers    []Peer
	Pieces   int
	Origin   *Origin       // none if nil
	Whole    bool          // pieces are passed on when they are whole
	Private  bool          // all are members of one private swarm
	Piece    int           // bytes of a piece, up to 2 MiB; 1 MiB
	Block    int           // bytes of a block; 64 KiB. Larger ones are faster and coarser
	Seed     uint64        //
	View     int           // connections of a peer on average; all others if zero
	RTT      time.Duration // between any two; 1 ms, none if negative
	Path     pick.Path     // LAN if zero, as in pick
	Slots    int           // upload slots; 4
	Unit     int           // blocks that a line sends at once; 1. More is faster and coarser
	Window   int           // bytes in flight of a connection beyond what its round trip takes; 256 KiB
	Buffer   int           // bytes of a connection that count as sent before they are: those of yamux and the kernel; 4 MiB
	Standing time.Duration // that control messages wait behind data while the line is busy; 0
	Verify   time.Duration // hashing and writing a piece; 2 ms
	Tick     time.Duration // the cores of a peer are asked at most this often; 1 ms
	Overhead float64       // bytes on the wire for a payload byte; 1
	Limit    time.Duration // of virtual time; 24 h
	Cores    int           // that a run uses; 1. The result is the same, and more were no faster where others use them too
}

func (cfg Config) withDefaults() Config {
	cfg.Piece = cmp.Or(cfg.Piece, 1<<20)
	cfg.Block = cmp.Or(cfg.Block, block)
	cfg.RTT = max(0, cmp.Or(cfg.RTT, time.Millisecond))
	cfg.Slots = cmp.Or(cfg.Slots, 4)
	cfg.Unit = min(cmp.Or(cfg.Unit, 1), maxBlocks)
	cfg.Window = cmp.Or(cfg.Window, 256<<10)
	cfg.Buffer = cmp.Or(cfg.Buffer, 4<<20)
	cfg.Verify = cmp.Or(cfg.Verify, 2*time.Millisecond)
	cfg.Tick = cmp.Or(cfg.Tick, time.Millisecond)
	cfg.Overhead = cmp.Or(cfg.Overhead, 1)
	cfg.Limit = cmp.Or(cfg.Limit, 24*time.Hour)
	return cfg
}

// Crowd is a swarm in virtual time, or, while it runs, what one core sees of it:
// the events of its share of the peers.
type Crowd struct {
	engine
	share
	cfg     Config
	rng     *rand.Rand
	sizes   []int
	peers   []*peer
	lacking int // peers that are to finish and have not; of a share, less those that have
	origin  *peer
	dropped int // peers given up for dead
	left    int // downloaders that left before they had everything
	renamed int // times that somebody took another name

	elsewhere []bool // pieces that one who is no holder has, and no rider
	spread    int    // of these
	copies    float64
	worked    []time.Duration // time that lines worked, by second
	learned   []pick.News     // scratch of learn
	counted   []upload.News   // and of learnCopies
}

// New returns a crowd that has not begun.
func New(cfg Config) *Crowd {
	c := &Crowd{cfg: cfg.withDefaults(), rng: rand.New(rand.NewPCG(cfg.Seed, 0)), copies: -1}
	c.sizes = make([]int, cfg.Pieces)
	for i := range c.sizes {
		c.sizes[i] = c.cfg.Piece
	}
	c.elsewhere = make([]bool, cfg.Pieces)
	for i, spec := range cfg.Peers {
		c.peers = append(c.peers, c.newPeer(i, spec))
	}
	if cfg.Origin != nil {
		c.origin = &peer{index: len(c.peers), line: line{up: cfg.Origin.Up, down: cfg.Origin.Up}, here: true}
	}
	c.connect()
	return c
}

func (c *Crowd) newPeer(i int, spec Peer) *peer {
	p := &peer{
		spec: spec, index: i, key: fmt.Sprintf("%04d", i), byKey: map[string]*link{}, thinks: -1, timer: -1, done: -1,
		line: line{up: spec.Up, down: spec.Down},
		rng:  rand.New(rand.NewPCG(c.cfg.Seed, uint64(2*i+2))),
		have: make([]uint64, (len(c.sizes)+63)/64),
	}
	if p.spec.Prefix == "" {
		p.spec.Prefix = p.key
	}
	p.partial = map[int]*link{}
	if spec.Lies {
		p.lies = make([]uint64, len(p.have))
		for i := range c.sizes {
			p.lies[i>>6] |= p.rng.Uint64() & 1 << (i & 63)
		}
	}
	p.free = ledger.FreeSet(p.spec.Prefix, root.(string), len(c.sizes))
	p.thought = -c.cfg.Tick
	p.server = server{slots: c.cfg.Slots, uploads: upload.New(
		upload.Config{Block: c.cfg.Block, MaxFrame: maxBlocks, MaxQueued: maxQueued, MaxBusy: perPeer},
		rand.New(rand.NewPCG(c.cfg.Seed, uint64(2*i+3))),
	)}
	if spec.Holder {
		for piece := range c.sizes {
			p.add(piece)
		}
	} else {
		c.lacking++
	}
	return p
}

func (c *Crowd) holderCopies() float64 {
	var n int64
	for _, p := range c.peers {
		if p.spec.Holder {
			n += p.sentAll
		}
	}
	return float64(n) / float64(len(c.sizes)*c.cfg.Piece)
}

// standing is what a control message waits behind data.
func (c *Crowd) standing(p *peer) time.Duration {
	if p.busy {
		return c.cfg.Standing
	}
	return 0
}

// note adds to the time that lines worked.
func (c *Crowd) note(at, took time.Duration) {
	i := int(at / time.Second)
	for len(c.worked) <= i {
		c.worked = append(c.worked, 0)
	}
	c.worked[i] += took
}

// span is the bytes of count blocks of a piece from block first on.
func (c *Crowd) span(piece, first, count int) int {
	size := c.sizes[piece]
	return min(size, (first+count)*c.cfg.Block) - min(size, first*c.cfg.Block)
}

func (c *Crowd) blocks(piece int) int { return (c.sizes[piece] + c.cfg.Block - 1) / c.cfg.Block }
