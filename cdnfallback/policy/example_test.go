package policy_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback/policy"
)

// A background fetch waits for peers, and says until when.
func Example() {
	now := time.Now()
	p := policy.New(policy.Config{Class: policy.Background}, []int{1 << 20}, "me", rand.New(rand.NewPCG(1, 2)))
	p.WantAll(now)
	p.OnLooked(now, 0)
	fmt.Println(p.Advance(now))
	next, code := p.Why(now)
	fmt.Println(code, next.Sub(now))
	fmt.Println(p.Advance(next))
	// Output:
	// []
	// grace 30s
	// [{0 1 inject 2s}]
}
