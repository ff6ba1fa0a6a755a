package node

import (
	"bytes"
	"os"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
)

func TestFetchFromNamedPeer(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"", "unixfs-v0-2015"} {
		t.Run("profile "+profile, func(t *testing.T) {
			t.Parallel()
			data := noise(1, 3*mib+12345)
			a, b := start(t), start(t)
			target := share(t, a, put(t, "data.bin", data), AddOptions{Profile: profile})
			r := mustGet(t, b, target, from(a), data)
			if r.From.LAN.Bytes != r.Size || r.From.LAN.Peers != 1 {
				t.Errorf("from %+v; want all from one LAN peer", r.From)
			}
			if r.CID != target.Root.String() {
				t.Errorf("CID %s; want %v", r.CID, target.Root)
			}
			if got := a.exchange.Sent(target.Root); got < r.Size {
				t.Errorf("the sender counts %d bytes sent; want at least %d", got, r.Size)
			}
		})
	}
}

// B knows neither A nor its address, only C, which holds nothing.
func TestFetchByDiscoveryAlone(t *testing.T) {
	t.Parallel()
	data := noise(2, 2*mib)
	c := start(t)
	a := start(t, through(c))
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	b := start(t, through(c))
	r := mustGet(t, b, target, FetchOptions{}, data)
	if r.From.LAN.Peers != 1 {
		t.Errorf("from %+v; want one LAN peer", r.From)
	}
}

// A link carries the addresses of who shares, so it is all that B needs.
func TestFetchByLink(t *testing.T) {
	t.Parallel()
	data := noise(3, mib+1)
	a, b := start(t), start(t)
	added, err := a.Add(t.Context(), put(t, "data.bin", data), AddOptions{})
	if err != nil {
		t.Fatal(err)
	}
	target, err := merkle.ParseTarget(added.Link)
	if err != nil {
		t.Fatal(err)
	}
	mustGet(t, b, target, FetchOptions{}, data)
}

func TestFetchSmallRoots(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t)
	tests := []struct {
		name, profile string
		size          int
	}{
		{"raw leaf", "", 1000},
		{"raw leaf of one byte", "", 1},
		{"raw leaf, full", "", mib},
		{"dag-pb leaf", "unixfs-v0-2015", 1000},
		{"empty raw leaf", "", 0},
		{"empty dag-pb leaf", "unixfs-v0-2015", 0},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := noise(uint64(100+i), tt.size)
			target := share(t, a, put(t, "data.bin", data), AddOptions{Profile: tt.profile})
			mustGet(t, b, target, from(a), data)
		})
	}
}

// An identity CID holds its content: nobody is asked.
func TestFetchIdentity(t *testing.T) {
	t.Parallel()
	root, err := cid.V1Builder{Codec: cid.Raw, MhType: 0}.Sum([]byte("hello"))
	must(t, err)
	r, err := get(t, start(t), merkle.Target{Root: root}, FetchOptions{})
	must(t, err)
	if got, err := os.ReadFile(r.Path); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v; want hello", got, err)
	}
	if r.Size != 5 || r.From.LAN.Bytes+r.From.Origin.Bytes != 0 {
		t.Errorf("size %d from %+v; want 5 bytes and nothing from others", r.Size, r.From)
	}
}

// Pieces that stand twice in a file come once.
func TestFetchRepeats(t *testing.T) {
	t.Parallel()
	one := noise(4, mib)
	data := bytes.Repeat(one, 5)
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	r, err := get(t, b, target, from(a))
	if err != nil {
		t.Fatal(err)
	}
	if sent := a.exchange.Sent(target.Root); sent != mib {
		t.Errorf("%d bytes sent for %d of file; want one piece", sent, r.Size)
	}
}
