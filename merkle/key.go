package merkle

import (
	"crypto/sha256"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Key identifies a leaf: its codec (cid.Raw or cid.DagProtobuf, one byte) and
// its sha2-256 digest. CIDv0 and CIDv1 of one block have one Key.
type Key [33]byte

// keyOf names block as codec.
func keyOf(codec byte, block []byte) Key {
	return joinKey(codec, sha256.Sum256(block))
}

func joinKey(codec byte, digest [sha256.Size]byte) (k Key) {
	k[0] = codec
	copy(k[1:], digest[:])
	return k
}

// KeyOf returns the Key of a raw or dag-pb CID with sha2-256. It is false for
// all others, so for the undefined CID and for identity CIDs, which hold their
// content themselves.
func KeyOf(c cid.Cid) (Key, bool) {
	r, err := parseRef([]byte(c.KeyString())) // an undefined CID has no bytes
	if err != nil || r.identity {
		return Key{}, false
	}
	return r.key, true
}

// CID is the CIDv1 of the leaf. The zero Key names nothing; its CID is undefined.
func (k Key) CID() cid.Cid {
	if k[0] != cid.Raw && k[0] != cid.DagProtobuf {
		return cid.Undef
	}
	return cid.NewCidV1(uint64(k[0]), k.multihash())
}

// String is the text of CID, base32; empty for the zero Key.
func (k Key) String() string {
	if c := k.CID(); c.Defined() {
		return c.String()
	}
	return ""
}

func (k Key) multihash() multihash.Multihash {
	return append(multihash.Multihash{multihash.SHA2_256, sha256.Size}, k[1:]...)
}

// cid is the CID of the block in the form that v0 asks for.
func (k Key) cid(v0 bool) cid.Cid {
	if v0 {
		return cid.NewCidV0(k.multihash())
	}
	return k.CID()
}

// emptyKey names the raw leaf of no bytes: it is known without being fetched.
var emptyKey = keyOf(cid.Raw, nil)
