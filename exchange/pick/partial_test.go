package pick

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func newPartial(pieces int, keys ...PeerKey) *Picker {
	p := New(Config{}, slices.Repeat([]int{1 << 20}, pieces), rand.New(rand.NewPCG(1, 2)))
	p.WantAll(epoch)
	for _, key := range keys {
		p.OnPeer(epoch, key, WAN, 0)
	}
	return p
}

func asked(plan Plan, key PeerKey, piece int) bool {
	return slices.ContainsFunc(plan.Requests, func(r Request) bool { return r.Peer == key && r.Piece == piece })
}

// What a peer is getting is asked of it, unless another is bound to send it.
func TestPartial(t *testing.T) {
	t.Parallel()
	p := newPartial(2, "a", "b")
	p.OnPartial(epoch, "a", 0)
	if !asked(p.Advance(epoch), "a", 0) {
		t.Fatal("it is not asked")
	}
	if p.Holders(0) != 1 || !p.Partial("a", 0) {
		t.Errorf("%d holders, partial: %v", p.Holders(0), p.Partial("a", 0))
	}
	p.OnBlocks(epoch, "a", 0, 1)
	p.OnPartial(epoch, "b", 0)
	if asked(p.Advance(epoch), "b", 0) {
		t.Error("a second one is asked that gets it itself")
	}
	p.OnHave(epoch, "a", 0, 1)
	if p.Partial("a", 0) || p.Holders(0) != 2 {
		t.Errorf("it has the piece; partial: %v, %d holders", p.Partial("a", 0), p.Holders(0))
	}
	p.OnHave(epoch, "a", 0, 2)
	if p.seeds != 1 || p.Holders(0) != 2 {
		t.Errorf("%d seeds, %d holders", p.seeds, p.Holders(0))
	}
}

// Nothing comes of it: what was asked is taken back, and asked elsewhere.
func TestPartialEnds(t *testing.T) {
	t.Parallel()
	p := newPartial(1, "a", "b")
	p.OnPartial(epoch, "a", 0)
	p.Advance(epoch)
	p.OnBlocks(epoch, "a", 0, 3)
	p.OnUnhave(epoch, "a", 0, 1)
	p.OnHave(epoch, "b", 0, 1)
	plan := p.Advance(epoch)
	if !slices.Contains(plan.Cancels, Cancel{"a", 0}) || !asked(plan, "b", 0) || p.Holders(0) != 1 {
		t.Errorf("%+v, %d holders", plan, p.Holders(0))
	}
}

// A piece that was wrong and that its peer was still getting proves nothing against
// the peer, but what it is getting is not asked any more; and nothing is trusted any
// more before a piece of the peer was right.
func TestPartialWrong(t *testing.T) {
	t.Parallel()
	p := newPartial(4, "a", "b", "c")
	if !p.Trusted("b") {
		t.Error("nobody lied, and a peer is not trusted")
	}
	p.OnPartial(epoch, "a", 0)
	p.OnPartial(epoch, "a", 1)
	p.Advance(epoch)
	p.OnBlocks(epoch, "a", 0, 16)
	p.OnPiece(epoch, "a", 0, false)
	p.OnPartial(epoch, "a", 2)
	if plan := p.Advance(epoch); len(plan.Requests) > 0 || p.Holders(0)+p.Holders(1)+p.Holders(2) > 0 {
		t.Errorf("%+v; %d, %d and %d holders", plan, p.Holders(0), p.Holders(1), p.Holders(2))
	}
	if p.OnPartial(epoch, "b", 2); p.Trusted("b") || p.Holders(2) > 0 {
		t.Error("after a lie a newcomer is trusted")
	}
	p.OnHave(epoch, "a", 0, 1)
	if !asked(p.Advance(epoch), "a", 0) {
		t.Error("what it has is not asked")
	}
	p.OnHave(epoch, "c", 3, 1)
	p.Advance(epoch)
	p.OnBlocks(epoch, "c", 3, 16)
	p.OnPiece(epoch, "c", 3, true)
	if !p.Trusted("c") {
		t.Error("a peer of which a piece was right is not trusted")
	}
}

// Who says that it is getting everything is not believed.
func TestPartialBound(t *testing.T) {
	t.Parallel()
	p := newPartial(1000, "a")
	for i := range 1000 {
		p.OnPartial(epoch, "a", i)
	}
	if n := len(p.peers["a"].partial); n != maxPartial {
		t.Errorf("%d pieces", n)
	}
}

// What waits at a seed and others have by now gives its place to what nobody else has.
func TestSwap(t *testing.T) {
	t.Parallel()
	p := newPartial(100, "seed", "b")
	p.OnHave(epoch, "seed", 0, 100)
	var first []int
	for _, r := range p.Advance(epoch).Requests {
		first = append(first, r.Piece)
	}
	for i := 1; i < len(first); i++ { // the first one is on its way
		p.OnHave(epoch, "b", first[i], 1)
	}
	plan := p.Advance(epoch)
	for _, i := range first[1:] {
		if !slices.Contains(plan.Cancels, Cancel{"seed", i}) {
			t.Errorf("piece %d still waits at the seed: %+v", i, plan)
		}
	}
	if len(first) < 2 {
		t.Errorf("asked %v", first)
	}
}

// An offer is taken although the piece was asked of one peer alone: he knows that
// others have it. Who did not hear that he was taken is told again.
func TestOfferUnasked(t *testing.T) {
	t.Parallel()
	p, now := newPartial(1, "a"), epoch
	p.OnHave(now, "a", 0, 1)
	if plan := p.Advance(now); len(plan.Requests) != 1 || plan.Requests[0].Tied {
		t.Fatalf("asked %+v", plan.Requests)
	}
	for range 2 {
		p.OnOffer(now, "a", 0)
		if plan := p.Advance(now); len(plan.Requests) != 1 || !plan.Requests[0].Again || len(plan.Cancels) != 0 {
			t.Fatalf("answered %+v", plan)
		}
	}
}
