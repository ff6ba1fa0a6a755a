package plan

import "time"

// Signalling is what a pair may send each other over a relay in an hour beside
// all budgets, in bytes: enough to meet.
const Signalling = 1 << 20

const (
	hour     = time.Hour
	day      = 24 * time.Hour
	maxPairs = 4096 // of which accounts are kept at a time
)

// Pair names two peers of a relay; A is the lesser.
type Pair struct{ A, B string }

// PairOf is the pair of two peers, whoever comes first.
func PairOf(a, b string) Pair {
	if b < a {
		a, b = b, a
	}
	return Pair{a, b}
}

// Budget is what a relay gives: bytes in both directions together, counted from
// a pair's first one on for an hour, and of all pairs for a day.
type Budget struct {
	PerPair, PerDay int64

	pairs map[Pair]*account
	today int64
	since time.Time
	total int64
}

type account struct {
	from time.Time
	used int64
	out  bool // was refused
}

// Take counts n bytes of a pair, and reports whether it may have them.
func (b *Budget) Take(now time.Time, p Pair, n int64) bool {
	a := b.account(now, p)
	if a == nil {
		return false
	}
	if n > b.left(now, a) {
		a.out = true // what is left is too little for what they send
		return false
	}
	paid := max(a.used+n-Signalling, 0) - max(a.used-Signalling, 0) // what is beyond signalling
	a.used += n
	b.today += paid
	b.total += n
	return true
}

// Left is how many bytes a pair may still have, signalling included.
func (b *Budget) Left(now time.Time, p Pair) int64 {
	if a := b.account(now, p); a != nil {
		return b.left(now, a)
	}
	return 0
}

// Spent reports whether a pair has no more than signalling, and until when.
func (b *Budget) Spent(now time.Time, p Pair) (bool, time.Time) {
	a := b.account(now, p)
	switch {
	case a == nil || b.PerPair == 0:
		return true, now.Add(hour)
	case b.today >= b.PerDay, a.out && b.PerDay-b.today < b.PerPair+Signalling-a.used:
		return true, b.since.Add(day)
	case a.out, a.used >= b.PerPair+Signalling:
		return true, a.from.Add(hour)
	}
	return false, time.Time{}
}

func (b *Budget) left(now time.Time, a *account) int64 {
	b.turn(now)
	return max(min(b.PerPair, b.PerDay-b.today+max(a.used-Signalling, 0))+Signalling-a.used, 0)
}

func (b *Budget) turn(now time.Time) {
	if b.since.IsZero() || !now.Before(b.since.Add(day)) {
		b.since, b.today = now, 0
	}
}

// account is that of a pair, nil if there is no room for another.
func (b *Budget) account(now time.Time, p Pair) *account {
	b.turn(now)
	if b.pairs == nil {
		b.pairs = map[Pair]*account{}
	}
	a := b.pairs[p]
	if a == nil {
		if len(b.pairs) >= maxPairs {
			for q, o := range b.pairs {
				if !now.Before(o.from.Add(hour)) {
					delete(b.pairs, q)
				}
			}
		}
		if len(b.pairs) >= maxPairs {
			return nil
		}
		a = &account{from: now}
		b.pairs[p] = a
	}
	if !now.Before(a.from.Add(hour)) {
		*a = account{from: now}
	}
	return a
}

// Total are the bytes given since the relay began.
func (b *Budget) Total() int64 { return b.total }
