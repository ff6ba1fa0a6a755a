package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// The buckets of the index. Numbers in keys are 8 bytes, big-endian, so that
// what belongs together stands together.
var (
	metaBucket   = []byte("meta")   // "version"
	rootsBucket  = []byte("roots")  // rootKey -> rootRec
	treesBucket  = []byte("trees")  // rootKey -> CIDs of its interior blocks
	blocksBucket = []byte("blocks") // Key -> how many roots have it, then the block
	placesBucket = []byte("places") // place -> placeRec
	basesBucket  = []byte("bases")  // base NUL place -> nothing
	filesBucket  = []byte("files")  // file -> fileRec; the bucket's sequence numbers files
	leavesBucket = []byte("leaves") // Key file -> location
	doomedBucket = []byte("doomed") // name under DIR/pieces that belongs to no root -> nothing
	valuesBucket = []byte("values") // bucket -> key -> value, see Get and Put
	cachedBucket = []byte("cached") // file -> cachedRec, of files of pieces that may be evicted
	pinsBucket   = []byte("pins")   // rootKey -> nothing
)

const indexVersion = "1"

// openIndex opens or creates the index, and gives up after wait when another
// process has it.
func openIndex(path string, wait time.Duration) (*bbolt.DB, error) {
	opt := bbolt.Options{Timeout: wait, FreelistType: bbolt.FreelistMapType}
	db, err := bbolt.Open(path, 0o600, &opt)
	if errors.Is(err, readOnly) { // what is here can be read and served
		opt.ReadOnly = true
		db, err = bbolt.Open(path, 0o600, &opt)
	}
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s: %w: stop that one, or give this one a directory of its own (--dir)",
			filepath.Dir(path), ErrLocked)
	}
	if errors.Is(err, bbolterrors.ErrInvalid) || errors.Is(err, bbolterrors.ErrChecksum) || errors.Is(err, bbolterrors.ErrVersionMismatch) {
		return nil, fmt.Errorf("open %s: %v: %w", path, err, ErrDamaged)
	}
	if err != nil {
		return nil, diskErr("open", path, err)
	}
	err = db.View(func(btx *bbolt.Tx) error {
		return errors.Join(checkVersion(btx), missing(btx))
	})
	if errors.Is(err, errUnprepared) {
		err = db.Update(prepare)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return db, nil
}

// buckets are those of an index. cached and pins came after the first release of
// the format: a shoal that does not know them finds all else as before.
var buckets = [][]byte{
	metaBucket, rootsBucket, treesBucket, blocksBucket, placesBucket, basesBucket,
	filesBucket, leavesBucket, doomedBucket, valuesBucket, cachedBucket, pinsBucket,
}

var errUnprepared = errors.New("some of its parts are missing")

// missing returns errUnprepared unless all buckets are there.
func missing(btx *bbolt.Tx) error {
	for _, name := range buckets {
		if btx.Bucket(name) == nil {
			return errUnprepared
		}
	}
	return nil
}

// checkVersion refuses the index of another format.
func checkVersion(btx *bbolt.Tx) error {
	meta := btx.Bucket(metaBucket)
	if meta == nil {
		return errUnprepared
	}
	if v := meta.Get([]byte("version")); string(v) != indexVersion {
		return fmt.Errorf("its format is %q and this shoal knows %q: use the shoal that made it", v, indexVersion)
	}
	return nil
}

func prepare(btx *bbolt.Tx) error {
	if err := checkVersion(btx); err != nil && !errors.Is(err, errUnprepared) {
		return err
	}
	for _, name := range buckets {
		if _, err := btx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return btx.Bucket(metaBucket).Put([]byte("version"), []byte(indexVersion))
}

// tx is a transaction on the index, with its buckets as Go values.
type tx struct{ *bbolt.Tx }

func (t tx) in(bucket []byte) *bbolt.Bucket { return t.Bucket(bucket) }

// rootKey is the key of a root, the same for CIDv0 and CIDv1 of one block.
func rootKey(c cid.Cid) []byte {
	if k, ok := merkle.KeyOf(c); ok {
		return k[:]
	}
	return c.Bytes()
}

func num(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func leafKey(k merkle.Key, file uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, len(k)+8), k[:]...), file)
}

// root returns ErrNotFound when there is none.
func (t tx) root(key []byte) (rootRec, error) {
	v := t.in(rootsBucket).Get(key)
	if v == nil {
		return rootRec{}, ErrNotFound
	}
	return decodeRoot(v)
}

func (t tx) putRoot(key []byte, r rootRec) error {
	return t.in(rootsBucket).Put(key, r.append(nil))
}

// begin returns the record of a root, a new one if there is none.
func (t tx) begin(c cid.Cid) (r rootRec, isNew bool, err error) {
	r, err = t.root(rootKey(c))
	if !errors.Is(err, ErrNotFound) {
		return r, false, err
	}
	seq, err := t.in(rootsBucket).NextSequence()
	return rootRec{CID: c, Seq: seq, Added: time.Now().UnixNano()}, true, err
}

func (t tx) place(n uint64) (placeRec, error) {
	v := t.in(placesBucket).Get(num(n))
	if v == nil {
		return placeRec{}, fmt.Errorf("place %d: %w", n, ErrNotFound)
	}
	return decodePlace(v)
}

func (t tx) putPlace(n uint64, p placeRec) error {
	if p.Kind != kept {
		if err := t.in(basesBucket).Put(baseKey(p, n), nil); err != nil {
			return err
		}
	}
	return t.in(placesBucket).Put(num(n), p.append(nil))
}

// baseKey finds a place by the path a user would name.
func baseKey(p placeRec, n uint64) []byte {
	path := p.Base
	if p.Kind == partial {
		path = p.Target
	}
	return append(append([]byte(path), 0), num(n)...)
}

// newPlace numbers a place and count files of it.
func (t tx) newPlace(p placeRec, count int) (uint64, placeRec, error) {
	files := t.in(filesBucket)
	p.First, p.Count = files.Sequence()+1, uint64(count)
	if err := files.SetSequence(files.Sequence() + uint64(count)); err != nil {
		return 0, p, err
	}
	n, err := t.in(placesBucket).NextSequence()
	if err != nil {
		return 0, p, err
	}
	return n, p, t.putPlace(n, p)
}

// placesAt yields the places whose base or target is path, oldest first.
func (t tx) placesAt(path string) ([]uint64, error) {
	prefix := append([]byte(path), 0)
	var ns []uint64
	c := t.in(basesBucket).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		if len(k) != len(prefix)+8 {
			continue // a longer path cannot hold NUL, so this is damage; it finds nothing
		}
		ns = append(ns, binary.BigEndian.Uint64(k[len(prefix):]))
	}
	return ns, nil
}

func (t tx) file(n uint64) (fileRec, error) {
	v := t.in(filesBucket).Get(num(n))
	if v == nil {
		return fileRec{}, fmt.Errorf("file %d: %w", n, ErrNotFound)
	}
	return decodeFile(v)
}

// eachFile calls fn with the files of a place that have a record.
func (t tx) eachFile(p placeRec, fn func(n uint64, f fileRec) error) error {
	c := t.in(filesBucket).Cursor()
	for k, v := c.Seek(num(p.First)); len(k) == 8; k, v = c.Next() {
		n := binary.BigEndian.Uint64(k)
		if n >= p.First+p.Count {
			break
		}
		f, err := decodeFile(v)
		if err != nil {
			return err
		}
		if err := fn(n, f); err != nil {
			return err
		}
	}
	return nil
}

// located is a leaf in a file.
type located struct {
	key  merkle.Key
	file uint64
	loc  location
}

func compareLocated(a, b located) int {
	if c := bytes.Compare(a.key[:], b.key[:]); c != 0 {
		return c
	}
	switch {
	case a.file < b.file:
		return -1
	case a.file > b.file:
		return 1
	}
	return 0
}

// putLeaves indexes leaves, sorted first because that is how a B+tree likes
// them. Of two in one file the first counts.
func (t tx) putLeaves(ls []located) error {
	slices.SortStableFunc(ls, compareLocated)
	leaves := t.in(leavesBucket)
	for i, l := range ls {
		if i > 0 && compareLocated(ls[i-1], l) == 0 {
			continue
		}
		if err := leaves.Put(leafKey(l.key, l.file), l.loc.append(nil, l.key)); err != nil {
			return err
		}
	}
	return nil
}

// maxTries bounds how many places of one leaf are looked at.
const maxTries = 16

// leaf returns up to maxTries places of a leaf.
func (t tx) leaf(key merkle.Key) ([]located, error) {
	var ls []located
	c := t.in(leavesBucket).Cursor()
	for k, v := c.Seek(key[:]); len(k) == len(key)+8 && bytes.HasPrefix(k, key[:]) && len(ls) < maxTries; k, v = c.Next() {
		loc, err := decodeLocation(v, key)
		if err != nil {
			return nil, err
		}
		ls = append(ls, located{key: key, file: binary.BigEndian.Uint64(k[len(key):]), loc: loc})
	}
	return ls, nil
}

// holds tells whether a root has key in a file of one of its own places.
func (t tx) holds(r rootRec, key merkle.Key) (bool, error) {
	c := t.in(leavesBucket).Cursor()
	for _, n := range r.Places {
		p, err := t.place(n)
		if err != nil {
			return false, err
		}
		k, _ := c.Seek(leafKey(key, p.First))
		if len(k) == len(key)+8 && bytes.HasPrefix(k, key[:]) && binary.BigEndian.Uint64(k[len(key):])-p.First < p.Count {
			return true, nil
		}
	}
	return false, nil
}

// putTree stores the interior blocks of a root. A block that several roots
// have is stored once and counted.
func (t tx) putTree(root []byte, cids []cid.Cid, blocks map[merkle.Key][]byte) error {
	if t.in(treesBucket).Get(root) != nil {
		return nil
	}
	var list []byte
	seen := make(map[merkle.Key]bool, len(cids))
	for _, c := range cids {
		k, ok := merkle.KeyOf(c)
		if !ok || seen[k] {
			continue
		}
		seen[k] = true
		list = appendString(list, c.Bytes())
		if err := t.count(k, blocks[k], 1); err != nil {
			return err
		}
	}
	return t.in(treesBucket).Put(root, list)
}

// count adds by to the users of a block and drops a block without. data is
// what is stored when it is new; nil leaves it out.
func (t tx) count(k merkle.Key, data []byte, by int) error {
	blocks := t.in(blocksBucket)
	users := 0
	if v := blocks.Get(k[:]); v != nil {
		n, size := binary.Uvarint(v)
		if size <= 0 {
			return fmt.Errorf("block record: %w", ErrDamaged)
		}
		users, data = int(n), v[size:]
	} else if data == nil {
		return nil
	}
	if users += by; users <= 0 {
		return blocks.Delete(k[:])
	}
	v := binary.AppendUvarint(make([]byte, 0, len(data)+4), uint64(users))
	return blocks.Put(k[:], append(v, data...))
}

// tree returns the CIDs that putTree was given.
func (t tx) tree(root []byte) ([]cid.Cid, error) {
	d := decoder{b: t.in(treesBucket).Get(root)}
	var cs []cid.Cid
	for len(d.b) > 0 {
		c, err := cid.Cast(append([]byte(nil), d.bytes()...))
		if err != nil || d.bad {
			return nil, fmt.Errorf("tree record: %w", ErrDamaged)
		}
		cs = append(cs, c)
	}
	return cs, nil
}

// block returns a copy of a block, nil if it is not stored.
func (t tx) block(k merkle.Key) ([]byte, error) {
	v := t.in(blocksBucket).Get(k[:])
	if v == nil {
		return nil, nil
	}
	_, size := binary.Uvarint(v)
	if size <= 0 {
		return nil, fmt.Errorf("block record: %w", ErrDamaged)
	}
	return bytes.Clone(v[size:]), nil
}

// makeDir creates a private directory.
func makeDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return diskErr("create", path, err)
	}
	return nil
}
