package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A ban holds for its time, and the oldest gives way to one too many.
func TestBans(t *testing.T) {
	t.Parallel()
	var b bans
	now := time.Unix(1e9, 0)
	id := func(i int) peer.ID { return peer.ID(fmt.Sprint("peer", i)) }
	if b.has(now, id(0)) {
		t.Error("banned for nothing")
	}
	for i := range maxBans {
		b.add(now.Add(time.Duration(i)*time.Second), id(i))
	}
	b.add(now.Add(maxBans*time.Second), id(0)) // again, so 1 is the oldest
	later := now.Add(banTime - time.Second)
	for i := range maxBans {
		if !b.has(later, id(i)) {
			t.Fatalf("%d is not banned", i)
		}
	}
	b.add(later, id(maxBans))
	if b.has(later, id(1)) || !b.has(later, id(0)) || !b.has(later, id(2)) || !b.has(later, id(maxBans)) {
		t.Error("not the oldest gave way")
	}
	if b.has(now.Add(banTime+2*time.Second), id(2)) {
		t.Error("a ban has no end")
	}
	if len(b.until) >= maxBans {
		t.Errorf("%d bans are kept", len(b.until))
	}
}
