package exchange

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/exchange/ledger"
	"github.com/shoal-p2p/shoal/exchange/upload"
)

// next hands out no more frames than there are slots, and ends with close.
func TestLaneSlots(t *testing.T) {
	t.Parallel()
	l := newLane(1, 3, rand.New(rand.NewPCG(1, 2)))
	root := &Root{}
	for i := range 5 {
		s := &Session{Peer: peer.ID(fmt.Sprint("peer", i))}
		l.meet(time.Now(), s, ledger.Balance{})
		l.queue(time.Now(), s, upload.Part{Root: root, Piece: i, Count: 8, Size: 8 * Block})
	}
	type given struct {
		to *Session
		p  upload.Part
	}
	out := make(chan given, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			to, p, ok := l.next()
			if !ok {
				return
			}
			out <- given{to, p}
		}
	}()
	busy := []given{<-out, <-out, <-out}
	for range 17 {
		select {
		case <-out:
			t.Fatal("a frame without a slot")
		default:
		}
		l.vacate()
		l.done(time.Now(), busy[0].to, busy[0].p, true)
		l.acked(time.Now(), busy[0].to, Block)
		busy = append(busy[1:], <-out)
	}
	l.close()
	<-ended
}

// Balances are bounded: what is worth least goes first.
func TestTrim(t *testing.T) {
	t.Parallel()
	m := map[peer.ID]Balance{}
	for i := range maxPeersKept + 100 {
		m[peer.ID(fmt.Sprintf("%06d", i))] = Balance{Received: int64(i % 1000), Sent: 1}
	}
	trim(m, gave)
	if len(m) != maxPeersKept {
		t.Errorf("%d left", len(m))
	}
	if _, ok := m["000999"]; !ok {
		t.Error("who gave most is forgotten")
	}
	if _, ok := m["000000"]; ok {
		t.Error("who gave nothing is kept")
	}
}
