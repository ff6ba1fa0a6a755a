package merkle

import (
	"errors"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// TestParse reads the kinds of CID that people paste, and says what is wrong with others.
func TestParse(t *testing.T) {
	t.Parallel()
	long, err := multihash.Encode(make([]byte, MaxIdentity+1), multihash.IDENTITY)
	if err != nil {
		t.Fatal(err)
	}
	short := append(multihash.Multihash{multihash.SHA2_256, 20}, make([]byte, 20)...)
	for _, c := range []struct {
		in   string
		want error
		says string
	}{
		{"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", nil, ""},
		{"BAFKREIHDWDCEFGH4DQKJV67UZCMW7OJEE6XEDZDETOJUZJEVTENXQUVYKU", nil, ""},
		{"f01551220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", nil, ""},
		{"zb2rhmy65F3REf8SZp7De11gxtECBGgUKaLdiDj7MCGCHxbDW", nil, ""},
		{"QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", nil, ""},
		{"bafkqabtimvwgy3yk", nil, ""}, // identity, "hello\n"
		{"", ErrMalformed, "empty"},
		{"hello", ErrMalformed, "should look like"},
		{"QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3N", ErrMalformed, "should look like"},
		{strings.Repeat("b", 3000), ErrMalformed, "3000 characters"},
		{cid.NewCidV1(cid.DagCBOR, hashOf(multihash.SHA2_256)).String(), ErrUnsupported, "dag-cbor"},
		{cid.NewCidV1(0x0129, hashOf(multihash.SHA2_256)).String(), ErrUnsupported, "dag-json"},
		{cid.NewCidV1(0xb201, hashOf(multihash.SHA2_256)).String(), ErrUnsupported, "codec 0xb201"},
		{cid.NewCidV1(cid.Libp2pKey, hashOf(multihash.SHA2_256)).String(), ErrUnsupported, "IPNS"},
		{cid.NewCidV1(cid.Raw, hashOf(multihash.SHA2_512)).String(), ErrUnsupported, "sha2-512: only sha2-256"},
		{cid.NewCidV1(cid.Raw, hashOf(multihash.BLAKE3)).String(), ErrUnsupported, "blake3"},
		{cid.NewCidV1(cid.Raw, long).String(), ErrUnsupported, "129 bytes"},
		{cid.NewCidV1(cid.Raw, short).String(), ErrMalformed, "20 bytes"},
	} {
		got, err := Parse(c.in)
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("Parse(%q): %v, want %v, %q", clip(c.in), err, c.want, c.says)
		}
		if (err == nil) != got.Defined() {
			t.Errorf("Parse(%q) = %v with %v", clip(c.in), got, err)
		}
	}
}

func hashOf(code uint64) multihash.Multihash {
	size := 32
	if code == multihash.SHA2_512 {
		size = 64
	}
	mh, err := multihash.Encode(make([]byte, size), code)
	if err != nil {
		panic(err)
	}
	return mh
}

// TestKey holds CIDv0 and CIDv1 of a block to one Key.
func TestKey(t *testing.T) {
	t.Parallel()
	v0, err := Parse("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn")
	if err != nil {
		t.Fatal(err)
	}
	k, ok := KeyOf(v0)
	if !ok || k.String() != "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354" {
		t.Errorf("KeyOf(%s) = %s, %v", v0, k, ok)
	}
	if again, ok := KeyOf(k.CID()); !ok || again != k || k.cid(true) != v0 {
		t.Errorf("KeyOf(%s) = %s, %v", k.CID(), again, ok)
	}
	identity, err := Parse("bafkqabtimvwgy3yk")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []cid.Cid{cid.Undef, identity, cid.NewCidV1(cid.DagCBOR, hashOf(multihash.SHA2_256))} {
		if k, ok := KeyOf(c); ok {
			t.Errorf("KeyOf(%v) = %s", c, k)
		}
	}
	if (Key{}).CID().Defined() || (Key{}).String() != "" {
		t.Error("the zero Key has a CID")
	}
	if _, err := NewTree(cid.Undef); !errors.Is(err, ErrMalformed) {
		t.Errorf("NewTree(Undef): %v", err)
	}
	if _, err := Resolve(cid.Undef, ""); !errors.Is(err, ErrMalformed) {
		t.Errorf("Resolve(Undef): %v", err)
	}
}

// FuzzParse: what is read is written and read back the same, and always has a ref.
func FuzzParse(f *testing.F) {
	f.Add("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
	f.Add("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn")
	f.Add("bafkqabtimvwgy3yk")
	f.Add("z")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := Parse(s)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
				t.Fatal(err)
			}
			return
		}
		if again, err := Parse(c.String()); err != nil || again != c {
			t.Fatalf("%q reads as %s and then as %s, %v", s, c, again, err)
		}
		r, err := refOf(c)
		if err != nil {
			t.Fatal(err)
		}
		if r2, err := parseRef(c.Bytes()); err != nil || r2.key != r.key || r2.identity != r.identity || r.cid() != c {
			t.Fatalf("%s comes apart as %+v and %+v, %v", c, r, r2, err)
		}
		if _, err := NewTree(c); err != nil && !r.identity {
			t.Fatal(err)
		}
	})
}
