package main

import (
	"cmp"
	"os"
	"slices"
)

// extent is a run of bytes of a file, [from, to).
type extent struct{ from, to int64 }

const ( // of lseek, Linux
	seekData = 3
	seekHole = 4
)

// extents lists what of a file is no hole. A file that is not there, or is
// renamed meanwhile, has nothing this time.
func extents(name string) []extent {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close() // it is only read
	var out []extent
	for at := int64(0); ; {
		from, err := f.Seek(at, seekData)
		if err != nil {
			return out // no data from here on
		}
		to, err := f.Seek(from, seekHole)
		if err != nil || to <= from {
			return out
		}
		out = append(out, extent{from, to})
		at = to
	}
}

// covers tells whether the extents leave no byte below size out.
func covers(had []extent, size int64) bool {
	slices.SortFunc(had, func(a, b extent) int { return cmp.Compare(a.from, b.from) })
	at := int64(0)
	for _, e := range had {
		if e.from > at {
			return false
		}
		at = max(at, e.to)
	}
	return at >= size
}
