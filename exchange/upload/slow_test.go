package upload

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// slowLine is a line to peers who take a share of its rate each.
func slowLine(share func(PeerKey) float64) *line {
	l := newLine(36<<20, time.Millisecond)
	l.size = 1 << 20
	free := map[PeerKey]time.Time{}
	l.late = func(to PeerKey, left time.Time, n int) time.Time {
		if free[to].Before(left) {
			free[to] = left
		}
		free[to] = free[to].Add(time.Duration(float64(n) / (share(to) * l.rate) * 1e9))
		return free[to]
	}
	return l
}

// asks has a peer ask for what others have, too.
func (l *line) asks(key PeerKey, b ledger.Balance) {
	l.u.OnPeer(l.now, key, b)
	l.u.OnTrip(key, l.trip)
	for piece := range 100 {
		l.u.Queue(l.now, key, Part{Root: 1, Piece: piece, Count: 16, Size: 1 << 20, Tied: true})
	}
}

// A seed that gave everything away once serves many who are slow at once.
func TestSlowCrowd(t *testing.T) {
	t.Parallel()
	const peers, share = 4, 1. / 4
	l := slowLine(func(PeerKey) float64 { return share })
	for i := range peers {
		l.asks(PeerKey(fmt.Sprint(i)), ledger.Balance{})
	}
	l.run(l.now.Add(2 * time.Second))
	from := l.bytes()
	l.run(l.now.Add(4 * time.Second))
	got := float64(l.bytes()-from) / 4 / (peers * share * l.rate)
	if got < 0.4 {
		t.Errorf("%.2f of what they take", got)
	}
}

// Who gave much, and cannot take more, does not keep an idle line from others.
func TestSlowInsider(t *testing.T) {
	t.Parallel()
	l := slowLine(func(key PeerKey) float64 {
		if key == "insider" {
			return 1. / 100
		}
		return 1
	})
	l.asks("insider", ledger.Balance{Received: 1 << 30})
	l.asks("outsider", ledger.Balance{})
	l.run(l.now.Add(10 * time.Second))
	if got := l.got["outsider"]; got < 80<<20 {
		t.Errorf("%d bytes to an outsider in 10 s of an idle line", got)
	}
}
