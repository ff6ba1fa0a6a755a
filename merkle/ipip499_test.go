package merkle

import (
	"crypto/sha256"
	"testing"

	"github.com/ipfs/go-cid"
	"golang.org/x/crypto/chacha20"
)

// The CIDs that IPIP-499 publishes under "Test fixtures". Kubo's
// test/cli/cid_profiles_test.go says what they hold: files are the ChaCha20 key
// stream under the key sha2-256(seed) and a zero nonce; directories hold files
// of the byte "x" whose names are letters picked by that stream.
var ipip499 = []struct {
	profile Profile
	name    string
	cid     string
	seed    string
	size    int64 // of a file
	files   int   // of a directory
	letters int   // of each name
	last    int   // letters of the last name
}{
	{UnixFSv0, "at a leaf", "QmWmRj3dFDZdb6ABvbmKhEL6TmPbAfBZ1t5BxsEyJrcZhE", "chunk-v0-seed", 262144, 0, 0, 0},
	{UnixFSv0, "over a leaf", "QmYyLxtzZyW22zpoVAtKANLRHpDjZtNeDjQdJrcQNWoRkJ", "chunk-v0-seed", 262145, 0, 0, 0},
	{UnixFSv0, "over max links", "QmV81WL765sC8DXsRhE5fJv2rwhS4icHRaf3J9Zk5FdRnW", "v0-seed", 174*262144 + 1, 0, 0, 0},
	{UnixFSv0, "at the threshold", "QmX5GtRk3TSSEHtdrykgqm4eqMEn3n2XhfkFAis5fjyZmN", "hamt-unixfs-v0-2015", 0, 4096, 30, 30},
	{UnixFSv0, "over the threshold", "QmeMiJzmhpJAUgynAcxTQYek5PPKgdv3qEvFsdV3XpVnvP", "hamt-unixfs-v0-2015", 0, 4033, 31, 31},
	{UnixFSv1, "at a leaf", "bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta", "chunk-v1-seed", 1 << 20, 0, 0, 0},
	{UnixFSv1, "over a leaf", "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64", "chunk-v1-seed", 1<<20 + 1, 0, 0, 0},
	{UnixFSv1, "over max links", "bafybeibdsi225ugbkmpbdohnxioyab6jsqrmkts3twhpvfnzp77xtzpyhe", "v1-2025-seed", 1<<30 + 1, 0, 0, 0},
	{UnixFSv1, "at the threshold", "bafybeic3h7rwruealwxkacabdy45jivq2crwz6bufb5ljwupn36gicplx4", "hamt-unixfs-v1-2025", 0, 4766, 11, 21},
	{UnixFSv1, "over the threshold", "bafybeiegvuterwurhdtkikfhbxcldohmxp566vpjdofhzmnhv6o4freidu", "hamt-unixfs-v1-2025", 0, 4766, 11, 22},
}

// ipip499Full are the fixtures "at max links": the files above without their last byte.
var ipip499Full = map[string]string{
	"QmV81WL765sC8DXsRhE5fJv2rwhS4icHRaf3J9Zk5FdRnW":              "QmUbBALi174SnogsUzLpYbD4xPiBSFANF4iztWCsHbMKh2",
	"bafybeibdsi225ugbkmpbdohnxioyab6jsqrmkts3twhpvfnzp77xtzpyhe": "bafybeihmf37wcuvtx4hpu7he5zl5qaf2ineo2lqlfrapokkm5zzw7zyhvm",
}

// withoutLast is the file of all leaves but the last.
func withoutLast(p Profile, b built) cid.Cid {
	f := p.NewFile()
	for _, l := range b.leaves[:len(b.leaves)-1] {
		f.Add(l)
	}
	l, _ := f.Finish(0)
	return l.CID
}

// easyLetters is the alphabet of the fixtures' names.
const easyLetters = "abcdefghijklmnopqrstuvwxyz01234567890-_"

// TestIPIP499 holds both profiles to the fixtures of the specification. The
// small file and the empty directory of IPIP-499 are in vectors.json.
func TestIPIP499(t *testing.T) {
	t.Parallel()
	for _, c := range ipip499 {
		t.Run(c.profile.Name()+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && c.size > 64<<20 {
				t.Skip("large")
			}
			key := sha256.Sum256([]byte(c.seed))
			stream, err := chacha20.NewUnauthenticatedCipher(key[:], make([]byte, chacha20.NonceSize))
			if err != nil {
				t.Fatal(err)
			}
			fill := func(b []byte) {
				clear(b)
				stream.XORKeyStream(b, b)
			}
			var got Link
			if c.files == 0 {
				b := buildFile(c.profile, 0, c.size, fill)
				got = b.Link
				if full, ok := ipip499Full[c.cid]; ok && withoutLast(c.profile, b).String() != full {
					t.Errorf("at max links: CID %s, want %s", withoutLast(c.profile, b), full)
				}
			} else {
				got = easyDirectory(t, c.profile, c.files, c.letters, c.last, fill)
			}
			if got.CID.String() != c.cid {
				t.Errorf("CID %s, want %s", got.CID, c.cid)
			}
		})
	}
}

func easyDirectory(t *testing.T, p Profile, files, letters, last int, fill func([]byte)) Link {
	x := build(t, p, content{Text: new("x")}).Link
	var entries []DirEntry
	for i := range files {
		name := make([]byte, letters)
		if i == files-1 {
			name = make([]byte, last)
		}
		fill(name)
		for j, b := range name {
			name[j] = easyLetters[int(b)%len(easyLetters)]
		}
		entries = append(entries, DirEntry{string(name), x})
	}
	l, _, err := p.Directory(entries, 0)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
