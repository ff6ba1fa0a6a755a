package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestCovers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		had  []extent
		size int64
		want bool
	}{
		"nothing":          {nil, 1, false},
		"in any order":     {[]extent{{4, 8}, {0, 4}}, 8, true},
		"a hole":           {[]extent{{0, 3}, {4, 8}}, 8, false},
		"the end is out":   {[]extent{{0, 7}}, 8, false},
		"one within other": {[]extent{{0, 7}, {1, 2}, {5, 8}}, 8, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := covers(c.had, c.size); got != c.want {
				t.Errorf("covers(%v, %d) = %v", c.had, c.size, got)
			}
		})
	}
}

// TestWhole: two sparse files of which each has what the other lacks.
func TestWhole(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("holes are found on Linux only")
	}
	const mib, size = 1 << 20, 4 << 20
	dir := t.TempDir()
	sparse := func(name string, pieces ...int64) {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		for _, p := range pieces {
			if _, err := f.WriteAt(make([]byte, mib), p*mib); err != nil {
				t.Fatal(err)
			}
		}
	}
	sparse("p1.got", 0, 2)
	sparse(".p2.got.shoal-partial", 1)
	patterns := []string{filepath.Join(dir, "p*.got"), filepath.Join(dir, ".p*.got.shoal-partial")}
	if whole(size, patterns) {
		t.Error("whole without the last piece")
	}
	sparse("p3.got", 3)
	if !whole(size, patterns) {
		t.Error("not whole with every piece at somebody")
	}
}
