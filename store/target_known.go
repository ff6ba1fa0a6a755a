package store

import (
	"errors"
	"slices"

	"github.com/shoal-p2p/shoal/merkle"
)

// knownFile tells of a file below a base, in state s, which of its stretches the
// index has as a leaf of that kind.
type knownFile func(rel string, s state) func(stretch, []leafKind) bool

func knowsNone(stretch, []leafKind) bool { return false }

func knowsNothing(string, state) func(stretch, []leafKind) bool { return knowsNone }

// knownBelow knows the files of what was added or fetched at base: their pieces
// were brought over already, or are no longer right.
func (d *Disk) knownBelow(base string) knownFile {
	versions, err := d.versionsOf(base)
	if err != nil {
		versions = nil // all is read then
	}
	return func(rel string, s state) func(stretch, []leafKind) bool {
		var same []version
		for _, v := range versions {
			if v.unchanged(rel, s) {
				same = append(same, v)
			}
		}
		if len(same) == 0 {
			return knowsNone
		}
		return func(e stretch, kinds []leafKind) bool {
			return len(kinds) == 1 && slices.ContainsFunc(same, func(v version) bool { return v.hasLeaf(rel, e, kinds[0].codec) })
		}
	}
}

// version is a root that the index knows at a path.
type version struct {
	table *merkle.Table
	place uint64
	rec   placeRec
	files map[string]knownRec // by Rel
	d     *Disk
}

// knownRec is a file as it was when it was hashed, and its number.
type knownRec struct {
	fileRec
	n uint64
}

// frame is what stands around a leaf of a file, as the index remembers it.
func (v version) frame(rel string, key merkle.Key) (location, bool) {
	f, ok := v.files[rel]
	if !ok {
		return location{}, false
	}
	var loc location
	err := v.d.view(func(t tx) (err error) {
		b := t.in(leavesBucket).Get(leafKey(key, f.n))
		if b == nil {
			return ErrNotFound
		}
		loc, err = decodeLocation(b, key)
		return err
	})
	return loc, err == nil
}

// unchanged tells whether a file is as it was when it was hashed.
func (v version) unchanged(rel string, s state) bool {
	f, ok := v.files[rel]
	return ok && s.regular && s.same(f.State) && s.settled(f.At)
}

// hasLeaf tells whether a stretch of a file is a leaf of the version.
func (v version) hasLeaf(rel string, e stretch, codec byte) bool {
	i, ok := v.table.Lookup(rel)
	if !ok {
		return false
	}
	at := v.table.PieceAt(i, e.off)
	if at < 0 {
		return false
	}
	s := v.table.Entries[i].Spans[at]
	return s.Piece >= 0 && s.Offset == e.off && v.table.Pieces[s.Piece].Payload == e.n && v.table.Pieces[s.Piece].Key[0] == codec
}

// versionsAt returns the roots whose files stand at path, the latest first. One
// whose tree cannot be read is left out.
func (d *Disk) versionsAt(path string) ([]version, error) {
	var vs []version
	var roots []rootRec
	err := d.view(func(t tx) error {
		ns, err := t.placesAt(path)
		if err != nil {
			return err
		}
		for _, n := range slices.Backward(ns) {
			p, err := t.place(n)
			if err != nil {
				return err
			}
			if p.Kind != inPlace {
				continue
			}
			r, err := t.root(p.Root)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			v := version{place: n, rec: p, files: map[string]knownRec{}, d: d}
			err = t.eachFile(p, func(n uint64, f fileRec) error {
				v.files[f.Rel] = knownRec{f, n}
				return nil
			})
			if err != nil {
				return err
			}
			vs, roots = append(vs, v), append(roots, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	known := vs[:0]
	for i, v := range vs {
		if v.table, err = d.verifyTable(roots[i].CID); err == nil {
			known = append(known, v)
		}
	}
	return known, nil
}
