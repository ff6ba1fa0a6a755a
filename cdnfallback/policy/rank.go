package policy

import "time"

const (
	groupMost = 8                      // consecutive pieces that fall to one node, so that its requests can be runs
	rankStep  = 500 * time.Millisecond // after which the next in rank may take what nobody claimed
)

// eligible reports whether it falls to this node to inject a piece: nobody of
// those who fetch from the origin now, or not more than one for each 0.5 s in
// which nothing falls to this node, ranks before it. All nodes that see the same
// claims agree on the ranks without a word (rendezvous hashing, Thaler &
// Ravishankar 1998).
func (p *Policy) eligible(i int) bool {
	allowed := 0
	if !p.hungry.IsZero() {
		allowed = int(p.now.Sub(p.hungry) / rankStep)
	}
	group := uint64(i / p.group())
	mine, before := mix(p.self, group), 0
	for _, r := range p.peers {
		if r.near > 0 && mix(r.hash, group) > mine {
			if before++; before > allowed {
				return false
			}
		}
	}
	return true
}

// group is how many consecutive pieces share a rank: 8, fewer of small content
// so that everybody has a share.
func (p *Policy) group() int { return min(max(len(p.pieces)/64, 1), groupMost) }

// hash is FNV-1a of 64 bits, the same at every node.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix ranks a node for a group: the finalizer of SplitMix64 (Steele et al.,
// OOPSLA 2014) over both. See TestRankVectors.
func mix(node, group uint64) uint64 {
	x := node ^ (group+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}
