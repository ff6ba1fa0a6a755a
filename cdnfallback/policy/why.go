package policy

import "time"

// Why tells why the origin is not used now, and when it will be asked next if
// that is known: "using the origin in 4 s" is Grace with next 4 s from now.
// Using says that a request is in flight or would start at once.
func (p *Policy) Why(now time.Time) (next time.Time, code Code) {
	p.clock(now)
	switch {
	case p.missing.len == 0:
		return time.Time{}, Idle
	case len(p.flights) > 0:
		return time.Time{}, Using
	case p.now.Before(p.down) || p.now.Before(p.retry):
		next = p.down
		if p.retry.After(next) {
			next = p.retry
		}
		return next, Backoff
	case p.now.Before(p.brokeUntil()):
		return p.brokeUntil(), Spent
	case p.now.Before(p.graceEnd()):
		return p.graceEnd(), Grace
	case p.forming():
		return p.graceEnd().Add(knownWait), Grace
	case p.orphans.len > 0 && p.alone():
		return time.Time{}, Using
	case p.orphans.len > 0:
		return time.Time{}, Claimed // by rank
	}
	at := p.stallAt()
	if wait := p.graceEnd().Add(knownWait); p.cfg.Class == Interactive && p.first == 0 && p.fast.bytes == 0 && wait.Before(at) {
		at = wait
	}
	switch {
	case len(p.claims.until) > 0 && p.idle.len > 0:
		return time.Time{}, Claimed
	case p.now.Before(at) && p.fast.bytes == 0:
		return at, Grace // they hold it and have sent nothing yet
	case p.now.Before(at):
		return at, Peers
	default:
		return time.Time{}, Using
	}
}
