package ledger

import (
	"cmp"
	"slices"
)

// netsKept bounds the prefixes without a peer of which it is known what they kept:
// whoever brings more pushes out those who kept least.
const netsKept = 4096

// passersKept bounds the prefixes that are known to have passed something on.
const passersKept = 4096

// net is what the ledger knows of one prefix, as if it were one stranger.
type net struct {
	key    string
	kept   float64 // what it got less what it passed on, 0 and more, in bytes of the ledger's epoch
	passed bool    // it passed something on
	peers  int     // accounts there; of one without any not more than netsKept are remembered
}

// nets are all of them.
type nets struct {
	byKey   map[string]*net
	left    int             // those without a peer
	passers map[string]bool // prefixes that passed on what they got from us, the last passersKept of them
	passed  []string        // the same, in the order in which they did first
}

func newNets() nets { return nets{byKey: map[string]*net{}, passers: map[string]bool{}} }

// alone is the prefix of a peer without one.
func alone(peer PeerKey) string { return "\x00" + string(peer) }

// join has a peer be at a prefix.
func (s *nets) join(key string) *net {
	n := s.byKey[key]
	switch {
	case n == nil:
		n = &net{key: key, passed: s.passers[key]}
		s.byKey[key] = n
	case n.peers == 0:
		s.left--
	}
	n.peers++
	return n
}

// leave undoes join. What kept nothing is nothing to remember.
func (s *nets) leave(n *net) {
	if n.peers--; n.peers > 0 {
		return
	}
	if n.kept == 0 {
		delete(s.byKey, n.key)
		return
	}
	if s.left++; s.left > netsKept {
		s.prune()
	}
}

// prune forgets a quarter of those without a peer.
func (s *nets) prune() {
	var left []*net
	for _, n := range s.byKey {
		if n.peers == 0 {
			left = append(left, n)
		}
	}
	slices.SortFunc(left, func(a, b *net) int { return cmp.Or(cmp.Compare(a.kept, b.kept), cmp.Compare(a.key, b.key)) })
	for _, n := range left[:netsKept/4] {
		delete(s.byKey, n.key)
	}
	s.left -= netsKept / 4
}

// charge adds to what a prefix kept for itself.
func (n *net) charge(bytes float64) { n.kept = max(0, n.kept+bytes) }

// pass notes that a prefix passed something on.
func (s *nets) pass(n *net) {
	n.passed = true
	if s.passers[n.key] {
		return
	}
	s.passers[n.key] = true
	if s.passed = append(s.passed, n.key); len(s.passed) > passersKept {
		delete(s.passers, s.passed[0])
		s.passed = s.passed[1:]
	}
}
