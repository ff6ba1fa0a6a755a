package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkServe is what one block of 64 KiB costs: chosen, unqueued, sent,
// and asked for again.
func BenchmarkServe(b *testing.B) {
	for _, peers := range []int{80, 1000} {
		for _, kind := range []string{"owed", "strangers", "members"} {
			b.Run(fmt.Sprintf("%s/peers=%d", kind, peers), func(b *testing.B) {
				l := New(Config{}, rand.New(rand.NewPCG(1, 2)))
				now := epoch
				for i := range peers {
					key := PeerKey(fmt.Sprint(i))
					if kind == "owed" {
						l.OnReceived(now, key, int64(i+1)<<16)
					}
					if kind == "members" {
						l.Class(key, Group)
					}
					l.Queue(now, key, 1<<20)
				}
				b.ReportAllocs()
				for b.Loop() {
					key, _ := l.Next(now)
					l.Unqueue(now, key, 64<<10)
					l.OnSent(now, key, 64<<10)
					l.Queue(now, key, 64<<10)
					now = now.Add(time.Millisecond)
				}
			})
		}
	}
}
