package policy

import "time"

// budget caps the origin bytes of one download in any hour: what was spent is
// remembered by the minute.
type budget struct {
	cap     int64 // bytes an hour; 0: no cap
	minutes [60]int64
	at      int64 // the minute of the last spending, since 1970
	spent   int64 // sum of minutes
}

// pass forgets what is an hour old.
func (b *budget) pass(now time.Time) {
	minute := now.Unix() / 60
	for range min(max(minute-b.at, 0), 60) {
		b.at++
		b.spent -= b.minutes[b.at%60]
		b.minutes[b.at%60] = 0
	}
	b.at = max(b.at, minute)
}

func (b *budget) spend(now time.Time, n int64) {
	b.pass(now)
	b.minutes[b.at%60] += n
	b.spent += n
}

// Before tells of origin bytes that were spent before this download began, which
// count for Config.Copies. Times go forward.
func (p *Policy) Before(at time.Time, bytes int64) {
	if bytes > 0 {
		p.budget.spend(at, bytes)
	}
}

// left is how many bytes may still be spent, and when more may be.
func (b *budget) left(now time.Time) (bytes int64, more time.Time) {
	if b.cap == 0 {
		return 1 << 62, time.Time{}
	}
	b.pass(now)
	for i := range int64(60) { // the oldest minute first
		if m := b.at - 59 + i; b.minutes[((m%60)+60)%60] > 0 {
			return b.cap - b.spent, time.Unix((m+60)*60, 0)
		}
	}
	return b.cap - b.spent, time.Time{}
}
