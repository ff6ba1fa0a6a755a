package node

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/cdnfallback/policy"
	"github.com/shoal-p2p/shoal/exchange"
)

// tally counts a download's bytes by source. Owned by run.
type tally struct {
	from       From
	reasons    map[string]int64
	rejected   int64 // bytes that did not verify
	duplicate  int64 // bytes that came twice
	peers      [3]map[peer.ID]bool
	origins    map[*source]bool
	liars      map[string]string // source -> what it did
	lies       map[*source]int
	remembered map[peer.ID]bool // in the cache, as providers

	booked        From // what is in the root's account
	bookedReasons map[string]int64
}

func newTally() tally {
	t := tally{
		reasons: map[string]int64{}, origins: map[*source]bool{}, liars: map[string]string{},
		lies: map[*source]int{}, remembered: map[peer.ID]bool{},
	}
	for i := range t.peers {
		t.peers[i] = map[peer.ID]bool{}
	}
	return t
}

// peer counts verified payload of a peer by the path that it came over.
func (t *tally) peer(s *exchange.Session, n int64) {
	path := s.Path()
	a := [...]*Amount{&t.from.LAN, &t.from.WAN, &t.from.Relay}[path]
	a.Bytes += n
	t.peers[path][s.Peer] = true
	a.Peers = len(t.peers[path])
}

// origin counts verified payload of an origin by reason.
func (t *tally) origin(s *source, why policy.Reason, n int64) {
	t.from.Origin.Bytes += n
	t.reasons[string(why)] += n
	t.origins[s] = true
	t.from.Origin.Peers = len(t.origins)
	s.gave += n
}

// loaded counts payload that came inside the tree.
func (t *tally) loaded(from any, n int64) {
	switch from := from.(type) {
	case *exchange.Session:
		t.peer(from, n)
	case *source:
		t.origin(from, policy.Start, n)
	default:
		t.from.Disk.Bytes += n
	}
}

// bytes is the verified payload so far.
func (t *tally) bytes() int64 {
	f := t.from
	return f.LAN.Bytes + f.WAN.Bytes + f.Relay.Bytes + f.Origin.Bytes + f.Disk.Bytes
}

func (d *download) makeResult(path string) *Result {
	r := &Result{
		CID: d.root.String(), Path: path, Size: d.table.Size, Verified: !d.opt.Unverified, Signed: d.opt.Signed,
		Seconds: time.Since(d.started).Seconds(), From: d.count.from, OriginReasons: d.count.reasons,
		Spared:   d.count.from.spared(d.table.Size),
		Rejected: d.count.rejected, Duplicate: d.count.duplicate, Sent: d.n.exchangeSent(d.root),
	}
	for _, s := range d.origins {
		if d.count.origins[s] {
			r.Origins = append(r.Origins, s.o.Host())
		}
	}
	r.Liars = d.count.liarList()
	return r
}
