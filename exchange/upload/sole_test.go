package upload

import (
	"slices"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// newSoleLine is a line of 2 MiB/s that is in the midst of pieces which others have too:
// peers 0 and 1, who gave something, each get a few.
func newSoleLine() *line {
	l := newLine(2<<20, 10*time.Millisecond)
	l.size = 16 * block
	l.u.OnPeer(l.now, "has", ledger.Balance{Received: 1})
	l.u.OnHave(l.now, "has", 1, 0, 8)
	for i := range 2 {
		l.u.OnPeer(l.now, peerOf(byte(i)), ledger.Balance{Received: 1})
		l.u.OnTrip(peerOf(byte(i)), l.trip)
		l.ask(peerOf(byte(i)), 2*i, 2*i+1)
	}
	l.run(l.now.Add(700 * time.Millisecond))
	l.sent = nil
	return l
}

func (l *line) ask(key PeerKey, pieces ...int) {
	for _, i := range pieces {
		l.u.Queue(l.now, key, Part{Root: 1, Piece: i, Count: 16, Size: 16 * block})
	}
}

// before is how many blocks of other pieces go out until all of a piece has, -1 if it
// does not go out.
func (l *line) before(piece int) (others int) {
	left := 16
	for _, p := range l.sent {
		if p.Piece != piece {
			others += p.Count
		} else if left -= p.Count; left == 0 {
			return others
		}
	}
	return -1
}

// What came and nobody else has goes out once before the rest of what was begun.
func TestSole(t *testing.T) {
	t.Parallel()
	l := newSoleLine()
	l.u.OnWhole(l.now, 1, 9)
	l.ask(peerOf(1), 9)
	l.run(l.now.Add(3 * time.Second))
	if n := l.before(9); n < 0 || n > 4 {
		t.Errorf("%d blocks of others go before it", n)
	}
	if n := l.blocksOf(0) + l.blocksOf(1) + l.blocksOf(2) + l.blocksOf(3); n < 32 {
		t.Errorf("%d blocks go out of what was begun", n)
	}
	l.sent = nil
	l.ask(peerOf(0), 4, 5)
	l.run(l.now.Add(200 * time.Millisecond))
	l.ask(peerOf(0), 9) // a second copy is like any other
	l.run(l.now.Add(3 * time.Second))
	if n := l.before(9); n < 16 {
		t.Errorf("%d blocks of others go before the second copy", n)
	}
}

// The same if it has to be offered, even though enough is promised.
func TestSoleIsOffered(t *testing.T) {
	t.Parallel()
	l := newSoleLine()
	l.u.OnWhole(l.now, 1, 9)
	l.u.Queue(l.now, peerOf(1), Part{Root: 1, Piece: 9, Count: 16, Size: 16 * block, Tied: true})
	l.run(l.now.Add(3 * time.Second))
	if n := l.before(9); n < 0 || n > 8 {
		t.Errorf("%d blocks of others go before it", n)
	}
}

// It goes to nobody first who gave nothing, passed nothing on and had his turn.
func TestSoleForInsiders(t *testing.T) {
	t.Parallel()
	l := newSoleLine()
	l.u.OnPeer(l.now, peerOf(2), ledger.Balance{})
	l.ask(peerOf(2), 8)
	l.run(l.now.Add(3 * time.Second))
	if p := l.u.peers[peerOf(2)]; !l.u.outsider(p) {
		t.Fatal("no outsider")
	}
	l.ask(peerOf(0), 4, 5)
	l.run(l.now.Add(200 * time.Millisecond))
	l.sent = nil
	l.u.OnWhole(l.now, 1, 9)
	l.ask(peerOf(2), 9)
	l.run(l.now.Add(time.Second))
	if n := l.before(9); n >= 0 && n < 16 {
		t.Errorf("an outsider has it after %d blocks of others", n)
	}
	l.u.OnPeer(l.now, peerOf(3), ledger.Balance{})
	l.u.OnHave(l.now, peerOf(3), 1, 3, 1)
	l.u.OnWhole(l.now, 1, 10)
	l.ask(peerOf(3), 10)
	l.ask(peerOf(1), 10)
	if p, _ := l.u.heir(l.now, solePiece{l.u.find(1), 10}); p == nil || p.key != peerOf(1) {
		t.Errorf("of an insider and a newcomer not the insider is to have it")
	}
}

// Who is sent it and leaves was the only one: another has it next. Who has it already
// needs no hurry.
func TestSoleAgain(t *testing.T) {
	t.Parallel()
	l := newSoleLine()
	l.u.OnWhole(l.now, 1, 9)
	l.u.OnWhole(l.now, 1, 7)
	if want := []solePiece{{l.u.find(1), 9}}; !slices.Equal(l.u.soles, want) {
		t.Fatalf("%v are sole, want %v", l.u.soles, want)
	}
	l.ask(peerOf(1), 9)
	l.run(l.now.Add(2 * time.Second))
	if len(l.u.soles) > 0 {
		t.Fatalf("%v are sole", l.u.soles)
	}
	l.ask(peerOf(0), 4, 5, 6)
	l.run(l.now.Add(300 * time.Millisecond))
	l.sent = nil
	l.u.OnGone(l.now, peerOf(1))
	l.ask(peerOf(0), 9)
	l.run(l.now.Add(2 * time.Second))
	if n := l.before(9); n < 0 || n > 4 {
		t.Errorf("%d blocks of others go before it", n)
	}
	l.u.OnWhole(l.now, 1, 20)
	l.u.Queue(l.now, peerOf(0), Part{Root: 1, Piece: 20, First: 12, Count: 4, Size: 16 * block})
	l.run(l.now.Add(time.Second))
	if len(l.u.soles) != 1 {
		t.Errorf("%v are sole after a part of one was sent", l.u.soles)
	}
	if l.u.Forget(1); len(l.u.soles) > 0 {
		t.Errorf("%v are sole, of a root that is forgotten", l.u.soles)
	}
}
