package membership

import (
	"fmt"
	"strings"
)

// Role is what a member may do, a set of bits. Every member has Member.
type Role uint32

// The roles. Member and Publisher fetch and share; Cache and Relay are what a
// node may offer to others; Inviter countersigns and invites; Revoker signs
// revocation lists.
const (
	Member Role = 1 << iota
	Publisher
	Cache
	Relay
	Inviter
	Revoker

	// AllRoles is what the authority may grant.
	AllRoles = Member | Publisher | Cache | Relay | Inviter | Revoker
)

var roleNames = []string{"member", "publisher", "cache", "relay", "inviter", "revoker"}

// Has reports whether r has all of q.
func (r Role) Has(q Role) bool { return r&q == q }

// String lists the roles, comma-separated, in the order of the constants.
func (r Role) String() string {
	var names []string
	for i, n := range roleNames {
		if r.Has(1 << i) {
			names = append(names, n)
		}
	}
	return strings.Join(names, ",")
}

// ParseRoles reads a comma-separated list. Member is always in the result.
func ParseRoles(s string) (Role, error) {
	roles := Member
next:
	for name := range strings.SplitSeq(s, ",") {
		name = strings.TrimSpace(name)
		for i, n := range roleNames {
			if n == name {
				roles |= 1 << i
				continue next
			}
		}
		if name != "" {
			return 0, fmt.Errorf("unknown role %q; there are %s", name, strings.Join(roleNames, ", "))
		}
	}
	return roles, nil
}
