package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// However many pass something on, the last of them are remembered, and no more.
func TestPassersAreBounded(t *testing.T) {
	t.Parallel()
	l, now := New(Config{}, rand.New(rand.NewPCG(1, 2))), time.Unix(1_800_000_000, 0)
	for i := range passersKept + 10 {
		key := PeerKey(fmt.Sprint("peer", i))
		l.Prefix(key, fmt.Sprint("net", i))
		for range 2 { // twice counts once
			l.OnPassed(now, key, 1<<20)
		}
	}
	if len(l.passers) != passersKept || len(l.passed) != passersKept {
		t.Errorf("%d remembered, in a list of %d", len(l.passers), len(l.passed))
	}
	for who, want := range map[PeerKey]Standing{"peer9": Newcomer, "peer10": Insider} {
		if got := l.Standing(who); got != want {
			t.Errorf("%s: %v", who, got)
		}
	}
}
