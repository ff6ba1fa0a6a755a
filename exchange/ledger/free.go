package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// freeMost is how many pieces a newcomer gets at most; fewer of small content.
// See algorithms.md 2.3.
const freeMost = 8

// FreeSet returns the canonical free set of an address prefix for a root: the
// pieces that servers give to a newcomer from there while others wait. It has
// 8 pieces or 5% of all, whichever is less, but one at least, in ascending
// order, and is the same at every server. root is any form of the root that
// all servers agree on: the bytes of its CID. See TestFreeVectors.
//
// As in BEP 6 the set is read off a chain of hashes: x0 = SHA-256(uvarint(len(prefix)),
// prefix, root), x(i+1) = SHA-256(xi), each giving four pieces as big-endian
// 64-bit numbers modulo pieces, repetitions skipped.
func FreeSet(prefix, root string, pieces int) []int {
	want := min(freeMost, max(1, pieces/20), pieces)
	if want <= 0 {
		return nil
	}
	set := make([]int, 0, want)
	b := binary.AppendUvarint(nil, uint64(len(prefix)))
	x := sha256.Sum256(append(append(b, prefix...), root...))
	for {
		for i := 0; i < len(x); i += 8 {
			n := int(binary.BigEndian.Uint64(x[i:]) % uint64(pieces))
			if at, found := slices.BinarySearch(set, n); !found {
				set = slices.Insert(set, at, n)
			}
			if len(set) == want {
				return set
			}
		}
		x = sha256.Sum256(x[:])
	}
}
