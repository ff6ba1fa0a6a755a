package policy

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestBudget spends half a copy in an hour, remembers what was spent before the
// download began, and goes on when the oldest of it is an hour old.
func TestBudget(t *testing.T) {
	t.Parallel()
	sizes := make([]int, 16)
	for i := range sizes {
		sizes[i] = 1 << 20
	}
	began := epoch.Truncate(time.Minute)
	p := New(Config{Copies: 0.5}, sizes, "self", rand.New(rand.NewPCG(1, 2)))
	p.Before(began.Add(-30*time.Minute), 2<<20)
	p.WantAll(began)
	p.OnLooked(began, 0)
	take := func(now time.Time) (pieces int) {
		for range 20 {
			for _, s := range p.Advance(now) {
				pieces += s.Count
				for i := s.First; i < s.First+s.Count; i++ {
					p.Done(now, i)
				}
				p.OnOrigin(now, s.First, s.Count, true, int64(s.Count)<<20)
			}
		}
		return pieces
	}
	if n := take(began); n != 6 {
		t.Errorf("%d pieces at once, want 6: 8 an hour less 2 of before", n)
	}
	if n := take(began.Add(29 * time.Minute)); n != 0 {
		t.Errorf("%d pieces with the budget used up", n)
	}
	if at, code := p.Why(began.Add(29 * time.Minute)); code != Spent || !at.Equal(began.Add(30*time.Minute)) {
		t.Errorf("why: %s until %v, want %s until the first of it is an hour old", code, at.Sub(began), Spent)
	}
	if n := take(began.Add(31 * time.Minute)); n != 2 {
		t.Errorf("%d pieces when what was spent before is an hour old, want 2", n)
	}
	if n := take(began.Add(2 * time.Hour)); n != 8 {
		t.Errorf("%d pieces two hours later, want the last 8", n)
	}
}
