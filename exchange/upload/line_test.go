package upload

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// line is an uplink of a rate: frames leave it one after the other and are
// acknowledged a round trip later.
type line struct {
	u    *Uploads
	rate float64
	trip time.Duration
	now  time.Time
	free time.Time // when it has sent all
	acks []ack
	sent []Part
	got  map[PeerKey]int // bytes sent
	most int             // bytes in its buffers
	held int
	late func(to PeerKey, left time.Time, n int) time.Time // when a frame that left our line has come; nil: at once
	size int                                               // of the pieces whose offers are taken after a round trip; 0: the test answers
	took []taken
}

// taken is an offer that is taken then.
type taken struct {
	Offer
	at time.Time
}

// answer takes offers.
func (l *line) answer() {
	if l.size == 0 {
		return
	}
	for _, o := range l.u.Offers() {
		l.took = append(l.took, taken{o, l.now.Add(l.trip)})
	}
	for len(l.took) > 0 && !l.now.Before(l.took[0].at) {
		o := l.took[0]
		l.took = l.took[1:]
		l.u.Queue(l.now, o.Peer, Part{Root: o.Root, Piece: o.Piece, Count: l.size / block, Size: l.size})
	}
}

type ack struct {
	given
	at time.Time
}

// run passes time until the time given, sending what Next says.
func (l *line) run(until time.Time) {
	for l.now.Before(until) {
		for {
			key, part, ok := l.u.Next(l.now)
			if !ok {
				break
			}
			l.u.OnSent(l.now, key, part, true)
			n := part.bytes(block)
			l.got[key] += n
			if l.free.Before(l.now) {
				l.free = l.now
			}
			l.free = l.free.Add(time.Duration(float64(n) / l.rate * 1e9))
			came := l.free
			if l.late != nil {
				came = l.late(key, l.free, n)
			}
			l.acks = append(l.acks, ack{given{key, part}, came.Add(l.trip)})
			slices.SortStableFunc(l.acks, func(a, b ack) int { return a.at.Compare(b.at) })
			l.sent = append(l.sent, part)
			l.held += n
			l.most = max(l.most, l.held)
		}
		l.now = l.now.Add(time.Millisecond)
		l.answer()
		for len(l.acks) > 0 && !l.now.Before(l.acks[0].at) {
			a := l.acks[0]
			l.acks = l.acks[1:]
			l.held -= a.part.bytes(block)
			l.u.OnAcked(l.now, a.to, a.part.bytes(block))
		}
	}
}

// bytes is how much was sent.
func (l *line) bytes() (sum int) {
	for _, p := range l.sent {
		sum += p.bytes(block)
	}
	return sum
}

func newLine(rate float64, trip time.Duration) *line {
	now := time.Unix(1_700_000_000, 0)
	return &line{u: New(Config{}, rand.New(rand.NewPCG(1, 2))), rate: rate, trip: trip, now: now, free: now, got: map[PeerKey]int{}}
}

// The few bytes with which a dag-pb leaf goes beyond whole blocks need no frame of their own.
func TestSmallRest(t *testing.T) {
	t.Parallel()
	for rest, want := range map[int]int{0: 2, 14: 2, block / 8: 2, block/8 + 1: 3, block: 3} {
		l := newLine(3<<20, time.Millisecond)
		l.u.OnPeer(l.now, peerOf(0), ledger.Balance{})
		l.u.Queue(l.now, peerOf(0), Part{Root: 1, Count: (4*block + rest + block - 1) / block, Size: 4*block + rest})
		l.run(l.now.Add(time.Second))
		if len(l.sent) != want || l.got[peerOf(0)] != 4*block+rest {
			t.Errorf("%d bytes beyond 4 blocks: %d frames, want %d, with %d bytes", rest, len(l.sent), want, l.got[peerOf(0)])
		}
	}
}

// Whatever the line is like, it is kept busy, and its buffers are kept short.
func TestWindow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rate float64
		trip time.Duration
	}{
		"home, near":  {3 << 20, time.Millisecond},
		"home, far":   {3 << 20, 200 * time.Millisecond},
		"server, far": {60 << 20, 100 * time.Millisecond},
		"modem":       {100 << 10, 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLine(c.rate, c.trip)
			l.size = 1 << 20
			for i := range 4 {
				l.u.OnPeer(l.now, peerOf(byte(i)), ledger.Balance{})
				l.u.OnTrip(peerOf(byte(i)), c.trip)
				for piece := range 1000 {
					l.u.Queue(l.now, peerOf(byte(i)), Part{Root: 1, Piece: piece, Count: 16, Size: 1 << 20})
				}
			}
			l.run(l.now.Add(20 * time.Second))
			l.most = 0
			began, from := l.now, len(l.sent)
			l.run(l.now.Add(10 * time.Second))
			bytes := 0
			for _, p := range l.sent[from:] {
				bytes += p.bytes(block)
			}
			if got := float64(bytes+block) / l.now.Sub(began).Seconds(); got < 0.95*c.rate {
				t.Errorf("%.0f bytes/s of %.0f", got, c.rate)
			}
			most := c.rate*(c.trip.Seconds()+0.25)*1.5 + 5*block
			if float64(l.most) > most {
				t.Errorf("%d bytes on the way, at most %.0f wanted", l.most, most)
			}
		})
	}
}

// A holder gives every piece away once before it gives any twice, a piece after
// the other, although everybody asks for the same ones in the same order.
func TestDistinctFirst(t *testing.T) {
	t.Parallel()
	const pieces, peers = 16, 4
	l := newLine(3<<20, time.Millisecond)
	for i := range peers {
		l.u.OnPeer(l.now, peerOf(byte(i)), ledger.Balance{})
		l.u.OnTrip(peerOf(byte(i)), l.trip)
		for piece := range pieces {
			l.u.Queue(l.now, peerOf(byte(i)), Part{Root: 1, Piece: piece, Count: 16, Size: 1 << 20})
		}
	}
	l.run(l.now.Add(time.Duration(float64(pieces<<20) / l.rate * 1e9)))
	began := map[int]int{}
	last, switches := -1, 0
	for _, p := range l.sent {
		if p.First == 0 {
			began[p.Piece]++
		}
		if p.Piece != last {
			last, switches = p.Piece, switches+1
		}
	}
	if len(began) != pieces || switches > 4*pieces {
		t.Errorf("%d of %d pieces given away, %d changes of piece", len(began), pieces, switches)
	}
}

// What a peer announces is not given away first, if it has shown that it gives.
func TestRareFirst(t *testing.T) {
	t.Parallel()
	l := newLine(3<<20, time.Millisecond)
	l.u.OnPeer(l.now, peerOf(0), ledger.Balance{Received: 1})
	l.u.OnPeer(l.now, "liar", ledger.Balance{})
	l.u.OnHave(l.now, peerOf(0), 1, 0, 3)
	l.u.OnHave(l.now, "liar", 1, 3, 1)
	for piece := range 4 {
		l.u.Queue(l.now, peerOf(0), Part{Root: 1, Piece: piece, Count: 1, Size: block})
	}
	if _, part, _ := l.u.Next(l.now); part.Piece != 3 {
		t.Errorf("piece %d first", part.Piece)
	}
	l.u.Queue(l.now, peerOf(0), Part{Root: 1, Piece: 2, Count: 1, Size: block, Urgent: true})
	if _, part, _ := l.u.Next(l.now); part.Piece != 2 {
		t.Errorf("piece %d before the urgent one", part.Piece)
	}
}

// A peer that takes nothing does not keep the line from others.
func TestSilentReceiver(t *testing.T) {
	t.Parallel()
	l := newLine(3<<20, time.Millisecond)
	for i := range 2 {
		l.u.OnPeer(l.now, peerOf(byte(i)), ledger.Balance{})
		for piece := range 100 {
			l.u.Queue(l.now, peerOf(byte(i)), Part{Root: 1, Piece: piece, Count: 16, Size: 1 << 20})
		}
	}
	taken := 0
	for range 2000 {
		for {
			key, part, ok := l.u.Next(l.now)
			if !ok {
				break
			}
			l.u.OnSent(l.now, key, part, true)
			if key == peerOf(1) {
				taken += part.bytes(block)
				l.u.OnAcked(l.now.Add(time.Millisecond), key, part.bytes(block))
			}
		}
		l.now = l.now.Add(time.Millisecond)
	}
	if taken < 50<<20 {
		t.Errorf("%d bytes taken", taken)
	}
}

// A piece that was begun is finished before another begins, whoever gives what
// meanwhile, and however many wait.
func TestWholePieces(t *testing.T) {
	t.Parallel()
	const peers = 5
	l := newLine(3<<20, time.Millisecond)
	for i := range peers {
		l.u.OnPeer(l.now, peerOf(byte(i)), ledger.Balance{})
		l.u.OnTrip(peerOf(byte(i)), l.trip)
		for piece := range 20 {
			for first := 0; first < 16; first += 4 { // as a peer with a short window asks
				l.u.Queue(l.now, peerOf(byte(i)), Part{Root: 1, Piece: peers*piece + i, First: first, Count: 4, Size: 1 << 20})
			}
		}
	}
	for i := range 100 {
		l.u.OnReceived(l.now, peerOf(byte(i)), 1<<20)
		l.run(l.now.Add(100 * time.Millisecond))
		if i%7 == 0 {
			l.u.Cancel(l.now, peerOf(byte(i+1)), 1, peers*(i/7)+(i+1)%peers)
		}
	}
	begun, last := 0, -1
	for i, p := range l.sent {
		if p.Piece != last && last >= 0 && l.sent[i-1].First+l.sent[i-1].Count < 16 {
			begun++
		}
		last = p.Piece
	}
	if begun > 20 { // what was cancelled, and while windows grow at first
		t.Errorf("%d pieces of %d frames were left for others", begun, len(l.sent))
	}
}

// A peer that asks for the same blocks again and again gets no more than turns.
func TestTurnEnds(t *testing.T) {
	t.Parallel()
	l := newLine(3<<20, time.Millisecond)
	for i := range 2 {
		l.u.OnPeer(l.now, peerOf(byte(i)), ledger.Balance{})
		l.u.OnTrip(peerOf(byte(i)), l.trip)
		for range 100 {
			l.u.Queue(l.now, peerOf(byte(i)), Part{Root: 1, Piece: i, Count: 15, Size: 1 << 20})
		}
	}
	l.run(l.now.Add(10 * time.Second))
	got := map[int]int{}
	for _, p := range l.sent {
		got[p.Piece] += p.bytes(block)
	}
	if d := got[0] - got[1]; d > 2<<20 || d < -2<<20 {
		t.Errorf("one got %d bytes, the other %d", got[0], got[1])
	}
}

// What was asked of others too is offered first, once, and sent when the peer
// takes it. To one that does not answer it is offered again.
func TestOffer(t *testing.T) {
	t.Parallel()
	l := newLine(3<<20, time.Millisecond)
	l.u.OnPeer(l.now, peerOf(0), ledger.Balance{})
	for piece := range 2 {
		l.u.Queue(l.now, peerOf(0), Part{Root: 1, Piece: piece, Count: 16, Size: 16 * block, Tied: true})
	}
	for range 2 {
		if _, part, ok := l.u.Next(l.now); ok {
			t.Fatalf("piece %d was sent without asking", part.Piece)
		}
	}
	if o := l.u.Offers(); len(o) != 1 || o[0].Piece != 0 {
		t.Fatalf("offers %v", o)
	}
	l.u.Queue(l.now, peerOf(0), Part{Root: 1, Piece: 0, Count: 16, Size: 16 * block})
	key, part, ok := l.u.Next(l.now)
	if !ok || part.Piece != 0 {
		t.Fatalf("%v %v", part, ok)
	}
	l.u.OnSent(l.now, key, part, true)
	l.u.OnAcked(l.now, key, part.bytes(block))
	l.run(l.now.Add(250 * time.Millisecond))
	if o := l.u.Offers(); len(o) != 1 || o[0].Piece != 1 {
		t.Fatalf("offers %v while the first is sent", o)
	}
	l.u.Cancel(l.now, peerOf(0), 1, 0)
	l.run(l.now.Add(offerTime + leastMute))
	if last := l.sent[len(l.sent)-1]; last.Piece != 0 {
		t.Error("sent without an answer")
	}
	if o := l.u.Offers(); len(o) != 1 || o[0].Piece != 1 {
		t.Fatalf("offers %v", o)
	}
}

// However many wait for what others have too, no more is promised than is sent
// soon; and the line never waits for an answer.
func TestPromises(t *testing.T) {
	t.Parallel()
	const peers = 5
	l := newLine(3<<20, time.Millisecond)
	for i := range peers {
		l.u.OnPeer(l.now, peerOf(byte(i)), ledger.Balance{Received: 1 << 20})
		l.u.OnTrip(peerOf(byte(i)), l.trip)
		for piece := range 30 {
			l.u.Queue(l.now, peerOf(byte(i)), Part{Root: 1, Piece: peers*piece + i, Count: 16, Size: 1 << 20, Tied: true})
		}
	}
	type answer struct {
		o  Offer
		at time.Time
	}
	var answers []answer
	taken := 0
	from, end := l.now, l.now.Add(20*time.Second)
	for l.now.Before(end) {
		l.run(l.now.Add(10 * time.Millisecond))
		for _, o := range l.u.Offers() {
			answers = append(answers, answer{o, l.now.Add(300 * time.Millisecond)})
		}
		for len(answers) > 0 && !l.now.Before(answers[0].at) {
			o := answers[0].o
			l.u.Queue(l.now, o.Peer, Part{Root: 1, Piece: o.Piece, Count: 16, Size: 1 << 20})
			answers, taken = answers[1:], taken+1
		}
		if ahead := (taken+len(answers))<<20 - l.bytes(); ahead > 3<<20 {
			t.Fatalf("%d bytes promised and not sent after %v", ahead, l.now.Sub(from))
		}
	}
	if got := float64(l.bytes()) / end.Sub(from).Seconds(); got < 0.93*l.rate {
		t.Errorf("%.0f bytes/s of %.0f", got, l.rate)
	}
}

// Peers that do not answer offers keep nobody else from being served.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	l := newLine(3<<20, time.Millisecond)
	for i := range 5 {
		l.u.OnPeer(l.now, peerOf(byte(i)), ledger.Balance{})
		l.u.OnTrip(peerOf(byte(i)), l.trip)
		for piece := range 100 {
			l.u.Queue(l.now, peerOf(byte(i)), Part{Root: 1, Piece: piece, Count: 16, Size: 1 << 20, Tied: true})
		}
	}
	for end := l.now.Add(20 * time.Second); l.now.Before(end); {
		l.run(l.now.Add(10 * time.Millisecond))
		for _, o := range l.u.Offers() {
			if o.Peer == peerOf(4) {
				l.u.Queue(l.now, o.Peer, Part{Root: 1, Piece: o.Piece, Count: 16, Size: 1 << 20})
			}
		}
	}
	if got := float64(l.bytes()) / 20; got < 0.7*l.rate {
		t.Errorf("%.0f bytes/s of %.0f", got, l.rate)
	}
}
