package pick_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/shoal-p2p/shoal/exchange/pick"
)

// A download of one piece of 100 KB from one peer.
func Example() {
	now := time.Now()
	p := pick.New(pick.Config{}, []int{100_000}, rand.New(rand.NewPCG(1, 2)))
	p.WantAll(now)
	p.OnPeer(now, "a", pick.LAN, time.Millisecond)
	p.OnHave(now, "a", 0, 1)
	for _, r := range p.Advance(now).Requests {
		fmt.Printf("ask %s for %d blocks of piece %d\n", r.Peer, r.Count, r.Piece)
	}
	p.OnBlocks(now, "a", 0, 2)
	p.OnPiece(now, "a", 0, true)
	fmt.Println("missing:", p.Wanted())
	// Output:
	// ask a for 2 blocks of piece 0
	// missing: 0
}
