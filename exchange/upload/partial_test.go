package upload

import (
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// newPartialLine is a line to two peers, the first of which asked for a piece of which
// so many blocks have come.
func newPartialLine(blocks int) *line {
	l := newLine(3<<20, time.Millisecond)
	for i := range 2 {
		l.u.OnPeer(l.now, peerOf(byte(i)), ledger.Balance{})
	}
	l.u.OnPartial(l.now, 1, 0, blocks)
	l.u.Queue(l.now, peerOf(0), Part{Root: 1, Piece: 0, Count: 16, Size: 16 * block})
	return l
}

// blocksOf is how many blocks of a piece were sent.
func (l *line) blocksOf(piece int) (n int) {
	for _, p := range l.sent {
		if p.Piece == piece {
			n += p.Count
		}
	}
	return n
}

// Of a piece that is being got no more is sent than has come.
func TestPartial(t *testing.T) {
	t.Parallel()
	l := newPartialLine(4)
	l.u.Queue(l.now, peerOf(1), Part{Root: 1, Piece: 0, Count: 16, Size: 16 * block, Tied: true})
	l.run(l.now.Add(time.Second))
	if n := l.blocksOf(0); n != 4 {
		t.Fatalf("%d blocks of the 4 that are here", n)
	}
	if o := l.u.Offers(); len(o) != 1 || o[0].Peer != peerOf(1) {
		t.Errorf("offers %v", o)
	}
	l.u.OnPartial(l.now, 1, 0, 10)
	l.run(l.now.Add(time.Second))
	if n := l.blocksOf(0); n != 10 {
		t.Fatalf("%d blocks of the 10 that are here", n)
	}
	l.u.OnWhole(l.now, 1, 0)
	l.run(l.now.Add(time.Second))
	if n := l.blocksOf(0); n != 16 {
		t.Fatalf("%d blocks of all", n)
	}
}

// Nothing more comes: what waited is off the queues.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	l := newPartialLine(3)
	l.u.Queue(l.now, peerOf(1), Part{Root: 1, Piece: 1, Count: 16, Size: 16 * block})
	for piece := range 2 {
		l.u.Withdraw(l.now, 1, piece)
	}
	if l.u.Waiting(peerOf(0)) > 0 || l.u.Waiting(peerOf(1)) != 1 {
		t.Errorf("%d parts wait of what was withdrawn, %d of what is whole", l.u.Waiting(peerOf(0)), l.u.Waiting(peerOf(1)))
	}
}

// Receivers whose own lines are what is slow keep nobody else from being served: two
// that take half the rate each fill the line.
func TestSlowReceivers(t *testing.T) {
	t.Parallel()
	const rate = 2.5e6
	l := newLine(rate, time.Millisecond)
	clear := map[PeerKey]time.Time{}
	for i := range 3 {
		l.u.OnPeer(l.now, peerOf(byte(i)), ledger.Balance{})
		l.u.OnTrip(peerOf(byte(i)), l.trip)
		for piece := range 40 {
			l.u.Queue(l.now, peerOf(byte(i)), Part{Root: 1, Piece: piece, Count: 16, Size: 16 * block})
		}
	}
	l.late = func(to PeerKey, left time.Time, n int) time.Time { // a third of the rate
		at := clear[to]
		if at.Before(left) {
			at = left
		}
		clear[to] = at.Add(time.Duration(float64(n) / (rate / 3) * 1e9))
		return clear[to]
	}
	l.run(l.now.Add(2 * time.Second))
	from := l.bytes()
	l.run(l.now.Add(8 * time.Second))
	if got := float64(l.bytes()-from) / 8; got < 0.9*rate {
		t.Errorf("%.0f bytes/s of %.0f", got, rate)
	}
}

// A peer that leaves is not counted among those who have what it had.
func TestUncount(t *testing.T) {
	t.Parallel()
	l := newLine(3<<20, time.Millisecond)
	for i := range 2 {
		l.u.OnPeer(l.now, peerOf(byte(i)), ledger.Balance{Received: 1})
		l.u.OnHave(l.now, peerOf(byte(i)), 1, 0, 2)
		l.u.OnHave(l.now, peerOf(byte(i)), 1, 1, 2)
	}
	l.u.OnGone(l.now, peerOf(0))
	for piece, want := range []int{1, 1, 1, 0} {
		if got := l.u.Known(1, piece); got != want {
			t.Errorf("%d copies of piece %d", got, piece)
		}
	}
}

// Who asks for what nobody else has goes before those who ask for what others have,
// too; but not before who gave something.
func TestRarer(t *testing.T) {
	t.Parallel()
	l := newLine(3<<20, time.Millisecond)
	for i, b := range []ledger.Balance{{}, {}, {Received: 1}} {
		l.u.OnPeer(l.now, peerOf(byte(i)), b)
	}
	l.u.OnPeer(l.now, "has", ledger.Balance{Received: 1})
	l.u.OnHave(l.now, "has", 1, 0, 5)
	l.u.Queue(l.now, peerOf(0), Part{Root: 1, Piece: 0, Count: 1, Size: block})
	l.u.Queue(l.now, peerOf(1), Part{Root: 1, Piece: 9, Count: 1, Size: block})
	if _, p, _ := l.u.Next(l.now); p.Piece != 9 {
		t.Errorf("piece %d goes first", p.Piece)
	}
	l.u.Queue(l.now, peerOf(1), Part{Root: 1, Piece: 8, Count: 1, Size: block})
	l.u.Queue(l.now, peerOf(2), Part{Root: 1, Piece: 1, Count: 1, Size: block})
	l.u.Next(l.now)
	if o := l.u.Offers(); len(o) != 1 || o[0].Peer != peerOf(2) || o[0].Piece != 1 {
		t.Errorf("who gave is not offered what others have: %v", o)
	}
}
