package node

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
	"github.com/shoal-p2p/shoal/dht"
	"github.com/shoal-p2p/shoal/merkle"
)

// announce lets a node announce more than roots, and tell ch what that took.
func announce(mode string, ch chan AnnounceStatus) func(*Config) {
	return func(c *Config) {
		c.Announce = mode
		c.Announced = func(s AnnounceStatus) { ch <- s }
	}
}

// album makes a directory of a file of three pieces, two equal small files, an
// empty one, and a link.
func album(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "album")
	must(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	for name, data := range map[string][]byte{
		"large": noise(40, 2*mib+5), "sub/small": noise(41, 1000), "same": noise(41, 1000), "empty": nil,
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	must(t, os.Symlink("large", filepath.Join(dir, "link")))
	return dir
}

// found are the IDs that n finds for a CID.
func found(t *testing.T, n *Node, c cid.Cid) []string {
	t.Helper()
	var ids []string
	must(t, n.Find(t.Context(), merkle.Target{Root: c}, FetchOptions{}, func(p Provider) { ids = append(ids, p.ID) }))
	return ids
}

// told are the distinct keys that a node would announce beside its roots.
func told(t *testing.T, n *Node) []string {
	t.Helper()
	keys := map[string]bool{}
	must(t, n.announces.all(func(key mh.Multihash) bool {
		keys[string(key)] = true
		return true
	}))
	return slices.Sorted(maps.Keys(keys))
}

// hashes are the multihashes of CIDs, sorted.
func hashes(cs ...cid.Cid) []string {
	var out []string
	for _, c := range cs {
		out = append(out, string(c.Hash()))
	}
	slices.Sort(out)
	return out
}

// A file inside of a directory is announced when its directory is added, found by
// its own CID and fetched; its pieces are announced only if that is asked for.
// Nothing of it is once it is unshared.
func TestAnnounceFilesAndPieces(t *testing.T) {
	t.Parallel()
	for mode, keys := range map[string]int{announceFiles: 2, announcePieces: 5} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			boot := start(t)
			report := make(chan AnnounceStatus, 10)
			holder := start(t, through(boot), announce(mode, report))
			finder := start(t, through(boot))
			target := share(t, holder, album(t), AddOptions{})
			s := <-report
			if s.Mode != mode || s.Keys != keys || s.Records < keys || s.Peers < 1 || s.Bytes <= 0 || s.PerGiB < s.Bytes || s.Every != 79200 {
				t.Errorf("announced %+v, want %d keys", s, keys)
			}
			st, err := holder.Status(t.Context())
			must(t, err)
			if st.Announce != s {
				t.Errorf("status has %+v, want %+v", st.Announce, s)
			}
			large := cid.MustParse(entry(t, holder, target, "large").CID)
			small := cid.MustParse(entry(t, holder, target, "same").CID)
			for _, c := range []cid.Cid{large, small} {
				if got := found(t, finder, c); !slices.Contains(got, holder.ID()) {
					t.Errorf("%v: found %v, want %v", c, got, holder.ID())
				}
			}
			mustGet(t, finder, merkle.Target{Root: large}, FetchOptions{}, noise(40, 2*mib+5))

			want := hashes(large, small)
			if mode == announcePieces {
				table := tableOf(t, holder, target.Root)
				for _, p := range table.Pieces {
					if c := p.Key.CID(); !c.Equals(small) {
						want = append(want, string(c.Hash()))
					}
				}
				slices.Sort(want)
			}
			if got := told(t, holder); !slices.Equal(got, want) {
				t.Errorf("%d keys to announce, want %d", len(got), len(want))
			}
			asked := 0
			must(t, holder.announces.all(func(mh.Multihash) bool { asked++; return true }))
			if mode == announcePieces && asked != keys {
				t.Errorf("%d keys told, want each of %d once", asked, keys)
			}
			must(t, holder.Unshare(t.Context(), target.Root.String()))
			if got := told(t, holder); len(got) != 0 {
				t.Errorf("%d keys to announce after unshare", len(got))
			}
		})
	}
}

// entry is what a directory has under a name.
func entry(t *testing.T, n *Node, target merkle.Target, name string) Entry {
	t.Helper()
	all, err := n.List(t.Context(), target, FetchOptions{})
	must(t, err)
	for _, e := range all {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("no %s in %+v", name, all)
	return Entry{}
}

func tableOf(t *testing.T, n *Node, c cid.Cid) *merkle.Table {
	t.Helper()
	table, err := n.heldTable(c)
	must(t, err)
	return table
}

// Keys are told until who asks has had enough, however they are ordered inside.
func TestAnnounceStops(t *testing.T) {
	t.Parallel()
	n := start(t, announce(announcePieces, make(chan AnnounceStatus, 10)))
	share(t, n, album(t), AddOptions{})
	more := album(t)
	must(t, os.WriteFile(filepath.Join(more, "another"), noise(42, 10), 0o644))
	share(t, n, more, AddOptions{})
	for most := range len(told(t, n)) {
		asked := 0
		must(t, n.announces.all(func(mh.Multihash) bool {
			asked++
			return asked <= most
		}))
		if asked != most+1 {
			t.Errorf("asked %d times by who wanted %d", asked, most)
		}
	}
}

// A root that is a file itself is announced as a root, not once more as a file.
func TestAnnounceNoRootTwice(t *testing.T) {
	t.Parallel()
	n := start(t, announce(announceFiles, make(chan AnnounceStatus, 10)))
	share(t, n, put(t, "file", noise(46, 2*mib)), AddOptions{})
	share(t, n, put(t, "small", noise(47, 10)), AddOptions{})
	if got := told(t, n); len(got) != 0 {
		t.Errorf("%d keys to announce beside two roots, want none", len(got))
	}
}

// What comes piece by piece, and what is added, is announced at once: no sweep
// of all keys is made here.
func TestAnnounceAtOnce(t *testing.T) {
	t.Parallel()
	var swarm dht.Registry
	other := swarm.Join(peer.AddrInfo{ID: "other", Addrs: []ma.Multiaddr{ma.StringCast("/ip4/10.0.0.1/tcp/1")}})
	holder := start(t)
	n := start(t, announce(announcePieces, make(chan AnnounceStatus, 10)))
	n.announcer = dht.NewAnnouncer(
		swarm.Join(peer.AddrInfo{ID: "node", Addrs: []ma.Multiaddr{ma.StringCast("/ip4/10.0.0.2/tcp/1")}}),
		dht.AnnouncerConfig{Keys: func(func(mh.Multihash) bool) error { return nil }})
	n.wg.Go(func() { n.announcer.Run(n.ctx) })
	announced := func(what string, table *merkle.Table) {
		t.Helper()
		for i, p := range table.Pieces {
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				if _, ok := <-other.Find(t.Context(), p.Key.CID(), 1); ok {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("%s: piece %d is not announced", what, i)
				}
			}
		}
	}
	added := share(t, n, put(t, "added", noise(43, 3*mib)), AddOptions{})
	announced("added", tableOf(t, n, added.Root))

	data := noise(44, 3*mib)
	target := share(t, holder, put(t, "fetched", data), AddOptions{})
	mustGet(t, n, target, from(holder), data)
	announced("fetched", tableOf(t, n, target.Root))

	// A third of this was here before.
	data = append(noise(43, mib), noise(45, 2*mib)...)
	target = share(t, holder, put(t, "grown", data), AddOptions{})
	mustGet(t, n, target, from(holder), data)
	announced("grown", tableOf(t, n, target.Root))
}

// A server names itself for what it can serve, piece or node of a tree, and for
// nothing else, whatever a stranger asks for.
func TestHolds(t *testing.T) {
	t.Parallel()
	n := start(t)
	target := share(t, n, album(t), AddOptions{})
	large := cid.MustParse(entry(t, n, target, "large").CID)
	piece := tableOf(t, n, large).Pieces[2].Key.CID()
	identity, err := mh.Sum([]byte("x"), mh.IDENTITY, -1)
	must(t, err)
	sha512, err := mh.Sum([]byte("x"), mh.SHA2_512, -1)
	must(t, err)
	other, err := mh.Sum([]byte("x"), mh.SHA2_256, -1)
	must(t, err)
	for _, tt := range []struct {
		name string
		key  mh.Multihash
		want bool
	}{
		{"piece", piece.Hash(), true},
		{"file", large.Hash(), true},
		{"root", target.Root.Hash(), true},
		{"something else", other, false},
		{"another hash", sha512, false},
		{"no hash", identity, false},
		{"garbage", []byte{1, 2, 3}, false},
		{"nothing", nil, false},
	} {
		if got := n.holds(tt.key); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	must(t, n.Unshare(t.Context(), target.Root.String()))
	if n.holds(piece.Hash()) || n.holds(large.Hash()) {
		t.Error("holds what was unshared")
	}
}

// As a server a node names itself for every root from the moment that it has
// it, also for those that wait to be announced because there is nobody to tell.
func TestNamesItsRoots(t *testing.T) {
	t.Parallel()
	n := start(t)
	first := share(t, n, put(t, "first", noise(48, 2*mib)), AddOptions{})
	second := share(t, n, put(t, "second", noise(49, 10)), AddOptions{})
	names := n.names()
	if !names(first.Root.Hash()) || !names(second.Root.Hash()) {
		t.Error("a root is not named")
	}
	if names(tableOf(t, n, first.Root).Pieces[0].Key.CID().Hash()) {
		t.Error("a piece is named although roots alone are announced")
	}
	must(t, n.Unshare(t.Context(), first.Root.String()))
	if names(first.Root.Hash()) {
		t.Error("what was unshared is named")
	}
}
