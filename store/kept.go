package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
)

// keptFile is a file of pieces in the store's own directory: the payloads of
// one root's leaves, one after the other in the order they came.
type keptFile struct {
	d    *Disk
	name string
	file *os.File

	mu     sync.Mutex
	end    int64
	placed map[merkle.Key]location
	owned  bool // by a root, so abandon leaves it
}

func (d *Disk) keptPath(name string) string { return filepath.Join(d.dir, "pieces", name) }

// newKept makes an empty file of pieces. Until a root owns it the index knows
// it as doomed, so that a crash leaves nothing behind.
func (d *Disk) newKept() (*keptFile, error) {
	var id [8]byte
	rand.Read(id[:]) // never fails, see its documentation
	name := hex.EncodeToString(id[:])
	err := d.update(func(t tx) error { return t.in(doomedBucket).Put([]byte(name), nil) })
	if err != nil {
		return nil, err
	}
	path := d.keptPath(name)
	var f *os.File
	err = d.layer.create(path, func() (err error) {
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	if err != nil {
		return nil, diskErr("create", path, err)
	}
	return &keptFile{d: d, name: name, file: f, placed: map[merkle.Key]location{}}, nil
}

// put appends a leaf and returns where it stands.
func (k *keptFile) put(key merkle.Key, prefix, payload, suffix []byte) (location, error) {
	k.mu.Lock()
	if at, ok := k.placed[key]; ok {
		k.mu.Unlock()
		return at, nil
	}
	at := location{Off: k.end, Payload: len(payload), Prefix: prefix, Suffix: suffix}
	k.end += int64(len(payload))
	k.mu.Unlock()
	// Two writers of one leaf both write; the later place counts, both are right.
	if _, err := k.d.layer.writeAt(k.file, payload, at.Off); err != nil {
		return location{}, diskErr("write", k.file.Name(), err)
	}
	k.mu.Lock()
	k.placed[key] = at
	k.mu.Unlock()
	return at, nil
}

// spoil forgets leaves; they are written elsewhere when they come again.
func (k *keptFile) spoil(ls []located) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range ls {
		delete(k.placed, l.key)
	}
}

// keep is scan.keep.
func (k *keptFile) keep(n *node, l merkle.Leaf, payload []byte) error {
	prefix, suffix := n.prefix, n.suffix
	if prefix == nil {
		prefix, suffix = frame(l.Key, l.Payload, l.Size)
	}
	_, err := k.put(l.Key, prefix, payload, suffix)
	return err
}

// durable makes bytes and name durable.
func (k *keptFile) durable() error {
	if err := k.d.layer.sync(k.file); err != nil {
		return unsynced{diskErr("write", k.file.Name(), err)}
	}
	if err := k.d.layer.syncDir(filepath.Dir(k.file.Name())); err != nil {
		return diskErr("write", filepath.Dir(k.file.Name()), err)
	}
	return nil
}

// abandon closes the file, and deletes it when no root owns it.
func (k *keptFile) abandon() {
	_ = k.file.Close() // errors of writing come from durable
	if !k.owned {
		_ = k.d.erase([]string{k.name}) // what is left is swept by the next Open
	}
}

// own makes a file of pieces the place of a root, in a transaction that the
// caller completes.
func (t tx) own(r *rootRec, name string) (uint64, placeRec, error) {
	n, p, err := t.newPlace(placeRec{Root: rootKey(r.CID), Kind: kept, Base: name}, 1)
	if err != nil {
		return 0, p, err
	}
	r.Places = append(r.Places, n)
	return n, p, errors.Join(
		t.in(filesBucket).Put(num(p.First), fileRec{Place: n}.append(nil)),
		t.in(doomedBucket).Delete([]byte(name)),
	)
}

// addKept indexes the private copy of what s found. A root that is complete in
// the store's own directory already is left as it is.
func (d *Disk) addKept(root Root, s *scan, k *keptFile) (Root, error) {
	root.Path = ""
	if have, err := d.Root(root.CID); err == nil && have.State == Complete && have.Path == "" {
		have.Cached = false
		return have, d.adopt(root.CID)
	}
	if err := k.durable(); err != nil {
		return Root{}, err
	}
	err := d.update(func(t tx) error {
		r, _, err := t.begin(root.CID)
		if err != nil {
			return err
		}
		_, p, err := t.own(&r, k.name)
		if err != nil {
			return err
		}
		ls := make([]located, 0, len(k.placed))
		skip := make(map[merkle.Key]bool, len(k.placed))
		for key, at := range k.placed {
			ls = append(ls, located{key, p.First, at})
			skip[key] = true
		}
		if err := t.putLeaves(ls); err != nil {
			return err
		}
		key := rootKey(root.CID)
		if err := t.putTree(key, cidsOf(s.treeBlocks()), blockMap(s.blocks, skip)); err != nil {
			return err
		}
		root.Added = time.Unix(0, r.Added)
		return t.putRoot(key, r.with(root))
	})
	k.owned = err == nil
	d.locs.purge()
	return root, err
}

// unused tells whether no piece was ever put in the file.
func (k *keptFile) unused() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.end == 0 && len(k.placed) == 0
}
