package pick

import "math/bits"

// set is a set of integers in [0, n) that finds its next member in O(log n)
// with base 64: a bit of a level says that a word of the one below is not zero.
type set struct {
	words []uint64
	above [][]uint64 // levels over words, the lowest first
	len   int        // members
}

func newSet(n int) *set {
	words := max(1, (n+63)/64)
	s := &set{words: make([]uint64, words)}
	for words > 1 {
		words = (words + 63) / 64
		s.above = append(s.above, make([]uint64, words))
	}
	return s
}

func (s *set) has(i int) bool { return s.words[i>>6]>>(i&63)&1 == 1 }

func (s *set) add(i int) {
	if s.has(i) {
		return
	}
	s.len++
	was := s.words[i>>6]
	s.words[i>>6] |= 1 << (i & 63)
	if was != 0 {
		return
	}
	for _, level := range s.above {
		i >>= 6
		was := level[i>>6]
		level[i>>6] |= 1 << (i & 63)
		if was != 0 {
			return
		}
	}
}

func (s *set) remove(i int) {
	if !s.has(i) {
		return
	}
	s.len--
	s.words[i>>6] &^= 1 << (i & 63)
	if s.words[i>>6] != 0 {
		return
	}
	for _, level := range s.above {
		i >>= 6
		level[i>>6] &^= 1 << (i & 63)
		if level[i>>6] != 0 {
			return
		}
	}
}

func (s *set) put(i int, in bool) {
	if in {
		s.add(i)
	} else {
		s.remove(i)
	}
}

// addRange adds [first, end) a word at a time.
func (s *set) addRange(first, end int) {
	for i := first; i < end; {
		if i&63 == 0 && end-i >= 64 {
			s.setWord(i>>6, ^uint64(0))
			i += 64
			continue
		}
		s.add(i)
		i++
	}
}

// setWord replaces 64 members from w*64 on.
func (s *set) setWord(w int, x uint64) {
	s.len += bits.OnesCount64(x) - bits.OnesCount64(s.words[w])
	s.words[w] = x
	for _, level := range s.above {
		if x != 0 {
			level[w>>6] |= 1 << (w & 63)
		} else {
			level[w>>6] &^= 1 << (w & 63)
		}
		w >>= 6
		x = level[w]
	}
}

// nextWord returns the first word from w on that has a member, -1 if none.
func (s *set) nextWord(w int) int {
	if len(s.above) == 0 {
		if w == 0 && s.words[0] != 0 {
			return 0
		}
		return -1
	}
	for k, level := range s.above {
		if w>>6 >= len(level) {
			return -1
		}
		if x := level[w>>6] >> (w & 63); x != 0 {
			w += bits.TrailingZeros64(x)
			for ; k > 0; k-- {
				w = w<<6 + bits.TrailingZeros64(s.above[k-1][w])
			}
			return w
		}
		w = w>>6 + 1
	}
	return -1
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
	if w = s.nextWord(w + 1); w < 0 {
		return -1
	}
	return w<<6 + bits.TrailingZeros64(s.words[w])
}

// common returns the first word from w on in which a and b share members that
// are not in not (which may be nil), and these members. It leaps from one set
// to the other, so it costs what the sparser of the two has.
func common(a, b, not *set, w int) (int, uint64) {
	for {
		if w = a.nextWord(w); w < 0 {
			return -1, 0
		}
		x := a.words[w] & b.words[w]
		if x != 0 && not != nil {
			x &^= not.words[w]
		}
		if x != 0 {
			return w, x
		}
		if w = b.nextWord(w + 1); w < 0 {
			return -1, 0
		}
	}
}

// overlap counts the members that a and b share, in O(n/64).
func overlap(a, b *set) int {
	n := 0
	for w := a.nextWord(0); w >= 0; w = a.nextWord(w + 1) {
		n += bits.OnesCount64(a.words[w] & b.words[w])
	}
	return n
}

// merge adds all of b to s, in O(n/64).
func (s *set) merge(b *set) {
	for w := b.nextWord(0); w >= 0; w = b.nextWord(w + 1) {
		s.setWord(w, s.words[w]|b.words[w])
	}
}
