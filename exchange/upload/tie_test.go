package upload

import (
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// What two asked of us alone goes to the first; the other is asked whether it still
// wants it, since it may be getting it from the first.
func TestGoneToOne(t *testing.T) {
	t.Parallel()
	l := newLine(3<<20, time.Millisecond)
	for i := range 2 {
		l.u.OnPeer(l.now, peerOf(byte(i)), ledger.Balance{})
		l.u.Queue(l.now, peerOf(byte(i)), Part{Root: 1, Count: 16, Size: 16 * block})
	}
	first, _, ok := l.u.Next(l.now)
	if !ok {
		t.Fatal("nothing is sent")
	}
	l.run(l.now.Add(time.Second))
	if got := l.got[peerOf(0)] + l.got[peerOf(1)]; got > 16*block {
		t.Errorf("%d bytes are sent of a piece that the other did not take", got)
	}
	if o := l.u.Offers(); len(o) != 1 || o[0].Peer == first {
		t.Errorf("offers %v", o)
	}
	third := peerOf(2) // who asks later is treated the same
	l.u.OnPeer(l.now, third, ledger.Balance{})
	l.u.Queue(l.now, third, Part{Root: 1, Count: 4, Size: 16 * block})
	l.u.Queue(l.now, third, Part{Root: 1, First: 4, Count: 12, Size: 16 * block})
	l.u.Queue(l.now, third, Part{Root: 1, Piece: 7, Count: 1, Size: block, Urgent: true})
	if p := l.u.peers[third]; p.tied+p.offered != 16 {
		t.Errorf("%d blocks of the piece are to be offered", p.tied+p.offered)
	}
	if _, part, _ := l.u.Next(l.now); part.Piece != 7 {
		t.Errorf("piece %d goes out", part.Piece)
	}
}

// Of a piece that is coming only what is here can be sent, but who takes it is owed
// all of it, and so it is not promised to many.
func TestComingIsOwedWhole(t *testing.T) {
	t.Parallel()
	l := newLine(3<<20, time.Millisecond)
	l.u.OnPartial(l.now, 1, 0, 2)
	for i := range 5 {
		l.u.OnPeer(l.now, peerOf(byte(i)), ledger.Balance{})
		l.u.Queue(l.now, peerOf(byte(i)), Part{Root: 1, Count: 16, Size: 16 * block, Tied: true})
	}
	l.u.Next(l.now)
	if o := l.u.Offers(); len(o) != leastPromised>>20 {
		t.Errorf("%d offers of a piece of which two blocks are here", len(o))
	}
}

// A newcomer whose turn ended since he took its piece back is offered what is free,
// and not sent something else.
func TestFreeAfterTurn(t *testing.T) {
	t.Parallel()
	l := newLine(3<<20, time.Millisecond)
	newcomer, giver := peerOf(0), peerOf(1)
	l.u.OnPeer(l.now, newcomer, ledger.Balance{})
	l.u.Queue(l.now, newcomer, Part{Root: 1, Count: 16, Size: 16 * block})
	l.u.Next(l.now)
	l.u.Cancel(l.now, newcomer, 1, 0)
	l.u.OnPeer(l.now, giver, ledger.Balance{Received: 1, Sent: 64 << 20})
	l.u.Queue(l.now, giver, Part{Root: 1, Piece: 1, Count: 1, Size: block})
	l.u.Queue(l.now, newcomer, Part{Root: 1, Piece: 2, Count: 1, Size: block})
	l.u.Queue(l.now, newcomer, Part{Root: 1, Piece: 3, Count: 1, Size: block, Tied: true, Free: true})
	l.u.Next(l.now)
	if o := l.u.Offers(); len(o) != 1 || o[0] != (Offer{newcomer, 1, 3}) {
		t.Errorf("offers %v", o)
	}
}
