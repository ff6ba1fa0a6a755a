package merkle

import (
	"fmt"

	"github.com/ipfs/go-cid"
)

// Profile is a set of rules by which bytes become a UnixFS tree, so that
// different tools compute one CID for the same content. It is comparable; the
// zero Profile is UnixFSv1.
type Profile struct{ n uint8 }

// The profiles of IPIP-499 (https://specs.ipfs.tech/ipips/ipip-0499/), and the
// shape that Kubo gave to "ipfs add --cid-version=1" before them.
var (
	UnixFSv1 = Profile{0} // unixfs-v1-2025
	UnixFSv0 = Profile{1} // unixfs-v0-2015
	kuboV1   = Profile{2} // CIDv1, raw leaves of 256 KiB, width 174
)

// Leaf is one hashed chunk of a file.
type Leaf struct {
	Key     Key
	CID     cid.Cid
	Payload int // bytes of the file, 0 to LeafSize
	Size    int // bytes of the block: payload and frame
}

// DirEntry is a name in a directory and what it names.
type DirEntry struct {
	Name string
	Link Link
}

// ProfileByName returns the profile of a name that IPIP-499 knows. An unknown
// name is an error that lists the known ones.
func ProfileByName(name string) (Profile, error) {
	for _, p := range []Profile{UnixFSv1, UnixFSv0} {
		if p.Name() == name {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("unknown profile %q: use %s or %s", name, UnixFSv1.Name(), UnixFSv0.Name())
}

// Name is the profile's name, as ProfileByName takes it.
func (p Profile) Name() string { return shapes[p.n].name }

// LeafSize is the payload of every leaf of a file but the last, in bytes.
func (p Profile) LeafSize() int { return shapes[p.n].leaf }

type shape struct {
	name  string
	leaf  int
	width int
	raw   bool
}

var shapes = [...]shape{
	{name: "unixfs-v1-2025", leaf: 1 << 20, width: 1024, raw: true},
	{name: "unixfs-v0-2015", leaf: 256 << 10, width: 174},
	{name: "kubo-cid-v1", leaf: 256 << 10, width: 174, raw: true},
}

// Candidates returns the profiles that may have made root.
func Candidates(root cid.Cid) []Profile { panic("unfinished") }

// Leaf hashes one chunk.
func (p Profile) Leaf(payload []byte) Leaf { panic("unfinished") }

// FileBuilder makes a file's tree from its leaves in order.
type FileBuilder struct{ p Profile }

// NewFile starts a file.
func (p Profile) NewFile() *FileBuilder { return &FileBuilder{p: p} }

// Add appends a leaf.
func (b *FileBuilder) Add(l Leaf) { panic("unfinished") }

// Finish returns the file's root and its interior blocks, depth-first; mode 0 names none.
func (b *FileBuilder) Finish(mode uint32) (Link, []Block) { panic("unfinished") }

// Directory makes a directory and its blocks, depth-first.
func (p Profile) Directory(entries []DirEntry, mode uint32) (Link, []Block, error) {
	panic("unfinished")
}

// Symlink makes a symlink.
func (p Profile) Symlink(target string) (Link, Block) { panic("unfinished") }
