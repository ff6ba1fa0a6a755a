package store_test

import (
	"bytes"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
	"github.com/shoal-p2p/shoal/store/storetest"
)

// Leaves lists each piece once, however many files have it and however few are
// asked for at a time, and none that was unshared.
func TestLeaves(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.TempDir(), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	leaves := func(most int) (all []merkle.Piece) {
		var after merkle.Key
		for {
			page, err := s.Leaves(after, most)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, page...)
			if len(page) < most {
				return all
			}
			after = page[len(page)-1].Key
		}
	}
	if got := leaves(3); len(got) != 0 {
		t.Fatalf("an empty store has %v", got)
	}
	var roots []store.Root
	want := map[merkle.Key]merkle.Piece{}
	for _, path := range []string{storetest.WriteTree(t, 1), storetest.WriteTree(t, 1), storetest.WriteTree(t, 9)} {
		r, err := s.Add(t.Context(), path, store.AddOptions{})
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, r)
		for _, p := range storetest.Load(t, s, r).Table.Pieces {
			want[p.Key] = p
		}
	}
	for _, most := range []int{1, 2, 1000} {
		got := leaves(most)
		if len(got) != len(want) {
			t.Errorf("%d at a time: %d pieces, want %d", most, len(got), len(want))
		}
		for i, p := range got {
			if w := want[p.Key]; w.Size != p.Size || w.Payload != p.Payload {
				t.Errorf("piece %v: %d bytes, want %d", p.Key, p.Size, w.Size)
			}
			if i > 0 && bytes.Compare(got[i-1].Key[:], p.Key[:]) >= 0 {
				t.Errorf("piece %v comes after %v", p.Key, got[i-1].Key)
			}
		}
	}
	for _, r := range roots {
		_ = s.Unshare(r.CID) // the first two are one root
	}
	if got := leaves(10); len(got) != 0 {
		t.Errorf("%d pieces after everything was unshared", len(got))
	}
}
