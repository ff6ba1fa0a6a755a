package store

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
)

func TestRecordsRoundTrip(t *testing.T) {
	t.Parallel()
	root := rootRec{
		CID: merkle.UnixFSv1.Leaf([]byte("x")).CID, Name: "n", Path: "/p", Size: 1 << 40, Pieces: 9, Have: 8,
		State: Damaged, Added: 1 << 60, Seq: 7, Places: []uint64{1, 300},
	}
	if got, err := decodeRoot(root.append(nil)); err != nil || !reflect.DeepEqual(got, root) {
		t.Errorf("got %+v, %v", got, err)
	}
	place := placeRec{
		Root: []byte{1, 2}, Kind: partial, Base: "/p/.x", Target: "/p/x", Profile: "f", First: 5, Count: 6, Dev: 7, Ino: 1 << 63, Perm: 0o755,
	}
	if got, err := decodePlace(place.append(nil)); err != nil || !reflect.DeepEqual(got, place) {
		t.Errorf("got %+v, %v", got, err)
	}
	file := fileRec{Place: 3, Rel: "a/b", State: state{Dev: 1, Ino: 2, Size: 3, Mtime: -4, Ctime: 5}, At: 6}
	if got, err := decodeFile(file.append(nil)); err != nil || got != file {
		t.Errorf("got %+v, %v", got, err)
	}
	raw, framed := merkle.UnixFSv1.Leaf([]byte("abc")), merkle.UnixFSv0.Leaf([]byte("abc"))
	prefix, suffix := frame(framed.Key, 3, framed.Size)
	for _, c := range []struct {
		key    merkle.Key
		loc    location
		length int
	}{
		{raw.Key, location{Off: 1 << 20, Payload: 3}, 5},
		{framed.Key, location{Off: 7, Payload: 3, Prefix: prefix, Suffix: suffix}, 3},
		{framed.Key, location{Off: 7, Payload: 3, Prefix: []byte("foreign")}, 12},
	} {
		b := c.loc.append(nil, c.key)
		if got, err := decodeLocation(b, c.key); err != nil || !sameLocation(got, c.loc) || len(b) != c.length {
			t.Errorf("got %+v in %d bytes, %v, want %+v in %d", got, len(b), err, c.loc, c.length)
		}
	}
}

func sameLocation(a, b location) bool {
	return a.Off == b.Off && a.Payload == b.Payload && bytes.Equal(a.Prefix, b.Prefix) && bytes.Equal(a.Suffix, b.Suffix)
}

// FuzzRecords: no value of the index is more than an error, and what is read
// is written as it reads again.
func FuzzRecords(f *testing.F) {
	leaf := merkle.UnixFSv0.Leaf([]byte("abc"))
	f.Add(rootRec{CID: leaf.CID, Name: "n", Places: []uint64{1}}.append(nil))
	f.Add(placeRec{Root: []byte{1}, Base: "/x", First: 1, Count: 1}.append(nil))
	f.Add(fileRec{Place: 1, Rel: "a"}.append(nil))
	f.Add(location{Off: 1, Payload: 3, Prefix: []byte("p")}.append(nil, leaf.Key))
	f.Add(cachedRec{Place: 1, Used: 2, Bytes: 3}.append(nil))
	f.Add(plan{Partial: "/x/.a.shoal-partial", Aside: "/x/.a.shoal-old", Dev: 1, Ino: 2}.append(nil))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Add([]byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(err error, again func() bool) {
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("%x: %v", b, err)
			}
			if err == nil && !again() {
				t.Errorf("%x reads otherwise the second time", b)
			}
		}
		r, err := decodeRoot(b)
		check(err, func() bool { o, err := decodeRoot(r.append(nil)); return err == nil && reflect.DeepEqual(r, o) })
		p, err := decodePlace(b)
		check(err, func() bool { o, err := decodePlace(p.append(nil)); return err == nil && reflect.DeepEqual(p, o) })
		x, err := decodeFile(b)
		check(err, func() bool { o, err := decodeFile(x.append(nil)); return err == nil && x == o })
		c, err := decodeCached(b)
		check(err, func() bool { o, err := decodeCached(c.append(nil)); return err == nil && c == o })
		u, err := decodePlan(b)
		check(err, func() bool { o, err := decodePlan(u.append(nil)); return err == nil && u == o })
		for _, k := range []merkle.Key{leaf.Key, merkle.UnixFSv1.Leaf(nil).Key} {
			l, err := decodeLocation(b, k)
			check(err, func() bool { o, err := decodeLocation(l.append(nil, k), k); return err == nil && sameLocation(l, o) })
		}
	})
}
