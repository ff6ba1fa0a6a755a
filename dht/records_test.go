package dht

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

func recKey(root, p any) ds.Key { return ds.RawKey(fmt.Sprintf("/providers/R%v/P%v", root, p)) }

func queryKeys(t *testing.T, d ds.Datastore, prefix string) []string {
	t.Helper()
	res, err := d.Query(t.Context(), query.Query{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	es, err := res.Rest()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range es {
		out = append(out, e.Key+"="+string(e.Value))
	}
	slices.Sort(out)
	return out
}

// Below its limits the store behaves as go-datastore's map does.
func TestRecordStoreIsADatastore(t *testing.T) {
	t.Parallel()
	got, want := newRecordStore(1000, newOwnRecords("self", nil)), ds.NewMapDatastore()
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 2000 {
		k := recKey(rng.IntN(12), rng.IntN(12))
		switch rng.IntN(3) {
		case 0:
			_ = got.Delete(t.Context(), k)
			_ = want.Delete(t.Context(), k)
		default:
			v := []byte(fmt.Sprint(i))
			_ = got.Put(t.Context(), k, v)
			_ = want.Put(t.Context(), k, v)
		}
		k = recKey(rng.IntN(12), rng.IntN(12))
		g, gerr := got.Get(t.Context(), k)
		w, werr := want.Get(t.Context(), k)
		if string(g) != string(w) || gerr != werr {
			t.Fatalf("Get(%v) = %q %v, want %q %v", k, g, gerr, w, werr)
		}
		has, _ := got.Has(t.Context(), k)
		size, _ := got.GetSize(t.Context(), k)
		if wsize, _ := want.GetSize(t.Context(), k); has != (werr == nil) || size != wsize {
			t.Fatalf("Has %v, GetSize %d, want %d", has, size, wsize)
		}
		if i%100 == 0 {
			for _, prefix := range []string{"/providers/R3", "/providers/R3/", "/providers/", "", "/other", "/providers/R"} {
				if g, w := queryKeys(t, got, prefix), queryKeys(t, want, prefix); !slices.Equal(g, w) {
					t.Fatalf("Query(%q) = %v\nwant %v", prefix, g, w)
				}
			}
		}
	}
	b, err := got.Batch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Put(t.Context(), recKey("b", 1), []byte("x"))
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, _ := got.Get(t.Context(), recKey("b", 1)); string(v) != "x" {
		t.Errorf("batch put %q", v)
	}
}

func TestRecordStoreBounded(t *testing.T) {
	t.Parallel()
	s := newRecordStore(100, newOwnRecords("self", nil))
	// One provider may fill half.
	for i := range 500 {
		_ = s.Put(t.Context(), recKey(i, "flood"), nil)
	}
	if s.size != 50 {
		t.Errorf("one provider has %d records, want 50", s.size)
	}
	// Many may fill it, and the last record is there.
	for i := range 1000 {
		k := recKey(i%300, i)
		_ = s.Put(t.Context(), k, []byte("v"))
		if ok, _ := s.Has(t.Context(), k); !ok {
			t.Fatalf("record %d was not taken", i)
		}
	}
	if s.size != 100 || len(queryKeys(t, s, "")) != 100 {
		t.Errorf("%d records, want 100", s.size)
	}
	n := 0
	for _, c := range s.peers {
		n += c
	}
	if n != s.size {
		t.Errorf("providers have %d records in all, the store %d", n, s.size)
	}
	for _, k := range queryKeys(t, s, "") {
		_ = s.Delete(t.Context(), ds.RawKey(k[:len(k)-2]))
		_ = s.Delete(t.Context(), ds.RawKey(k[:len(k)-1]))
	}
	if s.size != 0 || len(s.roots) != 0 || len(s.peers) != 0 {
		t.Errorf("%d records, %d roots, %d providers are left", s.size, len(s.roots), len(s.peers))
	}
	big := newRecordStore(20_000, newOwnRecords("self", nil))
	for i := range maxPerRoot + 100 {
		_ = big.Put(t.Context(), recKey("hot", i), nil)
	}
	if n := len(queryKeys(t, big, "/providers/Rhot")); n != maxPerRoot {
		t.Errorf("%d providers of one root, want %d", n, maxPerRoot)
	}
}
