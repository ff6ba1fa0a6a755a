package merkle

import (
	"fmt"

	"github.com/ipfs/go-cid"
)

// Profile is a set of rules by which bytes become a UnixFS tree, so that
// different tools compute one CID for the same content. It is comparable; the
// zero Profile is UnixFSv1.
type Profile struct{ n uint8 }

// The profiles of IPIP-499 (https://specs.ipfs.tech/ipips/ipip-0499/). TestIPIP499
// holds both to its published CIDs.
var (
	UnixFSv1 = Profile{0} // unixfs-v1-2025: CIDv1, raw leaves of 1 MiB, 1024 links a node
	UnixFSv0 = Profile{1} // unixfs-v0-2015: CIDv0, dag-pb leaves of 256 KiB, 174 links a node
)

// Two shapes of older tools, for Candidates only.
var (
	kuboV1   = Profile{2} // "ipfs add --cid-version=1" until Kubo 0.39
	kuboWide = Profile{3} // Kubo's test-cid-v1 profile
)

// shape holds the parameters of a profile.
type shape struct {
	name     string
	leaf     int  // payload of a leaf, bytes
	width    int  // most links of a file node
	v1       bool // CIDv1 interior nodes; else CIDv0
	raw      bool // raw leaves; else dag-pb
	blockLen bool // directories are sharded by the size of their block; else by names and CIDs alone
}

var shapes = [...]shape{
	{name: "unixfs-v1-2025", leaf: 1 << 20, width: 1024, v1: true, raw: true, blockLen: true},
	{name: "unixfs-v0-2015", leaf: 256 << 10, width: 174},
	{name: "kubo-cid-version-1", leaf: 256 << 10, width: 174, v1: true, raw: true},
	{name: "kubo-test-cid-v1", leaf: 1 << 20, width: 174, v1: true, raw: true},
}

func (p Profile) shape() shape { return shapes[p.n] }

// ProfileByName returns the profile of a name that IPIP-499 knows. An unknown
// name is an error that lists the known ones.
func ProfileByName(name string) (Profile, error) {
	for _, p := range []Profile{UnixFSv1, UnixFSv0} {
		if p.Name() == name {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("unknown profile %q: use %s or %s", clip(name), UnixFSv1.Name(), UnixFSv0.Name())
}

// Name is the profile's name, as ProfileByName takes it.
func (p Profile) Name() string { return p.shape().name }

// LeafSize is the payload of every leaf of a file but the last, in bytes.
func (p Profile) LeafSize() int { return p.shape().leaf }

// RawLeaves tells whether the leaves are the file's bytes alone. Two profiles
// with the same LeafSize and RawLeaves have the same leaves.
func (p Profile) RawLeaves() bool { return p.shape().raw }

// Candidates returns the profiles that may have made the file root, likeliest
// first: what a treeless fetch hashes for. None for a CID that is its own content.
func Candidates(root cid.Cid) []Profile {
	r, err := refOf(root)
	switch {
	case err != nil || r.identity:
		return nil
	case r.raw():
		return []Profile{UnixFSv1}
	case r.v0:
		return []Profile{UnixFSv0}
	}
	return []Profile{UnixFSv1, kuboV1, kuboWide}
}

// Leaf hashes one chunk of a file, 0 to LeafSize bytes. For the only chunk of a
// file that has a mode use SoleLeaf.
func (p Profile) Leaf(payload []byte) Leaf {
	if p.shape().raw {
		k := keyOf(cid.Raw, payload)
		return Leaf{Key: k, CID: k.CID(), Payload: len(payload), Size: len(payload)}
	}
	return p.SoleLeaf(payload, 0)
}

// SoleLeaf hashes the only chunk of a file that has a mode: a dag-pb leaf with
// the mode in it, in either profile, as ipfs-unixfs-importer and
// "ipfs add --preserve-mode" make it. With mode 0 it is Leaf.
func (p Profile) SoleLeaf(payload []byte, mode uint32) Leaf {
	if mode == 0 && p.shape().raw {
		return p.Leaf(payload)
	}
	k, size := hashLeaf(payload, mode)
	return Leaf{Key: k, CID: k.cid(!p.shape().v1), Payload: len(payload), Size: size, mode: mode}
}
