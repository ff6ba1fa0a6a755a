package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// crowd has n peers come, each at an address of its own, do something, and leave.
func crowd(n int, do func(l *Ledger, now time.Time, key PeerKey)) *Ledger {
	l, now := New(Config{}, rand.New(rand.NewPCG(1, 2))), time.Unix(1_800_000_000, 0)
	for i := range n {
		key := PeerKey(fmt.Sprint("peer", i))
		l.Prefix(key, fmt.Sprint("net", i))
		do(l, now, key)
		l.OnGone(now, key)
	}
	return l
}

// However many pass something on, the last of them are remembered, and no more.
func TestPassersAreBounded(t *testing.T) {
	t.Parallel()
	l := crowd(passersKept+10, func(l *Ledger, now time.Time, key PeerKey) {
		for range 2 { // twice counts once
			l.OnPassed(now, key, 1<<20)
		}
	})
	if len(l.nets.passers) != passersKept || len(l.nets.passed) != passersKept {
		t.Errorf("%d remembered, in a list of %d", len(l.nets.passers), len(l.nets.passed))
	}
	for n, want := range map[int]Standing{9: Newcomer, 10: Insider} {
		l.Prefix("again", fmt.Sprint("net", n))
		if got := l.Standing("again"); got != want {
			t.Errorf("net%d: %v", n, got)
		}
	}
}

// However many take something and leave, those who kept most are remembered.
func TestNetsAreBounded(t *testing.T) {
	t.Parallel()
	n := 0
	l := crowd(netsKept+10, func(l *Ledger, now time.Time, key PeerKey) {
		n++
		l.OnSent(now, key, 1<<20+int64(n))
	})
	if len(l.nets.byKey) > netsKept || len(l.nets.byKey) != l.nets.left {
		t.Errorf("%d remembered, %d of them without a peer", len(l.nets.byKey), l.nets.left)
	}
	for n, want := range map[int]Standing{0: Newcomer, netsKept + 9: Outsider} {
		l.Prefix("again", fmt.Sprint("net", n))
		if got := l.Standing("again"); got != want {
			t.Errorf("net%d: %v", n, got)
		}
	}
	if crowd(10, func(*Ledger, time.Time, PeerKey) {}).nets.left != 0 {
		t.Error("remembered although they took nothing")
	}
}
