package node

import (
	"errors"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/exchange/peers"
	"github.com/shoal-p2p/shoal/exchange/pick"
	"github.com/shoal-p2p/shoal/merkle"
)

// remote is a peer of the root, as its download sees it. Owned by run.
type remote struct {
	s       *exchange.Session
	opened  bool // it answered
	missing bool // and has none of it
	pieces  bool // it knew the tree, so it can be asked for it
	all     bool
	have    exchange.HaveMap
	strikes int           // wrong pieces
	right   bool          // a piece of it was right
	path    exchange.Path // as the picker knows it
	trip    time.Duration
	met     bool      // the cores know it
	since   time.Time // of its session
	shown   bool      // the manifest, since it does not have the root
}

var errMissing = errors.New("does not have it")

// join opens the root with a connected peer. A newer session takes the place
// of an older one, whose end is on its way.
func (d *download) join(now time.Time, s *exchange.Session) {
	if r := d.peers[s.Peer]; r != nil && r.s != s {
		d.onGone(now, exchange.Gone{From: r.s, Err: exchange.ErrClosed})
	}
	if d.phase == ended || d.peers[s.Peer] != nil || d.look.crowd.Full() || d.n.bans.has(now, s.Peer) {
		return
	}
	d.peers[s.Peer] = &remote{s: s, since: now}
	d.look.crowd.OnPeer(now, crowdKey(s.Peer), peers.Path(s.Path()), s.RTT())
	d.exchange.Join(s)
}

// of returns the peer of an event, unless its session is an older one.
func (d *download) of(s *exchange.Session) *remote {
	if r := d.peers[s.Peer]; r != nil && r.s == s {
		return r
	}
	return nil
}

func (d *download) onOpened(now time.Time, ev exchange.Opened) {
	r := d.of(ev.From)
	if r == nil {
		d.join(now, ev.From) // it came to us
		if r = d.of(ev.From); r == nil {
			return
		}
	}
	r.opened, r.missing = true, ev.Missing
	if r.missing {
		d.forgetHaves(now, r)
		d.look.gone(r.s.Peer, errMissing)
		d.present(r)
		d.look.crowd.Forget(crowdKey(r.s.Peer)) // it tells when it has it
		return
	}
	d.look.answered(r.s.Peer)
	d.look.crowd.OnPeer(now, crowdKey(r.s.Peer), peers.Path(r.s.Path()), r.s.RTT())
	if ev.Pieces > 0 && !r.pieces {
		r.pieces = true
		delete(d.trees.slow, r.s) // what it could not answer before
	}
	if d.table != nil && ev.Pieces > 0 && ev.Pieces != len(d.table.Pieces) {
		d.lied(now, r, fmt.Errorf("claims %d pieces of %d", ev.Pieces, len(d.table.Pieces)))
		return
	}
	d.meet(now, r)
}

// present shows a peer that lacks the root who vouches for it: a cache may fetch
// it then.
func (d *download) present(r *remote) {
	if v := d.vouched; v != nil && v.signed != nil && !r.shown && d.exchange.CID.Equals(v.root) {
		r.shown = true
		d.exchange.Present(r.s, v.signed.Envelope)
	}
}

// meet introduces a peer to the cores, once the pieces are known.
func (d *download) meet(now time.Time, r *remote) {
	if d.picker == nil || !r.opened || r.missing || r.s.Path() == exchange.Relay && !d.relayable(now, r) {
		return
	}
	r.met = true
	r.path, r.trip = r.s.Path(), r.s.RTT()
	d.picker.OnPeer(now, key(r), pick.Path(r.path), r.trip)
	d.policy.OnPeer(now, string(r.s.Peer))
	d.tellClaims(now, r.s)
	for run := range r.have.Runs() {
		d.gained(now, r, run)
	}
	if r.all {
		d.gained(now, r, exchange.Run{First: 0, Count: len(d.table.Pieces)})
	}
}

func key(r *remote) pick.PeerKey { return pick.PeerKey(r.s.Peer) }

func (d *download) onHaves(now time.Time, ev exchange.Haves) {
	r := d.of(ev.From)
	if r == nil {
		return
	}
	if d.picker != nil {
		d.picker.OnAlive(now, key(r))
	}
	runs := ev.Runs
	if ev.All {
		r.all = true
		if d.table != nil {
			runs = []exchange.Run{{First: 0, Count: len(d.table.Pieces)}}
		}
	}
	for _, run := range runs {
		if d.table != nil && run.First+run.Count > len(d.table.Pieces) {
			d.lied(now, r, errors.New("claims pieces that the root does not have"))
			return
		}
		if !r.all {
			for i := range run.Count {
				r.have.Add(run.First + i)
			}
		}
		if d.picker != nil && r.met {
			d.gained(now, r, run)
		}
	}
	for _, piece := range ev.Partial {
		if d.picker != nil && r.met && piece < len(d.table.Pieces) {
			d.picker.OnPartial(now, key(r), piece)
		}
	}
}

// gained tells the cores of pieces that a peer has now.
func (d *download) gained(now time.Time, r *remote, run exchange.Run) {
	run.Count = min(run.Count, len(d.table.Pieces)-run.First)
	if run.Count <= 0 {
		return
	}
	d.picker.OnHave(now, key(r), run.First, run.Count)
	d.holders(now, run)
	n := r.have.Count()
	if r.all {
		n = len(d.table.Pieces)
	}
	d.policy.OnCount(now, string(r.s.Peer), n)
}

func (d *download) holders(now time.Time, run exchange.Run) {
	for i := run.First; i < run.First+run.Count; i++ {
		d.policy.OnHolders(now, i, d.picker.Holders(i))
	}
}

func (d *download) onUnhaves(now time.Time, ev exchange.Unhaves) {
	r := d.of(ev.From)
	if r == nil || d.table == nil {
		return
	}
	if r.all {
		r.all = false
		for i := range d.table.Pieces {
			r.have.Add(i)
		}
	}
	for _, run := range ev.Runs {
		for i := range run.Count {
			r.have.Remove(run.First + i)
		}
		run.Count = min(run.Count, len(d.table.Pieces)-run.First)
		if d.picker != nil && r.met && run.Count > 0 {
			d.picker.OnUnhave(now, key(r), run.First, run.Count)
			d.holders(now, run)
		}
	}
}

// forgetHaves takes back all that a peer had.
func (d *download) forgetHaves(now time.Time, r *remote) {
	had := r.all || r.have.Count() > 0
	r.all, r.have = false, exchange.HaveMap{}
	known := r.met
	r.met = false
	if d.picker == nil || !had || !known {
		return
	}
	d.picker.OnGone(now, key(r))
	d.policy.OnGone(now, string(r.s.Peer))
	d.holders(now, exchange.Run{First: 0, Count: len(d.table.Pieces)})
}

func (d *download) onGone(now time.Time, ev exchange.Gone) {
	r := d.of(ev.From)
	if r == nil {
		return
	}
	d.forgetHaves(now, r)
	delete(d.peers, r.s.Peer)
	d.trees.forget(r.s)
	if r.opened && !r.missing {
		d.look.gone(r.s.Peer, ev.Err)
	}
	d.look.crowd.OnGone(now, crowdKey(r.s.Peer))
}

// dropPeer gives up on a peer for this root; its session stays for others.
func (d *download) dropPeer(now time.Time, r *remote, why error) {
	d.exchange.CancelAll(r.s)
	d.forgetHaves(now, r)
	r.missing = true
	d.look.failed(r.s.Peer, why)
	d.look.crowd.Forget(crowdKey(r.s.Peer))
	d.log.Debug("peer dropped", "peer", r.s.Peer, "err", why)
}

// lied counts a proven lie: a peer is banned at the first, or at the second if it
// had sent a right piece before.
func (d *download) lied(now time.Time, r *remote, why error) {
	r.strikes++
	d.count.liars[r.s.Peer.String()] = why.Error()
	d.log.Info("peer lied", "peer", r.s.Peer, "err", why, "strikes", r.strikes)
	if r.right && r.strikes < 2 {
		return
	}
	d.dropPeer(now, r, why)
	delete(d.peers, r.s.Peer)
	d.n.ban(r.s, why)
}

func (d *download) onRejected(now time.Time, ev exchange.Rejected) {
	if r := d.of(ev.From); r != nil && d.picker != nil && ev.Piece < len(d.table.Pieces) {
		d.picker.OnReject(now, key(r), ev.Piece)
	}
}

// onOffered answers a peer that would send a piece which others were asked for too.
func (d *download) onOffered(now time.Time, ev exchange.Offered) {
	if r := d.of(ev.From); r != nil && d.picker != nil {
		d.picker.OnOffer(now, key(r), ev.Piece)
	} else {
		d.exchange.Cancel(ev.From, ev.Piece)
	}
}

func (d *download) onArrived(now time.Time, ev exchange.Arrived) {
	if r := d.of(ev.From); r != nil && d.picker != nil {
		d.useful = now
		d.picker.OnBlocks(now, key(r), ev.Piece, ev.N)
		if d.picker.Trusted(key(r)) {
			d.exchange.Pass(r.s, ev.Piece)
		}
	}
}

func (d *download) onReceived(ev exchange.Received) {
	d.verify <- arrival{piece: ev.Piece, data: ev.Data, from: ev.From, received: ev}
}

// onMet takes peers that a peer knows as candidates.
func (d *download) onMet(now time.Time, ev exchange.Met) {
	if ev.Of != d.exchange { // of the root that moveTo left
		return
	}
	for _, info := range ev.Peers {
		d.onProvider(now, provider{info, peers.Told})
	}
}

// onVerified takes a piece that a worker has hashed and written, or refused.
func (d *download) onVerified(now time.Time, ev verified) {
	ev.release()
	p := d.table.Pieces[ev.piece]
	var r *remote
	if ev.from != nil {
		r = d.of(ev.from)
	}
	switch {
	case errors.Is(ev.err, merkle.ErrMismatch):
		d.wrongPiece(now, ev, r, p)
		return
	case ev.err != nil:
		d.fail(ev.err) // the disk's fault: no source can mend it
		return
	}
	d.useful = now
	if r != nil {
		r.right = true
		d.picker.OnPiece(now, key(r), ev.piece, true)
	}
	if !d.have.Add(ev.piece) {
		d.count.duplicate += int64(p.Payload)
		return
	}
	switch {
	case ev.from != nil:
		d.count.peer(ev.from, int64(p.Payload))
		d.policy.OnBytes(now, int64(p.Payload))
		d.worked(ev.from)
	case ev.source != nil:
		d.count.origin(ev.source, ev.reason, int64(p.Payload))
		d.policy.OnOriginPiece(now, ev.piece)
	}
	d.picker.Done(now, ev.piece)
	d.policy.Done(now, ev.piece)
	d.exchange.Have(ev.piece)
	d.n.announces.piece(p.Key)
	d.durable.dirty += int64(p.Size)
	d.had(ev.piece)
}

// wrongPiece blames the one source of a piece that does not verify.
func (d *download) wrongPiece(now time.Time, ev verified, r *remote, p merkle.Piece) {
	d.count.rejected += int64(p.Size)
	if ev.source != nil {
		d.originLied(now, ev.source, fmt.Errorf("piece %d: %w", ev.piece, ev.err))
		return
	}
	if r == nil {
		return
	}
	d.exchange.Retract(r.s, ev.piece)
	provisional := d.picker.Partial(key(r), ev.piece)
	d.picker.OnPiece(now, key(r), ev.piece, false)
	if provisional { // it was told that nobody knew yet
		return
	}
	d.exchange.Bad(r.s, ev.piece)
	d.lied(now, r, fmt.Errorf("piece %d: %w", ev.piece, ev.err))
}
