package policy

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestClaimsAreBounded has a stranger claim everything for ever, and one who is
// not connected claim anything.
func TestClaimsAreBounded(t *testing.T) {
	t.Parallel()
	sizes := make([]int, 3*claimMost)
	for i := range sizes {
		sizes[i] = 1 << 20
	}
	p := New(Config{}, sizes, "self", rand.New(rand.NewPCG(1, 2)))
	p.WantAll(epoch)
	p.OnPeer(epoch, "greedy")
	for i := range sizes {
		p.OnClaim(epoch, "greedy", i, epoch.Add(time.Hour))
		p.OnClaim(epoch, "stranger", i, epoch.Add(time.Hour))
		p.OnClaim(epoch, "greedy", i, epoch.Add(time.Second)) // a claim does not get shorter
	}
	if got, want := p.orphans.len, len(sizes)-claimMost; got != want {
		t.Errorf("%d pieces are open, want %d", got, want)
	}
	p.Advance(epoch.Add(claimLongest + time.Second))
	if n := len(p.claims.until) + len(p.claims.order); n > 0 {
		t.Errorf("%d claims are left after their longest time", n)
	}
	p.OnClaim(epoch.Add(2*time.Hour), "greedy", 0, epoch.Add(3*time.Hour))
	if len(p.claims.until) != 0 {
		t.Error("a peer of whose claims nothing came is believed again")
	}
}

// TestClaimsEnd: a claim ends when its piece is somewhere in view, when its peer
// takes it back, and when its peer is gone; what was relayed stays a while after.
func TestClaimsEnd(t *testing.T) {
	t.Parallel()
	sizes := []int{1 << 20, 1 << 20, 1 << 20, 1 << 20}
	p := New(Config{}, sizes, "self", rand.New(rand.NewPCG(1, 2)))
	p.WantAll(epoch)
	p.OnPeer(epoch, "a")
	p.OnPeer(epoch, "b")
	until := epoch.Add(5 * time.Second)
	for i, who := range []string{"a", "a", "b"} {
		if !p.OnClaim(epoch, who, i, until) {
			t.Errorf("the claim of piece %d is no news", i)
		}
	}
	if p.OnClaim(epoch, "b", 0, until) {
		t.Error("a second claim of one piece is news")
	}
	p.OnRelayed(epoch, "b", 3, until)
	if p.orphans.len != 0 {
		t.Fatalf("%d pieces are open while all are claimed", p.orphans.len)
	}
	p.OnHolders(epoch, 0, 1)
	p.OnClaim(epoch, "a", 1, epoch)
	p.OnGone(epoch, "b")
	if len(p.claims.until) != 0 {
		t.Errorf("%d claims are left", len(p.claims.until))
	}
	p.OnRelayed(epoch, "a", 2, until)
	p.Advance(until.Add(time.Second))
	if p.orphans.has(2) {
		t.Error("a relayed claim ended before its piece could be heard of")
	}
	p.Advance(until.Add(existsFor + time.Second))
	if !p.orphans.has(2) && !p.pieces[2].flying {
		t.Error("a relayed claim does not end")
	}
}
