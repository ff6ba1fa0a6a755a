package node

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
)

const (
	accountsBucket = "accounts"
	accountEvery   = time.Minute // of a slice
	accountSlices  = 120         // kept of each root; then two become one
)

// account is what came of a root, and how, over all downloads of it here. Its
// JSON is kept in the index. Guarded by Node.mu.
type account struct {
	From    From              `json:"from"`
	Reasons map[string]int64  `json:"origin_reasons"`
	Liars   map[string]string `json:"liars,omitempty"`
	Slices  []Slice           `json:"slices"`
}

// add takes in what came between two looks at a download's count.
func (a *account) add(now time.Time, from From, reasons map[string]int64) {
	s := a.slice(now)
	if a.From.peers()+a.From.Origin.Bytes > 0 {
		from.Disk = Amount{} // a download that goes on finds there what came before
	}
	for _, sum := range []*From{&a.From, &s.From} {
		sum.add(from)
	}
	for why, n := range reasons {
		if n > 0 {
			a.Reasons[why] += n
			s.Reasons[why] += n
		}
	}
}

// slice is where now belongs.
func (a *account) slice(now time.Time) *Slice {
	at := now.Truncate(accountEvery).Unix()
	n := len(a.Slices)
	if n == 0 || a.Slices[n-1].At+int64(a.Slices[n-1].Seconds) <= at {
		if n >= accountSlices {
			a.halve()
		}
		a.Slices = append(a.Slices, Slice{At: at, Seconds: accountEvery.Seconds(), Reasons: map[string]int64{}})
		n = len(a.Slices)
	}
	return &a.Slices[n-1]
}

// halve makes one slice of each two.
func (a *account) halve() {
	var out []Slice
	for pair := range slices.Chunk(a.Slices, 2) {
		s := pair[0]
		for _, t := range pair[1:] {
			s.From.add(t.From)
			s.Seconds = float64(t.At-s.At) + t.Seconds
			for why, n := range t.Reasons {
				s.Reasons[why] += n
			}
		}
		out = append(out, s)
	}
	a.Slices = out
}

func (f *From) add(g From) {
	for _, p := range [][2]*Amount{{&f.LAN, &g.LAN}, {&f.WAN, &g.WAN}, {&f.Relay, &g.Relay}, {&f.Origin, &g.Origin}, {&f.Disk, &g.Disk}} {
		p[0].Bytes += p[1].Bytes
		p[0].Peers = max(p[0].Peers, p[1].Peers)
	}
}

// less is what f has more than g; the sources are those of f.
func (f From) less(g From) From {
	for _, p := range [][2]*Amount{{&f.LAN, &g.LAN}, {&f.WAN, &g.WAN}, {&f.Relay, &g.Relay}, {&f.Origin, &g.Origin}, {&f.Disk, &g.Disk}} {
		p[0].Bytes -= p[1].Bytes
	}
	return f
}

// peers is the bytes that peers gave, whatever the path.
func (f From) peers() int64 { return f.LAN.Bytes + f.WAN.Bytes + f.Relay.Bytes }

// spared is how many copies of size an origin did not have to send.
func (f From) spared(size int64) float64 {
	if size == 0 {
		return 0
	}
	return float64(f.peers()) / float64(size)
}

// account returns the account of a root: that of its download, else what is kept.
// n.mu is held.
func (n *Node) account(c cid.Cid) *account {
	if a := n.accounts[c.KeyString()]; a != nil {
		return a
	}
	a := &account{}
	if b, err := n.store.Get(accountsBucket, c.KeyString()); err == nil {
		if err := json.Unmarshal(b, a); err != nil {
			n.log.Warn("the account of a root is damaged and starts anew", "root", c, "err", err)
			*a = account{}
		}
	}
	if a.Reasons == nil {
		a.Reasons = map[string]int64{}
	}
	for i := range a.Slices {
		if a.Slices[i].Reasons == nil {
			a.Slices[i].Reasons = map[string]int64{}
		}
	}
	return a
}

// spentLately tells the policy what origins gave in the last hour.
func (d *download) spentLately() {
	d.n.mu.Lock()
	defer d.n.mu.Unlock()
	for _, s := range d.n.account(d.root).Slices {
		d.policy.Before(time.Unix(s.At, 0), s.From.Origin.Bytes)
	}
}

// book writes down what came since the last time, and on disk when the download ends.
func (d *download) book(now time.Time, last bool) {
	if d.table == nil {
		return
	}
	t, n := &d.count, d.n
	reasons := maps.Clone(t.reasons)
	for why := range reasons {
		reasons[why] -= t.bookedReasons[why]
	}
	n.mu.Lock()
	a := n.account(d.root)
	n.accounts[d.root.KeyString()] = a
	a.add(now, t.from.less(t.booked), reasons)
	if len(t.liars) > 0 {
		if a.Liars == nil {
			a.Liars = map[string]string{}
		}
		for who, what := range t.liars {
			if len(a.Liars) < maxAccountLiars {
				a.Liars[who] = what
			}
		}
	}
	var b []byte
	var err error
	if last {
		b, err = json.Marshal(a)
		delete(n.accounts, d.root.KeyString())
	}
	n.mu.Unlock()
	t.booked, t.bookedReasons = t.from, maps.Clone(t.reasons)
	if last && err == nil {
		err = n.store.Put(accountsBucket, d.root.KeyString(), b)
	}
	if err != nil {
		d.log.Warn("the account of a root is not kept", "err", err)
	}
}

const maxAccountLiars = 100

// showAccount adds to a root's status what came of it, and how. n.mu is held.
func (n *Node) showAccount(v *RootStatus, c cid.Cid) {
	a := n.account(c)
	if v.State != "fetching" || v.From == (From{}) {
		v.From = a.From
	}
	v.Reasons, v.Spared = maps.Clone(a.Reasons), a.From.spared(v.Size)
	for _, s := range a.Slices {
		s.Reasons = maps.Clone(s.Reasons)
		v.History = append(v.History, s)
	}
	for _, who := range slices.Sorted(maps.Keys(a.Liars)) {
		v.Liars = append(v.Liars, who+": "+a.Liars[who])
	}
}
