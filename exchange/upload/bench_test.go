package upload

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// BenchmarkNext is a request queued, chosen, sent and acknowledged among 100 peers that gave,
// with the answer to an offer where others have the piece.
func BenchmarkNext(b *testing.B) {
	u := New(Config{}, rand.New(rand.NewPCG(1, 2)))
	now := time.Unix(1_700_000_000, 0)
	keys := make([]PeerKey, 100)
	for i := range keys {
		keys[i] = PeerKey(fmt.Sprint("peer", i))
		u.OnPeer(now, keys[i], ledger.Balance{Received: 1 << 20})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Millisecond)
		u.Queue(now, keys[i%100], Part{Root: 1, Piece: i % 1000, Count: 4, Size: 1 << 20})
		key, part, ok := u.Next(now)
		for _, o := range u.Offers() {
			u.Queue(now, o.Peer, Part{Root: o.Root, Piece: o.Piece, Count: 4, Size: 1 << 20})
			key, part, ok = u.Next(now)
		}
		if !ok {
			b.Fatal("nobody waits")
		}
		u.OnSent(now, key, part, true)
		u.OnAcked(now, key, part.bytes(block))
	}
}
