package pick

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestTrial holds that of a peer that has not shown a right piece yet one comes
// at a time, also in a crowd, where more wait in its queue.
func TestTrial(t *testing.T) {
	t.Parallel()
	const size = 256 << 10
	p := New(Config{}, slices.Repeat([]int{size}, 16), rand.New(rand.NewPCG(1, 2)))
	p.WantAll(epoch)
	p.OnPeer(epoch, "a", WAN, 0)
	p.OnHave(epoch, "a", 0, 16)
	if q := p.Advance(epoch).Requests; len(q) != 1 || q[0].Tied {
		t.Fatalf("a seed on trial is asked %+v, want one piece", q)
	}
	p.OnPeer(epoch, "b", WAN, 0) // it has nothing yet: a crowd
	first := p.started[0].piece
	q := p.Advance(epoch).Requests
	if len(q) == 0 || slices.ContainsFunc(q, func(q Request) bool { return !q.Tied }) {
		t.Fatalf("in a crowd it is asked %+v, want more, tied", q)
	}
	next := q[0].Piece
	p.OnOffer(epoch, "a", next)
	if q := p.Advance(epoch).Requests; len(q) != 0 {
		t.Fatalf("an offer is taken on trial: %+v", q)
	}
	p.OnBlocks(epoch, "a", first, 4)
	p.OnBlocks(epoch, "a", next, 1)
	if c := p.Advance(epoch).Cancels; !slices.Contains(c, Cancel{"a", next}) {
		t.Fatalf("what comes without being taken is not cancelled: %+v", c)
	}
	wish := q[1].Piece
	p.OnOffer(epoch, "a", wish)
	p.OnPiece(epoch, "a", first, true)
	taken := p.Advance(epoch).Requests
	if !slices.ContainsFunc(taken, func(q Request) bool { return q.Piece == wish && q.Again && !q.Tied }) {
		t.Fatalf("the trial is over, and the offer of %d is not taken: %+v", wish, taken)
	}
}

// A piece that has come does not make us impatient with a peer in whose queue we
// wait with another.
func TestPatience(t *testing.T) {
	t.Parallel()
	came, waits := &attempt{taken: true, got: 2, blocks: 2}, &attempt{blocks: 2}
	p := New(Config{}, []int{1, 1}, nil)
	if d := p.patience(&peer{tries: []*attempt{came, waits}}); d != snubMax {
		t.Errorf("patience %v", d)
	}
	waits.taken = true
	if d := p.patience(&peer{tries: []*attempt{came, waits}}); d != snubTaken {
		t.Errorf("patience %v with one that was offered", d)
	}
}

// What comes of a piece that was asked tied, and not taken yet, is under way: the
// peer is told that the rest is wanted, or each would wait for the other.
func TestTiedCame(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p := New(Config{}, []int{1 << 20, 1 << 20}, rand.New(rand.NewPCG(1, 2)))
	p.WantAll(now)
	for _, key := range []PeerKey{"a", "b"} {
		p.OnPeer(now, key, WAN, time.Millisecond)
		p.OnHave(now, key, 0, 2)
	}
	for _, r := range p.Advance(now).Requests {
		if !r.Tied {
			continue
		}
		p.OnBlocks(now, r.Peer, r.Piece, 1)
		for _, again := range p.Advance(now).Requests {
			if again.Again && again.Peer == r.Peer && again.Piece == r.Piece {
				return
			}
		}
		t.Fatal("it waits for an offer")
	}
	t.Fatal("nothing was asked tied")
}

// What a seed on trial is asked for in place of a piece that others have by now takes
// its place: it need not be offered. Else who meets a seed in a crowd has nothing there
// that is sent to him while others ask for more.
func TestTrialSwap(t *testing.T) {
	t.Parallel()
	p := New(Config{}, slices.Repeat([]int{256 << 10}, 16), rand.New(rand.NewPCG(1, 2)))
	p.WantAll(epoch)
	for _, key := range []PeerKey{"seed", "b"} {
		p.OnPeer(epoch, key, WAN, 0)
	}
	p.OnHave(epoch, "seed", 0, 16)
	first := slices.DeleteFunc(p.Advance(epoch).Requests, func(q Request) bool { return q.Tied })
	if len(first) != 1 {
		t.Fatalf("it is asked %+v, want one piece that it sends", first)
	}
	p.OnHave(epoch, "b", first[0].Piece, 1)
	plan := p.Advance(epoch)
	if !slices.Contains(plan.Cancels, Cancel{"seed", first[0].Piece}) {
		t.Fatalf("what b has waits: %+v", plan)
	}
	next := slices.DeleteFunc(slices.Clone(plan.Requests), func(q Request) bool { return q.Tied || q.Peer != "seed" })
	if len(next) != 1 {
		t.Errorf("it is asked %+v instead, want one piece that it sends", plan.Requests)
	}
}

// The offer of a second copy is taken if the first takes long, and longer by far, though
// its peer is bound to send it.
func TestLateOffer(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	for _, c := range []struct {
		name string
		took time.Duration // for a quarter of the piece
		want bool
	}{{"slow", 5 * time.Second, true}, {"soon", 200 * time.Millisecond, false}} {
		p := New(Config{}, []int{size, size}, rand.New(rand.NewPCG(1, 2)))
		p.WantAll(epoch)
		p.OnPeer(epoch, "slow", WAN, 0)
		p.OnHave(epoch, "slow", 0, 2)
		first := p.Advance(epoch).Requests[0].Piece
		p.OnBlocks(epoch, "slow", first, 1)
		p.OnPeer(epoch, "quick", WAN, 0)
		p.OnHave(epoch, "quick", 1-first, 1)
		p.Advance(epoch)
		p.OnBlocks(epoch, "quick", 1-first, 16)
		p.OnPiece(epoch, "quick", 1-first, true)
		p.OnHave(epoch, "quick", first, 1)
		now := epoch
		for range 3 {
			now = now.Add(c.took / 3)
			p.OnBlocks(now, "slow", first, 1)
		}
		if !slices.ContainsFunc(p.Advance(now).Requests, func(q Request) bool { return q.Peer == "quick" && q.Piece == first }) {
			t.Fatalf("%s: no second copy is asked", c.name)
		}
		p.OnOffer(now, "quick", first)
		plan := p.Advance(now)
		taken := slices.ContainsFunc(plan.Requests, func(q Request) bool { return q.Peer == "quick" && q.Piece == first && q.Again })
		if taken != c.want {
			t.Errorf("%s: taken %v, cancels %v", c.name, taken, plan.Cancels)
		}
	}
}
