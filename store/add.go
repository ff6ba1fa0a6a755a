package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
)

// Add hashes the file or directory at path and indexes it where it is (or, with
// Copy, copies its pieces into the store's directory). A symlink at path itself
// is followed, those below it are kept as symlinks; sockets, devices and pipes
// are left out, and so are dot entries unless Hidden.
//
// A file that was added at this path before and is in the same state (device,
// inode, size, mtime, ctime) is not read again. A file that changes while it is
// read is an error that names it and wraps ErrChanged.
func (d *Disk) Add(ctx context.Context, path string, opt AddOptions) (Root, error) {
	abs, base, err := resolve(path)
	if err != nil {
		return Root{}, err
	}
	s := &scan{opt: opt, base: base, hashers: d.cfg.Hashers}
	var k *keptFile
	switch {
	case opt.OnlyHash:
	case opt.Copy:
		if k, err = d.newKept(); err != nil {
			return Root{}, err
		}
		defer k.abandon()
		s.keep = k.keep
	default:
		s.known = d.recall(base, opt)
	}
	link, err := s.run(ctx)
	if err != nil {
		return Root{}, err
	}
	root := Root{CID: link.CID, Name: filepath.Base(abs), Path: abs, Size: s.size(), State: Complete, Added: time.Now()}
	ls := s.located(0)
	root.Pieces = distinct(ls)
	root.Have = root.Pieces
	switch {
	case opt.OnlyHash:
		return root, nil
	case opt.Copy:
		return d.addKept(root, s, k)
	}
	return d.addInPlace(root, s)
}

// resolve returns the absolute path as given and with its symlinks resolved.
func resolve(path string) (abs, base string, err error) {
	if abs, err = filepath.Abs(path); err != nil {
		return "", "", fmt.Errorf("add %s: %w", path, err)
	}
	if base, err = filepath.EvalSymlinks(abs); err != nil {
		return "", "", diskErr("add", path, err)
	}
	return abs, base, nil
}

// distinct counts the leaves of ls.
func distinct(ls []located) int {
	seen := make(map[merkle.Key]struct{}, len(ls))
	for _, l := range ls {
		seen[l.key] = struct{}{}
	}
	return len(seen)
}

// addInPlace indexes what s found.
func (d *Disk) addInPlace(root Root, s *scan) (Root, error) {
	if same, ok := d.unchanged(root, s); ok {
		return same, nil
	}
	err := d.update(func(t tx) error {
		key := rootKey(root.CID)
		r, _, err := t.begin(root.CID)
		if err != nil {
			return err
		}
		n, p, err := t.placeFor(r, s)
		if err != nil {
			return err
		}
		if n == 0 {
			p = placeRec{Root: key, Kind: inPlace, Base: s.base, Profile: s.opt.Profile.Name()}
			if n, p, err = t.newPlace(p, len(s.files)); err != nil {
				return err
			}
			r.Places = append(r.Places, n)
		}
		now := time.Now().UnixNano()
		for i, f := range s.files {
			rec := fileRec{Place: n, Rel: f.rel, State: f.state, At: now}
			if err := t.in(filesBucket).Put(num(p.First+uint64(i)), rec.append(nil)); err != nil {
				return err
			}
		}
		ls := s.located(p.First)
		skip := make(map[merkle.Key]bool, len(ls))
		for _, l := range ls {
			skip[l.key] = true
		}
		if err := t.putLeaves(ls); err != nil {
			return err
		}
		if err := t.putTree(key, cidsOf(s.treeBlocks()), blockMap(s.blocks, skip)); err != nil {
			return err
		}
		root.Added = time.Unix(0, r.Added)
		return t.putRoot(key, r.with(root))
	})
	d.locs.purge()
	return root, err
}

// treeBlocks are the interior blocks, and the roots of small files that a tree
// of the legacy profile brings although they are leaves.
func (s *scan) treeBlocks() []merkle.Block {
	blocks := s.blocks
	for _, n := range s.files {
		if len(n.leaves) == 1 && n.link.CID.Type() == cid.DagProtobuf && n.link.CID.Equals(n.leaves[0].CID) {
			blocks = append(blocks, merkle.Block{CID: n.link.CID})
		}
	}
	return blocks
}

// with returns the record with what users see of root.
func (r rootRec) with(root Root) rootRec {
	r.CID, r.Name, r.Path, r.Size = root.CID, root.Name, root.Path, root.Size
	r.Pieces, r.Have, r.State = root.Pieces, root.Have, root.State
	return r
}

// placeFor finds the place of r that has the files of s in the order of s. 0 if none has.
func (t tx) placeFor(r rootRec, s *scan) (uint64, placeRec, error) {
	for _, n := range r.Places {
		p, err := t.place(n)
		if err != nil {
			return 0, p, err
		}
		if p.Kind == inPlace && p.Base == s.base && p.Profile == s.opt.Profile.Name() && p.Count == uint64(len(s.files)) {
			return n, p, nil
		}
	}
	return 0, placeRec{}, nil
}

// unchanged tells whether the index has all of s already.
func (d *Disk) unchanged(root Root, s *scan) (Root, bool) {
	for _, f := range s.files {
		if !f.reused {
			return Root{}, false
		}
	}
	var have Root
	err := d.view(func(t tx) error {
		r, err := t.root(rootKey(root.CID))
		if err != nil {
			return err
		}
		if n, _, err := t.placeFor(r, s); n == 0 || err != nil {
			return errors.Join(err, ErrNotFound)
		}
		have = r.root()
		return nil
	})
	return have, err == nil && have.State == Complete && have.Path == root.Path && have.CID.Equals(root.CID)
}

// recall returns scan.known for a base that was added before with the same
// profile, nil if it was not or cannot be told.
func (d *Disk) recall(base string, opt AddOptions) func(*node, state) []merkle.Leaf {
	type entry struct {
		n   uint64
		rec fileRec
	}
	files := map[string]entry{}
	var root cid.Cid
	err := d.view(func(t tx) error {
		ns, err := t.placesAt(base)
		if err != nil {
			return err
		}
		for _, n := range ns {
			p, err := t.place(n)
			if err != nil || p.Kind != inPlace || p.Profile != opt.Profile.Name() {
				continue
			}
			r, err := t.root(p.Root)
			if err != nil {
				return err
			}
			root = r.CID
			clear(files) // the latest counts
			err = t.eachFile(p, func(n uint64, f fileRec) error {
				files[f.Rel] = entry{n, f}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		return nil
	}
	table, err := d.table(root)
	if err != nil {
		return nil // its leaves are gone, so all is read
	}
	return func(n *node, s state) []merkle.Leaf {
		e, ok := files[n.rel]
		if !ok || opt.Modes && n.exec || !s.regular || !s.same(e.rec.State) || !s.settled(e.rec.At) {
			return nil
		}
		return d.leavesOf(table, opt.Profile, e.n, n.rel, s.Size)
	}
}

// leavesOf returns the leaves of a file as they stand in the table of a root,
// nil if one of them has been withdrawn.
func (d *Disk) leavesOf(table *merkle.Table, profile merkle.Profile, file uint64, rel string, size int64) []merkle.Leaf {
	i, ok := table.Lookup(rel)
	if !ok || table.Entries[i].Size != size {
		return nil
	}
	leaves := make([]merkle.Leaf, 0, len(table.Entries[i].Spans))
	err := d.view(func(t tx) error {
		for _, s := range table.Entries[i].Spans {
			if s.Piece < 0 {
				return ErrNotFound
			}
			p := table.Pieces[s.Piece]
			if prefix, suffix := frame(p.Key, p.Payload, p.Size); (p.Size == p.Payload) != profile.RawLeaves() ||
				len(prefix)+p.Payload+len(suffix) != p.Size {
				return ErrNotFound // a leaf with the mode in it
			}
			if t.in(leavesBucket).Get(leafKey(p.Key, file)) == nil {
				return ErrNotFound
			}
			leaves = append(leaves, merkle.Leaf{Key: p.Key, CID: leafCID(profile, p.Key), Payload: p.Payload, Size: p.Size})
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return leaves
}

// leafCID is the CID by which a profile names a leaf: the legacy one has CIDv0.
func leafCID(p merkle.Profile, k merkle.Key) cid.Cid {
	c := k.CID()
	if p == merkle.UnixFSv0 {
		return cid.NewCidV0(c.Hash())
	}
	return c
}
