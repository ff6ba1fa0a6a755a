package node

import (
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/exchange"
)

// maxShelf is how many pieces the tables on a shelf have in all: some 20 MB.
// One of more pieces stands there alone.
const maxShelf = 128 << 10

// shelf keeps the tables of the roots that peers asked for last, so that asking
// again and again costs them more than us. What is had of a root changes and
// is not kept.
type shelf struct {
	mu   sync.Mutex
	held []exchange.Held // the last used first
}

func (s *shelf) get(c cid.Cid) (exchange.Held, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.held, func(h exchange.Held) bool { return h.Table.Root.Equals(c) })
	if i < 0 {
		return exchange.Held{}, false
	}
	h := s.held[i]
	s.held = slices.Insert(slices.Delete(s.held, i, i+1), 0, h)
	return h, true
}

func (s *shelf) put(h exchange.Held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.Have = nil
	s.held = slices.Insert(s.held, 0, h)
	room := maxShelf
	for i, h := range s.held {
		if room -= size(h); room < 0 && i > 0 {
			clear(s.held[i:])
			s.held = s.held[:i]
			return
		}
	}
}

// size is what a table costs: entries and places as much as pieces.
func size(h exchange.Held) int {
	n := len(h.Table.Pieces)
	for i := range h.Table.Entries {
		n += 1 + len(h.Table.Entries[i].Spans)
	}
	return n
}
