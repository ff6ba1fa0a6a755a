package store

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
)

// cachedRec is a file of pieces that is the store's own to delete. It stands
// under the file's number; a file of pieces without one is the user's.
type cachedRec struct {
	Place uint64
	Used  int64 // ns since 1970; what was read since the store opened is in cached
	Bytes int64 // claimed
}

func (r cachedRec) append(b []byte) []byte {
	return appendUints(append(b, recordFormat), r.Place, uint64(r.Used), uint64(r.Bytes))
}

func decodeCached(b []byte) (cachedRec, error) {
	d := decoder{b: b}
	d.format()
	r := cachedRec{Place: d.uint(), Used: int64(d.uint()), Bytes: int64(d.uint())}
	return r, d.end("cache")
}

// putCached marks a file of pieces as the store's own.
func (t tx) putCached(file uint64, r cachedRec) error {
	return t.in(cachedBucket).Put(num(file), r.append(nil))
}

// growCached counts bytes that were claimed in a file of pieces; those of a
// file that is the user's are not counted.
func (t tx) growCached(file uint64, bytes int64) error {
	v := t.in(cachedBucket).Get(num(file))
	if v == nil {
		return nil
	}
	r, err := decodeCached(v)
	if err != nil {
		return err
	}
	r.Bytes += bytes
	return t.putCached(file, r)
}

// eachCached calls fn with every file of pieces that is the store's own.
func (t tx) eachCached(fn func(file uint64, r cachedRec) error) error {
	return t.in(cachedBucket).ForEach(func(k, v []byte) error {
		r, err := decodeCached(v)
		if err != nil {
			return err
		}
		return fn(binary.BigEndian.Uint64(k), r)
	})
}

// cached is what the index says of the store's own files of pieces, and when
// each was used last: to write that down at each read would cost more than the
// read.
type cached struct {
	mu     sync.Mutex
	used   map[uint64]int64 // by file, ns since 1970
	places map[uint64]bool
}

func newCached() *cached { return &cached{used: map[uint64]int64{}, places: map[uint64]bool{}} }

// add notes a file of pieces of a place.
func (c *cached) add(file, place uint64, used int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used[file], c.places[place] = used, true
}

// remove forgets one that is gone, or the user's now.
func (c *cached) remove(file, place uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.used, file)
	delete(c.places, place)
}

// touch notes that a file was read now, if it is one of ours.
func (c *cached) touch(file uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ours := c.used[file]; ours {
		c.used[file] = time.Now().UnixNano()
	}
}

// among returns the first of the files that leaves stand in if all of these
// are ours.
func (c *cached) among(ls []located) (file uint64, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range ls {
		if _, ours := c.used[l.file]; !ours {
			return 0, false
		}
	}
	if len(ls) == 0 {
		return 0, false
	}
	return ls[0].file, true
}

// none tells that there is no file of ours.
func (c *cached) none() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.used) == 0
}

// lastUse is when a file was used last, as far as is known.
func (c *cached) lastUse(file uint64, recorded int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(recorded, c.used[file])
}

// only tells whether all of places are ours.
func (c *cached) only(places []uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(places) > 0 && !slices.ContainsFunc(places, func(n uint64) bool { return !c.places[n] })
}

// loadCached fills cached from the index when the store opens.
func (d *Disk) loadCached() error {
	return d.view(func(t tx) error {
		return t.eachCached(func(file uint64, r cachedRec) error {
			d.cached.add(file, r.Place, r.Used)
			return nil
		})
	})
}

// saveUsed writes down what was used since.
func (d *Disk) saveUsed() error {
	late := map[uint64]cachedRec{}
	err := d.view(func(t tx) error {
		return t.eachCached(func(file uint64, r cachedRec) error {
			if at := d.cached.lastUse(file, r.Used); at > r.Used {
				r.Used = at
				late[file] = r
			}
			return nil
		})
	})
	if err != nil || len(late) == 0 {
		return err
	}
	return d.update(func(t tx) error {
		for file, r := range late {
			if t.in(cachedBucket).Get(num(file)) == nil {
				continue // it went meanwhile
			}
			if err := t.putCached(file, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// cachedBytes counts the bytes of the store's own files of pieces, pinned roots
// included.
func (d *Disk) cachedBytes() (bytes int64, err error) {
	err = d.view(func(t tx) error {
		return t.eachCached(func(_ uint64, r cachedRec) error {
			bytes += r.Bytes
			return nil
		})
	})
	return bytes, err
}

// victim is a file of pieces that may go.
type victim struct {
	key    []byte // rootKey
	root   cid.Cid
	name   string
	place  uint64
	used   int64
	bytes  int64
	pinned bool
}

// victims lists the store's own files of pieces, least recently used first.
func (d *Disk) victims() ([]victim, error) {
	var vs []victim
	err := d.view(func(t tx) error {
		return t.eachCached(func(file uint64, rec cachedRec) error {
			p, err := t.place(rec.Place)
			if err != nil {
				return err
			}
			r, err := t.root(p.Root)
			if err != nil {
				return err
			}
			vs = append(vs, victim{
				key: p.Root, root: r.CID, name: r.Name, place: rec.Place, used: d.cached.lastUse(file, rec.Used),
				bytes: rec.Bytes, pinned: t.pinned(p.Root),
			})
			return nil
		})
	})
	slices.SortFunc(vs, func(a, b victim) int { return cmp.Or(cmp.Compare(a.used, b.used), cmp.Compare(a.place, b.place)) })
	return vs, err
}
