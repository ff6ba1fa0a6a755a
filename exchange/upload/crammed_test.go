package upload

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// TestCrammed: what is on the way to those who acknowledge soon is in our own line, so
// no more is begun, whatever is reckoned; who turns out to be slow keeps nobody waiting.
func TestCrammed(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	u := New(Config{}, rand.New(rand.NewPCG(1, 2)))
	for i := range 16 {
		key := PeerKey(fmt.Sprint(i))
		u.OnPeer(now, key, ledger.Balance{})
		for piece := range 4 {
			u.Queue(now, key, Part{Root: "r", Piece: 4*i + piece, Count: 16, Size: 1 << 20})
		}
	}
	send := func(until time.Duration, acked bool) (bytes int) {
		for end := now.Add(until); now.Before(end); now = now.Add(10 * time.Millisecond) {
			for room := 1; !acked || room > 0; room-- {
				key, part, ok := u.Next(now)
				if !ok {
					break
				}
				n := part.bytes(64 << 10)
				bytes += n
				u.OnSent(now, key, part, true)
				if acked {
					u.OnAcked(now.Add(5*time.Millisecond), key, n)
				}
			}
		}
		return bytes
	}
	send(500*time.Millisecond, true)
	if got := send(150*time.Millisecond, false); got > 4<<20 {
		t.Errorf("%d bytes on the way to who acknowledges soon", got)
	}
	if got := send(2*time.Second, false); got < 1<<20 {
		t.Errorf("%d bytes more: who is slow keeps others waiting", got)
	}
}
