package node

import (
	"encoding/binary"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/merkle"
)

// shelved is a table with a root and a number of pieces, and nothing else.
func shelved(t *testing.T, n, pieces int) exchange.Held {
	t.Helper()
	mh, err := multihash.Sum(binary.BigEndian.AppendUint64(nil, uint64(n)), multihash.SHA2_256, -1)
	must(t, err)
	c := cid.NewCidV1(cid.DagProtobuf, mh)
	return exchange.Held{Table: &merkle.Table{Root: c, Pieces: make([]merkle.Piece, pieces)}, Have: []bool{true}, Tree: []cid.Cid{c}}
}

func TestShelfIsBounded(t *testing.T) {
	t.Parallel()
	var s shelf
	first := shelved(t, 0, 10)
	s.put(first)
	for i := 1; i < 100; i++ {
		s.put(shelved(t, i, maxShelf/10))
		if _, ok := s.get(first.Table.Root); !ok {
			t.Fatalf("what is used most fell off after %d", i)
		}
	}
	pieces := 0
	for _, h := range s.held {
		pieces += len(h.Table.Pieces)
		if h.Have != nil {
			t.Error("what is had is kept")
		}
	}
	if pieces > maxShelf {
		t.Errorf("%d pieces, want %d at most", pieces, maxShelf)
	}
	huge := shelved(t, 1000, 2*maxShelf)
	s.put(huge)
	if _, ok := s.get(huge.Table.Root); !ok || len(s.held) != 1 {
		t.Errorf("a huge table: %v, with %d", ok, len(s.held))
	}
}

// A table on the shelf serves no root that was unshared.
func TestShelfForgets(t *testing.T) {
	t.Parallel()
	a := start(t)
	target := share(t, a, put(t, "data.bin", noise(310, 3*mib)), AddOptions{})
	for range 2 {
		if h, ok := (*library)(a).Held(t.Context(), target.Root); !ok || len(h.Have) != 3 || !h.Have[0] {
			t.Fatalf("held: %v, %v", h.Have, ok)
		}
	}
	must(t, a.Unshare(t.Context(), target.Root.String()))
	if _, ok := (*library)(a).Held(t.Context(), target.Root); ok {
		t.Error("held after unshare")
	}
}

// Progress ends at the size, also where a piece stands more than once and where
// a file is so small that the tree carries it.
func TestProgressEndsAtSize(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t)
	same := make([]byte, 5*mib)
	target := shareTree(t, a, same, append(same[:2*mib:2*mib], "end"...))
	opt := from(a)
	var last Progress
	opt.Progress = func(p Progress) { last = p }
	_, err := begin(t, b, target, opt)()
	must(t, err)
	if last.Have != last.Size || last.Size != 7*mib+3 {
		t.Errorf("progress ends at %d of %d", last.Have, last.Size)
	}
}
