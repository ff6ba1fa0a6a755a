package merkle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
)

var rewriteManifests = flag.Bool("rewrite-manifests", false, "write testdata/manifest/vectors.txt anew")

// pen is a publisher's key for tests.
func pen(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// plain is a manifest with every field set but those of the tree.
func plain() Manifest {
	old := UnixFSv1.Leaf([]byte("older"))
	return Manifest{
		Name: "app", Version: "1.2 β", Sequence: 1795348800, Previous: []cid.Cid{old.CID},
		Origins:   []string{"https://cdn.example.com/app?v=1", "http://[2001:db8::1]:8080/app"},
		Bootstrap: []string{"/dns4/node.example.com/tcp/7461/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"},
	}
}

// assembled is what a publisher of c has: the table, the tree and the sub-hashes.
func assembled(t testing.TB, p Profile, c content) (table *Table, tree []Block, digests []byte) {
	t.Helper()
	b := build(t, p, c)
	if c.Mode != 0 { // its only leaf is the tree
		b.blocks = append(b.blocks, Block{b.leaves[0].CID, b.leaves[0].Block([]byte(*c.Text))})
	}
	grown, err := NewTree(b.CID)
	if err != nil {
		t.Fatal(err)
	}
	feed(t, grown, b)
	if table, err = grown.Table(); err != nil {
		t.Fatal(err)
	}
	for i := range table.Pieces {
		digests = AppendSubHashes(digests, leafBlock(t, c, table, i))
	}
	return table, grown.Blocks(), digests
}

// leafBlock makes the block of a piece again; the contents of these tests are small texts.
func leafBlock(t testing.TB, c content, table *Table, piece int) []byte {
	t.Helper()
	p := table.Pieces[piece]
	for _, text := range texts(t, c) {
		if len(text) == p.Payload {
			if block, err := p.Wrap([]byte(text)); err == nil {
				return block
			}
		}
	}
	t.Fatalf("nothing is piece %d", piece)
	return nil
}

// texts are the leaves of a content.
func texts(t testing.TB, c content) []string {
	switch {
	case c.Text != nil:
		return []string{*c.Text}
	case c.Leaves > 0:
		return []string{"x"}
	case c.Dir == nil:
		return nil
	}
	var all []string
	for _, child := range children(t, c) {
		all = append(all, texts(t, child)...)
	}
	return all
}

// published is a signed manifest of c.
func published(t testing.TB, key ed25519.PrivateKey, m Manifest, c content) (envelope, file []byte) {
	t.Helper()
	table, tree, digests := assembled(t, UnixFSv1, c)
	envelope, err := m.Of(table, digests).Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return envelope, AppendSigned(nil, envelope, table.Root, tree, digests)
}

func text(s string) content { return content{Text: new(s)} }

func dirContent(t testing.TB, dir string) content {
	t.Helper()
	raw := json.RawMessage(dir)
	return content{Dir: &raw}
}

// some is a directory of two files, one of them more than a block long.
func some(t testing.TB) content { return dirContent(t, `{"a":{"text":"a"},"b":{"leaves":2}}`) }

// What is signed is read again, by libp2p too.
func TestSigned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]content{
		"raw leaf": text("hello"), "empty": text(""), "two leaves": {Leaves: 2}, "directory": some(t),
		"executable": {Text: new("#!"), Mode: 0o755}, "symlink": {Symlink: "x"}, "long leaf": text(strings.Repeat("y", 3*SubSize+1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			envelope, file := published(t, pen(1), plain(), c)
			s, err := ReadSigned(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			table, tree, digests := assembled(t, UnixFSv1, c)
			if want := plain().Of(table, digests); !reflect.DeepEqual(s.Manifest, want) {
				t.Errorf("read %+v\nwant %+v", s.Manifest, want)
			}
			if !bytes.Equal(s.Envelope, envelope) || !reflect.DeepEqual(s.Tree, tree) {
				t.Error("another envelope or tree")
			}
			if !bytes.Equal(AppendSigned(nil, s.Envelope, s.Root, s.Tree, digests), file) {
				t.Error("written again it is another file")
			}
			root, blocks, err := ReadTree(bytes.NewReader(file))
			if err != nil || !root.Equals(table.Root) || !reflect.DeepEqual(blocks, tree) {
				t.Errorf("as a tree: %v, %d blocks, %v", root, len(blocks), err)
			}
		})
	}
}

// libp2pManifest is a manifest's payload as libp2p seals it.
type libp2pManifest struct{ payload []byte }

func (*libp2pManifest) Domain() string                   { return manifestDomain }
func (*libp2pManifest) Codec() []byte                    { return []byte(manifestType) }
func (r *libp2pManifest) MarshalRecord() ([]byte, error) { return r.payload, nil }
func (r *libp2pManifest) UnmarshalRecord(b []byte) error { r.payload = b; return nil }

// The envelope is libp2p's, byte for byte, and the publisher its peer ID.
func TestEnvelopeIsLibp2ps(t *testing.T) {
	t.Parallel()
	table, _, digests := assembled(t, UnixFSv1, some(t))
	m := plain().Of(table, digests)
	ours, err := m.Sign(pen(1))
	if err != nil {
		t.Fatal(err)
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(pen(1))
	if err != nil {
		t.Fatal(err)
	}
	env, err := record.Seal(&libp2pManifest{m.appendTo(nil)}, key)
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err := env.Marshal(); err != nil || !bytes.Equal(ours, theirs) {
		t.Errorf("ours   %x\ntheirs %x, %v", ours, theirs, err)
	}
	var rec libp2pManifest
	if _, err := record.ConsumeTypedEnvelope(ours, &rec); err != nil || !bytes.Equal(rec.payload, m.appendTo(nil)) {
		t.Errorf("libp2p reads %x, %v", rec.payload, err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	_, p, err := OpenManifest(ours)
	if err != nil || p.String() != id.String() {
		t.Errorf("publisher %v, %v; want %v", p, err, id)
	}
	if again, err := ParsePublisher(id.String()); err != nil || again != p {
		t.Errorf("%v is read as %v, %v", id, again, err)
	}
	for _, s := range []string{"", "12D3KooW", "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", strings.Repeat("1", 100), id.String() + " "} {
		if p, err := ParsePublisher(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q is %v, %v", s, p, err)
		}
	}
}

// No byte of a signed manifest can be changed, added or left out.
func TestSignedIsWhole(t *testing.T) {
	t.Parallel()
	_, file := published(t, pen(1), plain(), some(t))
	for i := 0; i < len(file); i++ {
		if i > 2<<10 { // what is signed has been gone through; of the rest a part will do
			i = min(i+96, len(file)-1)
		}
		for _, bit := range []byte{1, 0x80} {
			b := bytes.Clone(file)
			b[i] ^= bit
			if _, err := ReadSigned(bytes.NewReader(b)); err == nil {
				t.Errorf("byte %d of %d can be changed", i, len(file))
			}
		}
		if _, err := ReadSigned(bytes.NewReader(file[:i])); err == nil {
			t.Errorf("read whole from %d of %d bytes", i, len(file))
		}
	}
	if _, err := ReadSigned(bytes.NewReader(append(file, 0))); err == nil {
		t.Error("a byte can be appended")
	}
}

// A publisher who lies about the tree is found out, and so is who puts another
// tree to what was signed.
func TestSignedRefuses(t *testing.T) {
	t.Parallel()
	key := pen(1)
	table, tree, digests := assembled(t, UnixFSv1, dirContent(t, `{"a":{"text":"a"},"b":{"dir":{"c":{"text":"cc"}}},"d":{"dir":{"e":{"text":"ee"}}}}`))
	other, otherTree, otherDigests := assembled(t, UnixFSv1, some(t))
	seal := func(change func(m *Manifest)) []byte {
		m := plain().Of(table, digests)
		change(&m)
		envelope, err := m.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		return envelope
	}
	honest := seal(func(*Manifest) {})
	stranger, err := plain().Of(table, digests).Sign(pen(2))
	if err != nil {
		t.Fatal(err)
	}
	swapped := slices.Clone(tree)
	swapped[1], swapped[2] = swapped[2], swapped[1]
	mixed := bytes.Clone(honest)
	copy(mixed[len(mixed)-64:], stranger[len(stranger)-64:])
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"size":                   {AppendSigned(nil, seal(func(m *Manifest) { m.Size++ }), table.Root, tree, digests), ErrMismatch},
		"another root's tree":    {AppendSigned(nil, honest, other.Root, otherTree, digests), ErrMismatch},
		"another tree":           {AppendSigned(nil, honest, table.Root, otherTree, digests), ErrMismatch},
		"no tree":                {AppendSigned(nil, honest, table.Root, nil, digests), ErrMismatch},
		"a block missing":        {AppendSigned(nil, honest, table.Root, tree[:2], digests), ErrMismatch},
		"a block twice":          {AppendSigned(nil, honest, table.Root, append(slices.Clone(tree), tree[0]), digests), ErrMalformed},
		"out of order":           {AppendSigned(nil, honest, table.Root, swapped, digests), ErrMalformed},
		"no sub-hashes":          {AppendSigned(nil, honest, table.Root, tree, nil), ErrMismatch},
		"other sub-hashes":       {AppendSigned(nil, honest, table.Root, tree, otherDigests), ErrMismatch},
		"unsigned sub-hashes":    {AppendSigned(nil, seal(func(m *Manifest) { m.SubHashes = [32]byte{} }), table.Root, tree, digests), ErrMismatch},
		"too few are signed":     {AppendSigned(nil, seal(func(m *Manifest) { m.SubHashes = digestOf(digests[:32]) }), table.Root, tree, digests[:32]), ErrMismatch},
		"another's signature":    {AppendSigned(nil, mixed, table.Root, tree, digests), ErrSignature},
		"a bare tree":            {AppendCAR(nil, table.Root, tree), ErrMalformed},
		"a giant envelope":       {[]byte(signedMagic + "\x0a\xff\xff\xff\xff\x0f"), ErrTooLarge},
		"a giant tree":           {append(appendBytes([]byte(signedMagic), 1, honest), 0x12, 0xff, 0xff, 0xff, 0xff, 0x0f), ErrTooLarge},
		"a length not its least": {[]byte(signedMagic + "\x0a\x81\x00x"), ErrMalformed},
	} {
		if _, err := ReadSigned(bytes.NewReader(c.file)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, _, err := OpenManifest(make([]byte, MaxEnvelope+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a large envelope: %v", err)
	}
	if _, err := plain().Of(table, digests).Sign(key[:32]); !errors.Is(err, ErrMalformed) {
		t.Errorf("half a key: %v", err)
	}
}

// Each field has its limits, for who signs and for who reads.
func TestManifestFields(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	for name, change := range map[string]func(m *Manifest){
		"no name":                func(m *Manifest) { m.Name = "" },
		"a path":                 func(m *Manifest) { m.Name = "../x" },
		"a windows path":         func(m *Manifest) { m.Name = `a\b` },
		"dot-dot":                func(m *Manifest) { m.Name = ".." },
		"a hidden name":          func(m *Manifest) { m.Name = ".ssh" },
		"a flag":                 func(m *Manifest) { m.Name = "-rf" },
		"control in the name":    func(m *Manifest) { m.Name = "a\nb" },
		"text turned round":      func(m *Manifest) { m.Name = "a\u202egnp.exe" },
		"a long name":            func(m *Manifest) { m.Name = long[:MaxLabel+1] },
		"no UTF-8":               func(m *Manifest) { m.Version = "\xff" },
		"control in the version": func(m *Manifest) { m.Version = "1\x1b[31m" },
		"a long version":         func(m *Manifest) { m.Version = long[:MaxLabel+1] },
		"sequence 0":             func(m *Manifest) { m.Sequence = 0 },
		"a giant sequence":       func(m *Manifest) { m.Sequence = MaxSequence + 1 },
		"a giant size":           func(m *Manifest) { m.Size = MaxSize + 1 },
		"no root":                func(m *Manifest) { m.Root = cid.Undef },
		"the root is older":      func(m *Manifest) { m.Previous = append(m.Previous, m.Root) },
		"an older one twice":     func(m *Manifest) { m.Previous = append(m.Previous, m.Previous[0]) },
		"many older ones":        func(m *Manifest) { m.Previous = slices.Repeat(m.Previous, MaxPrevious+1) },
		"a file":                 func(m *Manifest) { m.Origins[0] = "file:///etc/passwd" },
		"credentials":            func(m *Manifest) { m.Origins[0] = "https://me:secret@cdn.example.com/" },
		"no host":                func(m *Manifest) { m.Origins[0] = "https:///x" },
		"a fragment":             func(m *Manifest) { m.Origins[0] = "https://cdn.example.com/#x" },
		"a space":                func(m *Manifest) { m.Origins[0] = "https://cdn.example.com/ x" },
		"a long origin":          func(m *Manifest) { m.Origins[0] = "https://" + long },
		"many origins":           func(m *Manifest) { m.Origins = slices.Repeat(m.Origins, MaxOrigins) },
		"no peer":                func(m *Manifest) { m.Bootstrap[0] = "/ip4/192.0.2.1/tcp/1" },
		"a long address":         func(m *Manifest) { m.Bootstrap[0] = "/p2p/" + long },
		"many addresses":         func(m *Manifest) { m.Bootstrap = slices.Repeat(m.Bootstrap, MaxPeers+1) },
	} {
		m := plain()
		m.Root = UnixFSv1.Leaf([]byte("x")).CID
		change(&m)
		if _, err := m.Sign(pen(1)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s is signed: %v", name, err)
		}
		envelope, err := sealEnvelope(pen(1), m.appendTo(nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := OpenManifest(envelope); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s is read: %v", name, err)
		}
	}
}

// A run of blocks is held to the digests of its own place.
func TestSubHashes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("y", 2*SubSize) + strings.Repeat("z", SubSize) + "end"
	c := dirContent(t, fmt.Sprintf(`{"a":{"text":"a"},"b":{"text":%q}}`, long))
	table, _, digests := assembled(t, UnixFSv1, c)
	s, err := NewSubHashes(table, digests)
	if err != nil {
		t.Fatal(err)
	}
	a, b := []byte("a"), []byte(long)
	for _, ok := range []struct {
		piece, first int
		data         []byte
	}{{0, 0, a}, {1, 0, b}, {1, 1, b[:2*SubSize][SubSize:]}, {1, 2, b[2*SubSize:]}, {1, 3, []byte("end")}} {
		if err := s.Verify(ok.piece, ok.first, ok.data); err != nil {
			t.Errorf("block %d of piece %d: %v", ok.first, ok.piece, err)
		}
	}
	for _, bad := range []struct {
		piece, first int
		data         []byte
	}{{0, 0, []byte("b")}, {0, 1, a}, {1, 0, b[SubSize:]}, {1, 3, b[3*SubSize-1:]}, {1, 4, a}, {2, 0, a}, {-1, 0, a}, {0, -1, a}, {0, 0, nil}} {
		if err := s.Verify(bad.piece, bad.first, bad.data); !errors.Is(err, ErrMismatch) {
			t.Errorf("%d bytes are block %d of piece %d: %v", len(bad.data), bad.first, bad.piece, err)
		}
	}
	if _, err := NewSubHashes(table, digests[32:]); !errors.Is(err, ErrMismatch) {
		t.Errorf("too few: %v", err)
	}
}

// TestManifestVectors holds testdata/manifest/vectors.txt to the code: what
// another implementation can compare itself with.
func TestManifestVectors(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	line := func(name string, v any) { fmt.Fprintf(&out, "%s\n%v\n\n", name, v) }
	fmt.Fprintf(&out, "# Vectors of PROTOCOL.md, signed manifests. Bytes are hex.\n\n")
	table, tree, digests := assembled(t, UnixFSv1, some(t))
	m := plain().Of(table, digests)
	key := pen(1)
	p, err := publisherOf(key)
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := m.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	line("seed of the key", hex.EncodeToString(key.Seed()))
	line("publisher", p)
	line("name, version, sequence", fmt.Sprintf("%s, %s, %d", m.Name, m.Version, m.Sequence))
	line(`root: a directory of a, "a", and b, two leaves of "x"`, m.Root)
	line("size", m.Size)
	line("older version", m.Previous[0])
	line("origins", strings.Join(m.Origins, "\n"))
	line("bootstrap", m.Bootstrap[0])
	line("payload", hex.EncodeToString(m.appendTo(nil)))
	line("envelope", hex.EncodeToString(envelope))
	line("X.shoal", hex.EncodeToString(AppendSigned(nil, envelope, m.Root, tree, digests)))
	least, err := Manifest{Name: "x", Sequence: 1, Root: UnixFSv1.Leaf(nil).CID}.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	line("envelope of the least manifest: x, sequence 1, an empty file", hex.EncodeToString(least))
	const path = "testdata/manifest/vectors.txt"
	if *rewriteManifests {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != out.String() {
		t.Errorf("the code makes\n%s", out.String())
	}
}

// FuzzManifest: what is read is written as the same bytes.
func FuzzManifest(f *testing.F) {
	m := plain()
	m.Root = UnixFSv1.Leaf([]byte("x")).CID
	f.Add(m.appendTo(nil))
	f.Add(Manifest{Name: "x", Sequence: 1, Root: m.Root}.appendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			return
		}
		if again := m.appendTo(nil); !bytes.Equal(again, b) {
			t.Errorf("%x is written as %x", b, again)
		}
		envelope, err := m.Sign(pen(1))
		if err != nil {
			t.Fatalf("%x is read and cannot be signed: %v", b, err)
		}
		if read, _, err := OpenManifest(envelope); err != nil || !reflect.DeepEqual(read, m) {
			t.Errorf("%+v is read as %+v, %v", m, read, err)
		}
	})
}

// FuzzSigned: whatever is taken is what the one key of the test has signed.
func FuzzSigned(f *testing.F) {
	for _, c := range []content{text("hello"), some(f), {Symlink: "x"}} {
		_, file := published(f, pen(1), plain(), c)
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ReadSigned(bytes.NewReader(b))
		if err != nil {
			return
		}
		if again := AppendSigned(nil, s.Envelope, s.Root, s.Tree, s.digests); !bytes.Equal(again, b) {
			t.Errorf("%x is written as %x", b, again)
		}
		if _, err := s.Table(); err != nil {
			t.Errorf("%x has no table: %v", b, err)
		}
	})
}
