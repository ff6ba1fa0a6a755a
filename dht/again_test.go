package dht

import (
	"testing"
	"time"
)

func TestAgain(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_000_000, 0)
	// At at, Next is asked with peers and fed; a lookup starts when it says so.
	type step struct {
		at    time.Duration
		peers int
		fed   bool
		next  time.Duration // after start; -1: never
	}
	for _, tt := range []struct {
		name  string
		a     Again
		steps []step
	}{
		{"few peers: 10 s, doubling to 10 min", Again{}, []step{
			{0, 0, false, 0}, {0, 0, false, 10 * time.Second}, {9 * time.Second, 4, true, 10 * time.Second},
			{10 * time.Second, 4, true, 10 * time.Second}, {10 * time.Second, 4, true, 30 * time.Second},
			{30 * time.Second, 4, false, 30 * time.Second}, {30 * time.Second, 9, false, 70 * time.Second},
			{5 * time.Minute, 0, false, 70 * time.Second}, {5 * time.Minute, 0, false, 5*time.Minute + 80*time.Second},
		}},
		{"fed: once", Again{}, []step{
			{0, 0, false, 0}, {time.Second, 5, true, -1}, {time.Hour, 8, true, -1},
			// Hungry again: at once, then from 10 s.
			{time.Hour, 8, false, 10 * time.Second}, {time.Hour, 8, false, time.Hour + 20*time.Second},
		}},
		{"enough from the start: not before that changes", Again{}, []step{
			{0, 5, true, -1}, {time.Minute, 5, true, -1}, {time.Hour, 4, true, time.Hour}, {time.Hour, 4, true, time.Hour + 20*time.Second},
		}},
		{"enough makes the pause short again", Again{}, []step{
			{0, 0, false, 0}, {10 * time.Second, 0, false, 10 * time.Second}, {11 * time.Second, 5, true, -1},
			{12 * time.Second, 4, true, 20 * time.Second},
		}},
		{"bounded", Again{First: time.Second, Most: 3 * time.Second}, []step{
			{0, 0, false, 0}, {time.Second, 0, false, time.Second}, {3 * time.Second, 0, false, 3 * time.Second},
			{6 * time.Second, 0, false, 6 * time.Second}, {9 * time.Second, 0, false, 9 * time.Second},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := tt.a
			for i, s := range tt.steps {
				now := start.Add(s.at)
				next := a.Next(now, s.peers, s.fed)
				got := time.Duration(-1)
				if !next.IsZero() {
					got = next.Sub(start)
				}
				if got != s.next {
					t.Errorf("step %d: next after %v, want %v", i, got, s.next)
				}
				if !next.IsZero() && !now.Before(next) {
					a.Asked(now)
				}
			}
		})
	}
}
