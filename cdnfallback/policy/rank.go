package policy

import "time"

const (
	groupMost = 8                      // consecutive pieces that fall to one node, so that its requests can be runs
	rankStep  = 500 * time.Millisecond // after which the next in rank may take what nobody claimed
)

// eligible reports whether it falls to this node to inject a piece: nobody, or
// not more than one for each 0.5 s without a new holder or claim in view, ranks
// before it among the peers that lack something. All nodes that see the same
// peers agree on the ranks without a word (rendezvous hashing, Thaler &
// Ravishankar 1998).
func (p *Policy) eligible(i int) bool {
	since := p.graceEnd()
	if p.sign.After(since) {
		since = p.sign
	}
	allowed := int(p.now.Sub(since) / rankStep)
	group := uint64(i / p.group())
	mine, before := mix(p.self, group), 0
	for _, h := range p.others() {
		if mix(h, group) > mine {
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

// others returns the hashes of the peers that lack something. Their order does
// not matter: they are only counted.
func (p *Policy) others() []uint64 {
	if p.rivals == nil {
		p.rivals = make([]uint64, 0, len(p.peers))
		for _, r := range p.peers {
			if r.count < len(p.pieces) {
				p.rivals = append(p.rivals, r.hash)
			}
		}
	}
	return p.rivals
}

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
