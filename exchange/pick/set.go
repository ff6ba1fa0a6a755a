package pick

import "math/bits"

// set is a set of integers in [0, n) that finds its next member in O(log n)
// with base 64: a bit of level k+1 says that a word of level k is not zero.
type set struct {
	levels [][]uint64
	len    int // members
}

func newSet(n int) *set {
	s := &set{}
	for words := n; ; {
		words = max(1, (words+63)/64)
		s.levels = append(s.levels, make([]uint64, words))
		if words == 1 {
			return s
		}
	}
}

func (s *set) has(i int) bool { return s.levels[0][i>>6]>>(i&63)&1 == 1 }

func (s *set) add(i int) {
	if s.has(i) {
		return
	}
	s.len++
	for _, level := range s.levels {
		was := level[i>>6]
		level[i>>6] |= 1 << (i & 63)
		if was != 0 {
			return
		}
		i >>= 6
	}
}

func (s *set) remove(i int) {
	if !s.has(i) {
		return
	}
	s.len--
	for _, level := range s.levels {
		level[i>>6] &^= 1 << (i & 63)
		if level[i>>6] != 0 {
			return
		}
		i >>= 6
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
	s.len += bits.OnesCount64(x) - bits.OnesCount64(s.levels[0][w])
	s.levels[0][w] = x
	for k := 1; k < len(s.levels); k++ {
		if s.levels[k-1][w] != 0 {
			s.levels[k][w>>6] |= 1 << (w & 63)
		} else {
			s.levels[k][w>>6] &^= 1 << (w & 63)
		}
		w >>= 6
	}
}

// nextWord returns the first word from w on that has a member, -1 if none.
func (s *set) nextWord(w int) int {
	if len(s.levels) == 1 {
		if w == 0 && s.levels[0][0] != 0 {
			return 0
		}
		return -1
	}
	for k := 1; k < len(s.levels); k++ {
		if w>>6 >= len(s.levels[k]) {
			return -1
		}
		if x := s.levels[k][w>>6] >> (w & 63); x != 0 {
			w += bits.TrailingZeros64(x)
			for ; k > 1; k-- {
				w = w<<6 + bits.TrailingZeros64(s.levels[k-1][w])
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
	if w >= len(s.levels[0]) {
		return -1
	}
	if x := s.levels[0][w] >> (i & 63); x != 0 {
		return i + bits.TrailingZeros64(x)
	}
	if w = s.nextWord(w + 1); w < 0 {
		return -1
	}
	return w<<6 + bits.TrailingZeros64(s.levels[0][w])
}

// common returns the first word from w on in which a and b share members that
// are not in not (which may be nil), and these members. It leaps from one set
// to the other, so it costs what the sparser of the two has.
func common(a, b, not *set, w int) (int, uint64) {
	for {
		if w = a.nextWord(w); w < 0 {
			return -1, 0
		}
		x := a.levels[0][w] & b.levels[0][w]
		if x != 0 && not != nil {
			x &^= not.levels[0][w]
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
		n += bits.OnesCount64(a.levels[0][w] & b.levels[0][w])
	}
	return n
}

// merge adds all of b to s, in O(n/64).
func (s *set) merge(b *set) {
	for w := b.nextWord(0); w >= 0; w = b.nextWord(w + 1) {
		s.setWord(w, s.levels[0][w]|b.levels[0][w])
	}
}
