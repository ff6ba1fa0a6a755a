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
	if len(p.claims.until) != 1 {
		t.Error("a peer whose claims have ended may not claim again")
	}
}
