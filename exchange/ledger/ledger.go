package ledger

import (
	"cmp"
	"math"
	"math/rand/v2"
	"time"
)

// Ledger decides whom to serve next. It is not safe for use by several
// goroutines. A peer exists from its first mention until OnGone; the caller
// bounds how many there are. No event costs more than O(log peers).
type Ledger struct {
	cfg   Config
	rng   *rand.Rand
	peers map[PeerKey]*account
	last  *account  // found last: mostly it is the next, too; nil: none
	epoch time.Time // deficits are in bytes of this time, see scale
	unit  float64   // what a byte counts for at the last event

	owed      owed     // Public who gave, or wait for free pieces
	members   rotation // Group, each for itself
	strangers rotation // Public who gave nothing, by prefix
	debt      float64  // bytes of uplink owed to Group while both classes wait
	insiders  uint64   // see Insiders
	nets      nets
}

// account is what the ledger knows of one peer.
type account struct {
	key       PeerKey
	lot       uint64 // random: ties are not won by being early
	class     Class
	value     float64
	net       *net // of its prefix
	balance   Balance
	deficit   float64 // received less sent, see Ledger.scale
	queued    int64   // bytes it waits for
	free      int64   // of these in its free set
	contended bool    // both classes waited when it was chosen
	served    Reason  // why it was chosen last
	place     place   // where it waits
	slot      int     // in the heap of its place
	group     *unit   // its unit in a rotation
}

// place is where a peer waits.
type place uint8

const (
	nowhere place = iota
	amongOwed
	amongMembers
	amongStrangers
)

// New returns an empty ledger.
func New(cfg Config, rng *rand.Rand) *Ledger {
	cfg.HalfLife = cmp.Or(cfg.HalfLife, 10*time.Minute)
	cfg.Turn = cmp.Or(cfg.Turn, 1<<20)
	cfg.TurnTime = cmp.Or(cfg.TurnTime, time.Second)
	cfg.GroupShare = cmp.Or(cfg.GroupShare, 0.8)
	cfg.Remember = cmp.Or(cfg.Remember, 64<<20)
	l := &Ledger{
		cfg: cfg, rng: rng, peers: map[PeerKey]*account{}, unit: 1,
		members: newRotation(cfg), strangers: newRotation(cfg), nets: newNets(),
	}
	return l
}

// Class sets by which rule a peer is served; Public at first.
func (l *Ledger) Class(peer PeerKey, c Class) {
	a := l.account(peer)
	if a.class == c {
		return // it keeps its place
	}
	l.leave(a)
	l.insiders++
	a.class = c
	l.enter(a)
}

// Value sets what a byte sent to a member is worth: how rare what it will pass
// on is, times its upload rate, relative to others. A member with twice the
// value gets twice as much. Values are cut to [1/8, 8]; 1 at first.
func (l *Ledger) Value(peer PeerKey, v float64) {
	l.account(peer).value = min(max(v, 1.0/8), 8)
}

// Prefix sets the address that strangers share: those behind one have the place
// of one. A peer without it is its own.
func (l *Ledger) Prefix(peer PeerKey, prefix string) {
	a := l.account(peer)
	key := cmp.Or(prefix, alone(peer))
	if a.net.key == key {
		return // it keeps its place
	}
	l.leave(a)
	l.insiders++
	l.nets.leave(a.net)
	a.net = l.nets.join(key)
	l.enter(a)
}

// Restore sets the totals of a peer as they were kept from earlier. For the
// order at most Config.Remember of the difference counts: history is not
// hoarded.
func (l *Ledger) Restore(peer PeerKey, b Balance) {
	a := l.account(peer)
	l.leave(a)
	l.insiders++
	a.balance = b
	limit := float64(l.cfg.Remember)
	a.deficit = l.unit * min(max(float64(b.Received-b.Sent), -limit), limit)
	l.enter(a)
}

// Balance returns the totals of a peer, zero if it is unknown. Keep them
// before OnGone.
func (l *Ledger) Balance(peer PeerKey) Balance {
	if a := l.find(peer); a != nil {
		return a.balance
	}
	return Balance{}
}

// OnReceived tells of n verified bytes from a peer.
func (l *Ledger) OnReceived(now time.Time, peer PeerKey, n int64) {
	a := l.account(peer)
	l.leave(a)
	if a.balance.Received == 0 {
		l.insiders++
	}
	a.balance.Received += max(0, n)
	a.deficit += float64(max(0, n)) * l.scale(now)
	l.enter(a)
}

// OnPassed tells that a peer gave n bytes to others that it had from us. It takes
// that off what its prefix got from us: a seed is given nothing, and so knows
// those whom it is of use to serve.
func (l *Ledger) OnPassed(now time.Time, peer PeerKey, n int64) {
	if a := l.find(peer); a != nil {
		a.net.charge(-float64(max(0, n)) * l.scale(now))
		if !a.net.passed {
			l.insiders++
		}
		l.nets.pass(a.net)
	}
}

// Standing says whether a peer gave or passed on anything, and if not, whether it had
// its turn. Members of the same private swarm are all insiders.
func (l *Ledger) Standing(peer PeerKey) Standing {
	a := l.find(peer)
	switch {
	case a == nil:
		return Newcomer
	case a.class != Public || a.balance.Received > 0 || a.net.passed:
		return Insider
	case a.net.kept < l.unit*float64(l.cfg.Turn)/2:
		return Newcomer
	}
	return Outsider
}

// Insiders counts what may have made an Insider of somebody: while it is the same,
// nobody who was none has become one.
func (l *Ledger) Insiders() uint64 { return l.insiders }

// OnSent tells of n bytes sent to a peer. What is queued is Unqueue's.
func (l *Ledger) OnSent(now time.Time, peer PeerKey, n int64) {
	a := l.find(peer)
	if a == nil || n <= 0 {
		return
	}
	a.balance.Sent += n
	a.deficit -= float64(n) * l.scale(now)
	l.fix(a)
	l.owed.spent(a, n)
	switch {
	case a.class == Group:
		l.members.spent(string(a.key), float64(n)/a.value)
	case a.balance.Received == 0:
		l.strangers.spent(a.net.key, float64(n))
		a.net.charge(float64(n) * l.unit)
	}
	if a.contended {
		l.owe(a.class, float64(n))
	}
}

// owe keeps the books between the classes. The memory is short, so that
// neither saves up a claim to all of the uplink.
func (l *Ledger) owe(sent Class, n float64) {
	if sent == Group {
		n *= l.cfg.GroupShare - 1
	} else {
		n *= l.cfg.GroupShare
	}
	limit := 4 * float64(l.cfg.Turn)
	l.debt = min(max(l.debt+n, -limit), limit)
}

// Queue tells that a peer waits for n more bytes.
func (l *Ledger) Queue(_ time.Time, peer PeerKey, n int64) { l.wait(l.account(peer), n, 0) }

// QueueFree is Queue for pieces in the peer's free set. Send a newcomer these
// before what else it waits for.
func (l *Ledger) QueueFree(_ time.Time, peer PeerKey, n int64) { l.wait(l.account(peer), n, n) }

// Unqueue takes back Queue: the bytes are about to be sent, or no longer asked.
func (l *Ledger) Unqueue(_ time.Time, peer PeerKey, n int64) {
	if a := l.find(peer); a != nil {
		l.wait(a, -n, 0)
	}
}

// UnqueueFree takes back QueueFree.
func (l *Ledger) UnqueueFree(_ time.Time, peer PeerKey, n int64) {
	if a := l.find(peer); a != nil {
		l.wait(a, -n, -n)
	}
}

// OnGone forgets a peer.
func (l *Ledger) OnGone(_ time.Time, peer PeerKey) {
	a := l.find(peer)
	if a == nil {
		return
	}
	l.leave(a)
	l.owed.forget(a)
	l.members.forget(a)
	l.strangers.forget(a)
	l.nets.leave(a.net)
	delete(l.peers, peer)
	l.last = nil
}

// find returns the account of a peer, nil if it is unknown.
func (l *Ledger) find(peer PeerKey) *account {
	if l.last == nil || l.last.key != peer {
		l.last = l.peers[peer]
	}
	return l.last
}

func (l *Ledger) account(peer PeerKey) *account {
	a := l.find(peer)
	if a == nil {
		l.insiders++
		a = &account{key: peer, lot: l.rng.Uint64(), value: 1}
		a.net = l.nets.join(alone(peer))
		l.peers[peer] = a
	}
	return a
}

// scale is what a byte counts for now, relative to one at epoch. Instead of
// having every figure shrink with time, new bytes count for more: the order
// is the same, and nothing has to be touched as time passes.
func (l *Ledger) scale(now time.Time) float64 {
	if l.epoch.IsZero() {
		l.epoch = now
	}
	lives := max(0, float64(now.Sub(l.epoch))/float64(l.cfg.HalfLife))
	if lives > 64 { // 10 hours: move epoch before the figures lose meaning
		for _, a := range l.peers {
			a.deficit *= math.Exp2(-lives)
		}
		for _, n := range l.nets.byKey {
			n.kept *= math.Exp2(-lives)
		}
		l.epoch, lives = now, 0
	}
	l.unit = math.Exp2(lives)
	return l.unit
}
