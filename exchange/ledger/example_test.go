package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/shoal-p2p/shoal/exchange/ledger"
)

// Who gave us more is served first.
func Example() {
	now := time.Now()
	l := ledger.New(ledger.Config{}, rand.New(rand.NewPCG(1, 2)))
	l.OnReceived(now, "friend", 4<<20)
	l.OnReceived(now, "miser", 64<<10)
	l.Queue(now, "miser", 64<<10)
	l.Queue(now, "friend", 64<<10)
	for {
		peer, ok := l.Next(now)
		if !ok {
			break
		}
		l.Unqueue(now, peer, 64<<10)
		l.OnSent(now, peer, 64<<10)
		fmt.Println(peer, l.Balance(peer).Sent)
	}
	// Output:
	// friend 65536
	// miser 65536
}
