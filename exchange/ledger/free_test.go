package ledger

import (
	"slices"
	"testing"
)

// TestFreeVectors holds the canonical free set still: all versions of all
// servers have to agree on it.
func TestFreeVectors(t *testing.T) {
	t.Parallel()
	const root = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
	for _, c := range []struct {
		prefix string
		pieces int
		want   []int
	}{
		{"192.0.2.0/24", 0, nil},
		{"192.0.2.0/24", 1, []int{0}},
		{"192.0.2.0/24", 40, []int{5, 8}},
		{"192.0.2.0/24", 1024, []int{33, 386, 684, 686, 781, 796, 887, 928}},
		{"203.0.113.0/24", 1024, []int{64, 147, 327, 384, 529, 729, 836, 974}},
		{"2001:db8::/56", 1 << 20, []int{23325, 141510, 430980, 453911, 691017, 699853, 859169, 942564}},
	} {
		got := FreeSet(c.prefix, root, c.pieces)
		if !slices.Equal(got, c.want) {
			t.Errorf("FreeSet(%q, root, %d) is %v, want %v", c.prefix, c.pieces, got, c.want)
		}
		if !slices.IsSorted(got) || len(got) != min(8, c.pieces, max(1, c.pieces/20)) {
			t.Errorf("FreeSet(%q, root, %d) has %d pieces: %v", c.prefix, c.pieces, len(got), got)
		}
	}
}
