package policy

import "math/bits"

// set is a set of integers in [0, n). A bit of sum says that a word of words
// is not zero, so finding the next member reads n/4096 words at worst.
type set struct {
	words []uint64
	sum   []uint64
	len   int
}

func newSet(n int) *set {
	words := (n + 63) / 64
	return &set{words: make([]uint64, words), sum: make([]uint64, (words+63)/64)}
}

func (s *set) has(i int) bool { return s.words[i>>6]>>(i&63)&1 == 1 }

// put makes i a member or not.
func (s *set) put(i int, member bool) {
	if s.has(i) == member {
		return
	}
	w := i >> 6
	s.words[w] ^= 1 << (i & 63)
	if member {
		s.len++
		s.sum[w>>6] |= 1 << (w & 63)
		return
	}
	s.len--
	if s.words[w] == 0 {
		s.sum[w>>6] &^= 1 << (w & 63)
	}
}

// next returns the first member from i on, -1 if none.
func (s *set) next(i int) int {
	w := i >> 6
	if w >= len(s.words) {
		return -1
	}
	if x := s.words[w] >> (i & 63); x != 0 {
		return i + bits.TrailingZeros64(x)
	}
	w++
	for k := w >> 6; k < len(s.sum); k++ {
		x := s.sum[k]
		if k == w>>6 {
			x &= ^uint64(0) << (w & 63)
		}
		if x != 0 {
			w = k<<6 + bits.TrailingZeros64(x)
			return w<<6 + bits.TrailingZeros64(s.words[w])
		}
	}
	return -1
}

// around is next, going on from 0 at the end.
func (s *set) around(i int) int {
	if at := s.next(i); at >= 0 {
		return at
	}
	return s.next(0)
}
