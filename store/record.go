package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
)

// Records are runs of unsigned varints and length-prefixed bytes, in the order
// of the fields; each begins with its format, 1. Whatever is read is bounded by
// the length of the value, so that a damaged index is an error and never a panic.

const recordFormat = 1

// rootRec is a root as the index keeps it, under rootKey.
type rootRec struct {
	CID    cid.Cid
	Name   string
	Path   string
	Size   int64
	Pieces int
	Have   int
	State  State
	Added  int64 // ns since 1970
	Seq    uint64
	Places []uint64 // where its pieces stand, oldest first
}

// placeKind tells who owns the bytes of a place.
type placeKind uint8

const (
	inPlace placeKind = iota // the user's file or directory
	partial                  // a target being written, under its temporary name
	kept                     // a file of pieces in the store's own directory
)

// placeRec is one tree of files, or one file of pieces, that holds pieces of a root.
type placeRec struct {
	Root    []byte // rootKey
	Kind    placeKind
	Base    string // absolute path of the tree; name under DIR when kept
	Target  string // of a partial: the final path
	Profile string // by which Add cut the files; "" when fetched
	First   uint64 // number of the first file; its files are First to First+Count-1
	Count   uint64
	Dev     uint64 // of a partial: what was made, so that nothing else is taken for it
	Ino     uint64
	Perm    uint32 // of a partial: 0777 less the umask
}

// fileRec is a file that holds pieces.
type fileRec struct {
	Place uint64
	Rel   string // slash-separated, below the place's base; "" for the base itself
	State state  // when it was hashed; zero while it is written
	At    int64  // when State was read, ns since 1970
}

// location is where a leaf block stands in a file: frame and payload.
type location struct {
	Off     int64 // of the payload
	Payload int   // bytes of the payload
	Prefix  []byte
	Suffix  []byte
}

func (l location) size() int { return len(l.Prefix) + l.Payload + len(l.Suffix) }

func appendString[T string | []byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendUints(b []byte, vs ...uint64) []byte {
	for _, v := range vs {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func (r rootRec) append(b []byte) []byte {
	b = append(b, recordFormat)
	b = appendString(b, r.CID.Bytes())
	b = appendString(b, r.Name)
	b = appendString(b, r.Path)
	b = appendUints(b, uint64(r.Size), uint64(r.Pieces), uint64(r.Have), uint64(r.State), uint64(r.Added), r.Seq)
	b = appendUints(b, uint64(len(r.Places)))
	return appendUints(b, r.Places...)
}

func decodeRoot(b []byte) (rootRec, error) {
	d := decoder{b: b}
	d.format()
	raw := d.bytes()
	r := rootRec{
		Name: string(d.bytes()), Path: string(d.bytes()), Size: int64(d.uint()), Pieces: int(d.uint()),
		Have: int(d.uint()), State: State(d.uint()), Added: int64(d.uint()), Seq: d.uint(),
	}
	for n := d.uint(); n > 0 && !d.bad; n-- {
		r.Places = append(r.Places, d.uint())
	}
	c, err := cid.Cast(raw)
	if err != nil {
		d.bad = true
	}
	r.CID = c
	return r, d.end("root")
}

func (r rootRec) root() Root {
	return Root{
		CID: r.CID, Name: r.Name, Path: r.Path, Size: r.Size, Pieces: r.Pieces, Have: r.Have,
		State: r.State, Added: time.Unix(0, r.Added),
	}
}

func (p placeRec) append(b []byte) []byte {
	b = append(b, recordFormat, byte(p.Kind))
	b = appendString(b, p.Root)
	b = appendString(b, p.Base)
	b = appendString(b, p.Target)
	b = appendString(b, p.Profile)
	return appendUints(b, p.First, p.Count, p.Dev, p.Ino, uint64(p.Perm))
}

func decodePlace(b []byte) (placeRec, error) {
	d := decoder{b: b}
	d.format()
	p := placeRec{
		Kind: placeKind(d.uint()), Root: append([]byte(nil), d.bytes()...), Base: string(d.bytes()),
		Target: string(d.bytes()), Profile: string(d.bytes()),
		First: d.uint(), Count: d.uint(), Dev: d.uint(), Ino: d.uint(), Perm: uint32(d.uint()),
	}
	if p.Kind > kept || p.First+p.Count < p.First {
		d.bad = true
	}
	return p, d.end("place")
}

func (f fileRec) append(b []byte) []byte {
	b = append(b, recordFormat)
	b = appendUints(b, f.Place)
	b = appendString(b, f.Rel)
	s := f.State
	return appendUints(b, s.Dev, s.Ino, uint64(s.Size), uint64(s.Mtime), uint64(s.Ctime), uint64(f.At))
}

func decodeFile(b []byte) (fileRec, error) {
	d := decoder{b: b}
	d.format()
	f := fileRec{Place: d.uint(), Rel: string(d.bytes())}
	f.State = state{Dev: d.uint(), Ino: d.uint(), Size: int64(d.uint()), Mtime: int64(d.uint()), Ctime: int64(d.uint())}
	f.At = int64(d.uint())
	return f, d.end("file")
}

// append encodes where a leaf stands. The frame that merkle gives to a leaf of
// this size is left out, which is every frame but those of foreign tools.
func (l location) append(b []byte, k merkle.Key) []byte {
	b = appendUints(b, uint64(l.Off), uint64(l.Payload), uint64(l.size()))
	prefix, suffix := frame(k, l.Payload, l.size())
	if string(prefix) == string(l.Prefix) && string(suffix) == string(l.Suffix) {
		return b
	}
	b = appendString(b, l.Prefix)
	return appendString(b, l.Suffix)
}

func decodeLocation(b []byte, k merkle.Key) (location, error) {
	d := decoder{b: b}
	l := location{Off: int64(d.uint())}
	payload, size := d.uint(), d.uint()
	if l.Off < 0 || payload > size || size > merkle.MaxLeaf {
		d.bad = true
	}
	l.Payload = int(payload)
	if len(d.b) == 0 && !d.bad {
		l.Prefix, l.Suffix = frame(k, l.Payload, int(size))
	} else {
		l.Prefix = append([]byte(nil), d.bytes()...)
		l.Suffix = append([]byte(nil), d.bytes()...)
	}
	if l.size() != int(size) {
		d.bad = true
	}
	return l, d.end("location")
}

// frame is what stands around the payload of a leaf as merkle builds it.
func frame(k merkle.Key, payload, size int) (prefix, suffix []byte) {
	if size == payload {
		return nil, nil
	}
	return merkle.Piece{Key: k, Size: size, Payload: payload}.Frame()
}

// decoder reads a record. After the first field that is not there it gives
// zeros, and end tells.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) format() {
	if d.uint() != recordFormat {
		d.bad = true
	}
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

// bytes returns a slice of the record itself.
func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) end(what string) error {
	if d.bad || len(d.b) != 0 {
		return fmt.Errorf("%s record: %w", what, ErrDamaged)
	}
	return nil
}
