package ledger

import (
	"cmp"
	"container/heap"
	"time"
)

// Next returns the peer whose next block goes out now; false if nobody waits.
// It may be called again before OnSent, to keep several blocks under way.
func (l *Ledger) Next(now time.Time) (PeerKey, bool) {
	public := l.owed.Len()+l.strangers.waiting > 0
	both := public && l.members.waiting > 0
	var a *account
	switch {
	case l.members.waiting > 0 && (!public || l.debt >= 0):
		a = l.members.next(now)
	case l.owed.Len() > 0 && !l.newcomerFirst(now):
		a = l.owed.next(now, l.unit, l.cfg)
	case public:
		l.strangers.most = keptMost * l.unit
		a = l.strangers.next(now)
	default:
		return "", false
	}
	a.contended = both
	a.served = a.reason()
	return a.key, true
}

// newcomerFirst reports whether somebody who got nothing yet at his address is
// owed more than those who gave: then he gets one turn. So a crowd in which
// everybody is new grows by doubling instead of by what its holder sends, and
// who never gives gets a piece, and what is left over.
func (l *Ledger) newcomerFirst(now time.Time) bool {
	if l.strangers.waiting == 0 {
		return false
	}
	if h := l.owed.holder; h != nil && h.place == amongOwed && l.owed.left > 0 && now.Before(l.owed.until) {
		return false
	}
	net := l.strangers.upNext(now).net.kept
	return net < float64(l.cfg.Turn)/2 && -net > l.owed.accounts[0].deficit
}

// reason is why a peer that waits is served.
func (a *account) reason() Reason {
	switch {
	case a.place == amongMembers:
		return Member
	case a.place == amongStrangers:
		return Idle
	case a.balance.Received == 0:
		return Free
	}
	return Owed
}

// Served is why Next named a peer last, "" if it never did.
func (l *Ledger) Served(peer PeerKey) Reason {
	if a := l.find(peer); a != nil {
		return a.served
	}
	return ""
}

// keptMost is how many bytes one prefix gets at a seed before another that got
// more: 16 pieces, the quota of a turn in algorithms.md 2.3.
const keptMost = 16 << 20

// wait changes what a peer waits for, never to less than nothing.
func (l *Ledger) wait(a *account, n, free int64) {
	queued := max(0, a.queued+n)
	free = min(max(0, a.free+free), queued)
	if a.queued > 0 && queued > 0 && a.free > 0 == (free > 0) {
		a.queued, a.free = queued, free // it stays where it is
		return
	}
	l.leave(a)
	a.queued, a.free = queued, free
	l.enter(a)
}

// enter puts a peer that waits where its class and history belong.
func (l *Ledger) enter(a *account) {
	switch {
	case a.queued == 0:
	case a.class == Group:
		a.place = amongMembers
		l.members.enter(a, string(a.key), nil)
	case a.balance.Received > 0 || a.free > 0:
		a.place = amongOwed
		heap.Push(&l.owed, a)
	default:
		a.place = amongStrangers
		l.strangers.enter(a, a.net.key, a.net)
	}
}

// leave undoes enter.
func (l *Ledger) leave(a *account) {
	switch a.place {
	case amongOwed:
		heap.Remove(&l.owed, a.slot)
	case amongMembers:
		l.members.leave(a)
	case amongStrangers:
		l.strangers.leave(a)
	}
	a.place = nowhere
}

// fix restores the order after a peer's deficit changed.
func (l *Ledger) fix(a *account) {
	switch a.place {
	case amongOwed:
		heap.Fix(&l.owed, a.slot)
	case amongMembers, amongStrangers:
		heap.Fix(&a.group.peers, a.slot)
	}
}

// accounts is a heap, the largest deficit first.
type accounts []*account

func (h accounts) Len() int { return len(h) }

func (h accounts) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.deficit != b.deficit {
		return a.deficit > b.deficit
	}
	return cmp.Or(cmp.Compare(a.lot, b.lot), cmp.Compare(a.key, b.key)) < 0
}

func (h accounts) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}

func (h *accounts) Push(x any) {
	a := x.(*account)
	a.slot = len(*h)
	*h = append(*h, a)
}

func (h *accounts) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return a
}
