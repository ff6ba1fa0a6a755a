package exchange

import (
	"fmt"
	"iter"
	"math/bits"

	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
)

// HaveMap is a set of piece numbers. The zero value is empty.
type HaveMap struct {
	words []uint64
	count int
}

// Has reports whether piece is in m.
func (m *HaveMap) Has(piece int) bool {
	w := piece >> 6
	return piece >= 0 && w < len(m.words) && m.words[w]&(1<<(piece&63)) != 0
}

// Add puts piece in m and reports whether it was not there.
func (m *HaveMap) Add(piece int) bool {
	if m.Has(piece) {
		return false
	}
	for piece>>6 >= len(m.words) {
		m.words = append(m.words, make([]uint64, max(1, len(m.words)))...)
	}
	m.words[piece>>6] |= 1 << (piece & 63)
	m.count++
	return true
}

// Remove takes piece out of m and reports whether it was there.
func (m *HaveMap) Remove(piece int) bool {
	if !m.Has(piece) {
		return false
	}
	m.words[piece>>6] &^= 1 << (piece & 63)
	m.count--
	return true
}

// Count is the number of pieces in m.
func (m *HaveMap) Count() int { return m.count }

// All yields the pieces in ascending order.
func (m *HaveMap) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range m.words {
			for ; w != 0; w &= w - 1 {
				if !yield(i<<6 + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}

// Run is a run of consecutive piece numbers.
type Run struct{ First, Count int }

// Runs yields m as maximal runs in ascending order.
func (m *HaveMap) Runs() iter.Seq[Run] { return runsOf(m.All()) }

// runsOf joins ascending numbers into maximal runs.
func runsOf(pieces iter.Seq[int]) iter.Seq[Run] {
	return func(yield func(Run) bool) {
		var r Run
		for p := range pieces {
			if r.Count > 0 && p == r.First+r.Count {
				r.Count++
				continue
			}
			if r.Count > 0 && !yield(r) {
				return
			}
			r = Run{First: p, Count: 1}
		}
		if r.Count > 0 {
			yield(r)
		}
	}
}

// runLists gives the wire form of ascending runs, cut into lists of at most
// maxRuns numbers: gap and length in turn, each list from piece 0 on.
func runLists(runs iter.Seq[Run]) iter.Seq[[]uint32] {
	return func(yield func([]uint32) bool) {
		var nums []uint32
		at := 0
		for r := range runs {
			nums = append(nums, uint32(r.First-at), uint32(r.Count))
			at = r.First + r.Count
			if len(nums) < maxRuns {
				continue
			}
			if !yield(nums) {
				return
			}
			nums, at = nil, 0
		}
		if len(nums) > 0 {
			yield(nums)
		}
	}
}

// decodePartial reads which pieces a peer is getting. Each is one of limit.
func decodePartial(told []*pb.Partial, limit int) ([]int, error) {
	if len(told) > maxPartial {
		return nil, fmt.Errorf("%w: %d pieces that are coming", errProtocol, len(told))
	}
	var pieces []int
	for _, p := range told {
		if int(p.GetPiece()) >= min(limit, merkle.MaxPieces) {
			return nil, fmt.Errorf("%w: piece %d of %d is coming", errProtocol, p.GetPiece(), limit)
		}
		pieces = append(pieces, int(p.GetPiece()))
	}
	return pieces, nil
}

// decodeRuns reads the wire form. Every run is non-empty and ends at or before
// limit, the number of pieces, merkle.MaxPieces while that is unknown.
func decodeRuns(nums []uint32, limit int) ([]Run, error) {
	if len(nums)%2 != 0 || len(nums) > maxRuns {
		return nil, fmt.Errorf("%w: run list of %d numbers", errProtocol, len(nums))
	}
	limit = min(limit, merkle.MaxPieces)
	runs := make([]Run, 0, len(nums)/2)
	at := uint64(0)
	for i := 0; i < len(nums); i += 2 {
		first := at + uint64(nums[i])
		at = first + uint64(nums[i+1])
		if nums[i+1] == 0 || at > uint64(limit) || (i > 0 && nums[i] == 0) {
			return nil, fmt.Errorf("%w: run %d+%d of %d pieces", errProtocol, first, nums[i+1], limit)
		}
		runs = append(runs, Run{First: int(first), Count: int(nums[i+1])})
	}
	return runs, nil
}
