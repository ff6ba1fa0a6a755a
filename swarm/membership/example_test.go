package membership_test

import (
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/swarm/membership"
)

// An authority makes its first member, that one an invite, and somebody uses it.
func Example() {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	rootKey, swarm, _ := membership.KeyFromSeed([32]byte{1})
	firstKey, first, _ := membership.KeyFromSeed([32]byte{2})
	_, guest, _ := membership.KeyFromSeed([32]byte{3})
	secret := [32]byte{4}

	root, _ := membership.Authority(rootKey)
	chain, _ := root.Grant(now, first, membership.AllRoles, membership.Founder)
	m, _ := membership.Check(now, swarm, first, chain, nil)
	invite, _ := membership.Of(firstKey, chain, m).Invite(now, secret, membership.Member, time.Hour, 1)
	shown, _ := membership.Mint(now, invite, secret, guest)

	m, err := membership.Check(now, swarm, guest, shown, nil)
	fmt.Println(m.Roles, "provisional:", m.Provisional(), err)
	_, err = membership.Check(now.Add(2*time.Hour), swarm, guest, shown, nil)
	fmt.Println(err)
	// Output:
	// member provisional: true <nil>
	// link 2: expired on 2026-11-22T13:00:00Z
}
