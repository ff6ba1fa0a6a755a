package ledger

import (
	"container/heap"
	"container/list"
	"time"
)

// owed are the peers that wait by deficit. The one being served keeps its turn
// against those who are owed hardly more, so that equals get whole pieces one
// after the other and not all of them a block at a time.
type owed struct {
	accounts
	holder *account
	left   int64     // bytes left of its turn
	until  time.Time // when it ends
}

// next returns whom to serve; there is someone.
func (o *owed) next(now time.Time, unit float64, cfg Config) *account {
	top := o.accounts[0]
	if h := o.holder; h != nil && o.left > 0 && now.Before(o.until) {
		if h.place != amongOwed {
			return top // for as long as the holder asks for nothing
		}
		if top.deficit-h.deficit <= unit*float64(cfg.Turn) {
			return h
		}
	}
	o.holder, o.left, o.until = top, cfg.Turn, now.Add(cfg.TurnTime)
	return top
}

func (o *owed) spent(a *account, n int64) {
	if o.holder == a {
		o.left -= n
	}
}

func (o *owed) forget(a *account) {
	if o.holder == a {
		o.holder = nil
	}
}

// rotation serves units (members, prefixes) in turns, in the order in which
// they began to wait, or, if they are prefixes, the one that kept least for itself
// first. A turn is one peer's, if it has enough to ask for; within a unit the peer
// that got least comes first.
type rotation struct {
	turn    float64 // bytes
	time    time.Duration
	waiting int // peers
	units   map[string]*unit
	most    float64   // difference between what prefixes kept that counts
	queue   list.List // of *unit that wait, the next first
	holder  string    // whose turn it is
	serving *account  // the peer of holder that it began with
	left    float64   // bytes left of it
	until   time.Time // when it ends
}

// upNext is the unit whose turn it will be; there is one.
func (r *rotation) upNext(now time.Time) *unit {
	if u := r.units[r.holder]; u != nil && r.left > 0 && now.Before(r.until) {
		return u
	}
	return r.first()
}

// unit is what takes turns: it has at least one peer that waits.
type unit struct {
	key   string
	net   *net // nil: all units are equal
	peers accounts
	spot  *list.Element
}

func newRotation(cfg Config) rotation {
	return rotation{turn: float64(cfg.Turn), time: cfg.TurnTime, units: map[string]*unit{}}
}

// next returns whom to serve; there is someone.
func (r *rotation) next(now time.Time) *account {
	u := r.units[r.holder]
	if r.left <= 0 || !now.Before(r.until) {
		if u != nil {
			r.queue.MoveToBack(u.spot)
		}
		u = r.first()
		r.holder, r.left, r.until = u.key, r.turn, now.Add(r.time)
		r.serving = u.peers[0]
	}
	if u == nil {
		u = r.first() // for as long as the holder asks for nothing
	}
	if r.serving != nil && r.serving.group == u {
		return r.serving
	}
	return u.peers[0]
}

// forget lets go of a peer.
func (r *rotation) forget(a *account) {
	if r.serving == a {
		r.serving = nil
	}
}

// first is the unit whose turn is next; there is one.
func (r *rotation) first() *unit {
	best := r.queue.Front().Value.(*unit)
	if best.net == nil {
		return best
	}
	for e := r.queue.Front().Next(); e != nil; e = e.Next() {
		if u := e.Value.(*unit); u.net.kept < best.net.kept {
			best = u
		}
	}
	limit := best.net.kept + r.most
	for e := r.queue.Front(); e != nil; e = e.Next() {
		u := e.Value.(*unit)
		u.net.kept = min(u.net.kept, limit) // who got much long ago is not kept waiting for long
	}
	return best
}

// spent takes bytes off the turn of a unit.
func (r *rotation) spent(key string, n float64) {
	if r.holder == key {
		r.left -= n
	}
}

func (r *rotation) enter(a *account, key string, n *net) {
	u := r.units[key]
	if u == nil {
		u = &unit{key: key, net: n}
		u.spot = r.queue.PushBack(u)
		r.units[key] = u
	}
	a.group = u
	heap.Push(&u.peers, a)
	r.waiting++
}

func (r *rotation) leave(a *account) {
	u := a.group
	heap.Remove(&u.peers, a.slot)
	a.group = nil
	r.waiting--
	if len(u.peers) == 0 {
		r.queue.Remove(u.spot)
		delete(r.units, u.key)
	}
}
