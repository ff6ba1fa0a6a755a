package exchange

import "github.com/shoal-p2p/shoal/merkle"

// What a peer has of a root is its owner's business. A session notes it besides, for
// what the peer need not be told at once.

// noteHave notes what a peer told. Before the tree is known nothing is: a stranger
// could name a million pieces of anything.
func (s *Session) noteHave(r *Root, all bool, runs []Run) {
	if r.pieces() == merkle.MaxPieces {
		runs = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.members[r]
	if m == nil {
		return
	}
	m.all = m.all || all
	for _, run := range runs {
		for i := range run.Count {
			m.has.Add(run.First + i)
		}
	}
}

// noteUnhave notes that a peer has not all that it told of, and forgets all of it: it is
// told again what it may know.
func (s *Session) noteUnhave(r *Root) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.members[r]; m != nil {
		m.has, m.all = HaveMap{}, false
	}
}

// lacking returns our handle of r, 0 for none, whether the peer is to be told soon that
// pieces are here or others are coming, and which of these it lacks. Who lacks a scarce
// one asks for it, and who has all judges by it who passes on what he gives.
func (s *Session) lacking(r *Root, pieces, others []int, scarce *HaveMap) (handle uint32, soon bool, which []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.members[r]
	if m == nil {
		return 0, false, nil
	}
	for _, p := range pieces {
		soon = soon || scarce.Has(p) && (m.all || !m.has.Has(p))
	}
	for _, p := range others {
		if !m.all && !m.has.Has(p) {
			which = append(which, p)
			soon = soon || scarce.Has(p)
		}
	}
	return m.ours, soon, which
}

// tally adds one to the holders of each of pieces that the peer told that it has.
func (s *Session) tally(r *Root, pieces, holders []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.members[r]
	if m == nil {
		return
	}
	for i, p := range pieces {
		if m.all || m.has.Has(p) {
			holders[i]++
		}
	}
}

// hasAll reports whether a peer told that it has all of r.
func (s *Session) hasAll(r *Root) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.members[r]
	return m != nil && m.all
}
