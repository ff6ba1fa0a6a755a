package exchange

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
)

// A HaveMap is what a plain map of the same pieces is.
func TestHaveMap(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	var m HaveMap
	model := map[int]bool{}
	for range 20_000 {
		p := rng.IntN(700)
		if rng.IntN(3) == 0 {
			if got := m.Remove(p); got != model[p] {
				t.Fatalf("Remove(%d) = %v", p, got)
			}
			delete(model, p)
		} else {
			if got := m.Add(p); got == model[p] {
				t.Fatalf("Add(%d) = %v", p, got)
			}
			model[p] = true
		}
		if m.Count() != len(model) || !m.Has(p) == model[p] {
			t.Fatalf("%d pieces, want %d", m.Count(), len(model))
		}
	}
	n := 0
	for r := range m.Runs() {
		if m.Has(r.First-1) || m.Has(r.First+r.Count) {
			t.Errorf("run %v is not maximal", r)
		}
		for i := range r.Count {
			if !model[r.First+i] {
				t.Errorf("run %v holds %d", r, r.First+i)
			}
			n++
		}
	}
	if n != len(model) {
		t.Errorf("runs of %d pieces, want %d", n, len(model))
	}
	for range m.All() {
		break // a reader may stop early
	}
	for range m.Runs() {
		break
	}
	if m.Has(-1) || m.Has(1<<30) || m.Remove(1<<30) {
		t.Error("pieces out of range are there")
	}
}

func TestRunCoding(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		runs []Run
		nums []uint32
	}{
		"none":   {nil, nil},
		"first":  {[]Run{{0, 1}}, []uint32{0, 1}},
		"all":    {[]Run{{0, 100}}, []uint32{0, 100}},
		"last":   {[]Run{{99, 1}}, []uint32{99, 1}},
		"gaps":   {[]Run{{0, 3}, {5, 2}, {90, 10}}, []uint32{0, 3, 2, 2, 83, 10}},
		"a hole": {[]Run{{0, 50}, {51, 49}}, []uint32{0, 50, 1, 49}},
	} {
		lists := slices.Collect(runLists(slices.Values(c.runs)))
		if got := slices.Concat(lists...); !slices.Equal(got, c.nums) {
			t.Errorf("%s: %v encodes to %v, want %v", name, c.runs, got, c.nums)
		}
		if got, err := decodeRuns(c.nums, 100); err != nil || !slices.Equal(got, c.runs) {
			t.Errorf("%s: %v decodes to %v, %v, want %v", name, c.nums, got, err, c.runs)
		}
	}
}

func TestRunsRefused(t *testing.T) {
	t.Parallel()
	for name, nums := range map[string][]uint32{
		"odd":                  {0, 1, 2},
		"empty run":            {5, 0},
		"touching runs":        {0, 1, 0, 1},
		"past the end":         {99, 2},
		"sum overflows":        {1, 1, ^uint32(0), ^uint32(0)},
		"first past the end":   {100, 1},
		"too many":             make([]uint32, maxRuns+2),
		"empty run at the end": {0, 100, 0, 0},
	} {
		if runs, err := decodeRuns(nums, 100); !errors.Is(err, errProtocol) {
			t.Errorf("%s: got %v, %v", name, runs, err)
		}
	}
	if _, err := decodeRuns([]uint32{merkle.MaxPieces, 1}, 1<<40); err == nil {
		t.Error("a piece beyond MaxPieces passes")
	}
}

// A map with more runs than a message may hold goes in several, each complete in itself.
func TestManyRuns(t *testing.T) {
	t.Parallel()
	var m HaveMap
	for p := 0; p < 150_000; p += 2 {
		m.Add(p)
	}
	var back HaveMap
	lists := 0
	for nums := range runLists(m.Runs()) {
		lists++
		runs, err := decodeRuns(nums, 150_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			back.Add(r.First)
		}
	}
	if lists != 3 || back.Count() != m.Count() {
		t.Errorf("%d pieces in %d lists, want %d in 3", back.Count(), lists, m.Count())
	}
	for range runLists(m.Runs()) {
		break
	}
}
