package upload

import (
	"testing"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// A seed, which is given nothing, gives to those who pass on, but not to one that
// has another name of his, or a stranger, say so.
func TestPassed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		place  string // of the one who says that he has it now
		served bool   // and had something from us before
		again  bool   // somebody else was given the piece before, and has left
		first  PeerKey
	}{
		"passed on":              {"192.0.2.9", true, false, peerOf(0)},
		"by a name at his place": {"192.0.2.1", true, false, peerOf(1)},
		"as a stranger says":     {"192.0.2.9", false, false, peerOf(1)},
		"given away before":      {"192.0.2.9", true, true, peerOf(1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for i := range byte(3) {
				w.u.OnPeer(w.now, peerOf(i), ledger.Balance{})
			}
			w.u.OnPlace(peerOf(0), "192.0.2.1")
			w.u.OnPlace(peerOf(1), "192.0.2.2")
			w.u.OnPlace(peerOf(2), c.place)
			piece := func(who byte, piece int) {
				w.u.Queue(w.now, peerOf(who), Part{Root: 1, Piece: piece, Count: 1, Size: block})
			}
			if c.again {
				w.u.OnPeer(w.now, peerOf(3), ledger.Balance{})
				piece(3, 0)
				w.serve()
				w.sent(0, true)
				w.ack(0)
				w.u.OnGone(w.now, peerOf(3))
			}
			for i := range byte(2) { // both get a piece that nobody has
				piece(i, int(i))
				w.serve()
				w.sent(0, true)
				w.ack(0)
			}
			if c.served {
				piece(2, 4)
				w.serve()
				w.sent(0, true)
				w.ack(0)
			}
			w.u.OnHave(w.now, peerOf(2), 1, 0, 1) // the first one's is seen elsewhere
			piece(1, 2)
			piece(0, 3)
			if key, _, _ := w.u.Next(w.now.Add(2e9)); key != c.first {
				t.Errorf("%s is served first", key)
			}
		})
	}
}
