package archtest

import (
	"maps"
	"os"
	"slices"
	"testing"
)

// TestShoal holds this repository to its laws.
func TestShoal(t *testing.T) {
	t.Parallel()
	r, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range slices.Sorted(maps.Keys(rules)) {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			for _, line := range check(rule, shoal, r) {
				t.Error(line)
			}
		})
	}
}
