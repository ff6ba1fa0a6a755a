package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
	"golang.org/x/sync/errgroup"
)

// survey is what stands at a path that is to be replaced, held to the versions
// of the content that are known: the roots that the index has at that path, and
// the new one. What is of none of them is the user's own.
type survey struct {
	versions []version // the new one first
	layer    fileLayer
	passed   map[string]passed // files that were found to be of a version before

	entries []standing // parents first
	own     []string   // a few of the entries that are of no version
	owned   int        // how many there are
}

// standing is an entry on disk.
type standing struct {
	rel   string // "" for the path itself
	kind  merkle.EntryType
	state state
	exec  bool
	known bool // of some version
	same  bool // as in the new version
}

// passed is what was found of a file.
type passed struct {
	state state
	at    int64 // when, ns since 1970
	same  bool
}

// shownOwn is how many of the user's own entries an error names.
const shownOwn = 3

// look surveys base, hashing files of which times alone do not tell what they
// are, workers of them at a time.
func (s *survey) look(ctx context.Context, base string, workers int) error {
	at := time.Now().UnixNano()
	if err := s.walk(ctx, base); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for i := range s.entries {
		e := &s.entries[i]
		if e.kind != merkle.File || s.quick(e) {
			continue
		}
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return s.slow(base, e)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i := range s.entries {
		if e := &s.entries[i]; e.known {
			s.passed[e.rel] = passed{e.state, at, e.same}
		} else {
			s.disown(e.rel)
		}
	}
	return nil
}

// disown counts an entry that is the user's own.
func (s *survey) disown(rel string) {
	if s.owned++; len(s.own) < shownOwn {
		s.own = append(s.own, rel)
	}
}

// walk lists what is at and below base.
func (s *survey) walk(ctx context.Context, base string) error {
	s.entries, s.own, s.owned = nil, nil, 0
	return filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return diskErr("read", path, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fi, err := d.Info()
		if err != nil {
			return diskErr("read", path, err)
		}
		e := standing{rel: below(base, path), exec: fi.Mode()&0o111 != 0}
		if e.state, err = stateAt(path); err != nil {
			return diskErr("read", path, err)
		}
		switch fi.Mode().Type() {
		case 0:
			e.kind = merkle.File
		case fs.ModeDir:
			e.kind = merkle.Directory
			e.known, e.same = s.find(e.rel, func(o *merkle.Entry) bool { return o.Type == merkle.Directory })
		case fs.ModeSymlink:
			e.kind = merkle.Symlink
			to, err := os.Readlink(path)
			if err != nil {
				return diskErr("read", path, err)
			}
			to = filepath.ToSlash(to)
			e.known, e.same = s.find(e.rel, func(o *merkle.Entry) bool { return o.Type == merkle.Symlink && o.Target == to })
		default:
			s.disown(e.rel)
			return nil
		}
		s.entries = append(s.entries, e)
		return nil
	})
}

// below is the slash-separated path of what stands below base, "" for base.
func below(base, path string) string {
	rel := strings.TrimPrefix(path, base)
	return strings.TrimPrefix(filepath.ToSlash(rel), "/")
}

// find looks for an entry in all versions, and in the new one.
func (s *survey) find(rel string, fits func(*merkle.Entry) bool) (known, same bool) {
	for i, v := range s.versions {
		if at, ok := v.table.Lookup(rel); ok && fits(&v.table.Entries[at]) {
			return true, i == 0
		}
	}
	return false, false
}

// quick tells of a file by its times, if they do.
func (s *survey) quick(e *standing) bool {
	if was, ok := s.passed[e.rel]; ok && was.state.same(e.state) && was.state.settled(was.at) {
		e.known, e.same = true, was.same
		return true
	}
	for _, v := range s.versions[1:] {
		if !v.unchanged(e.rel, e.state) {
			continue
		}
		e.known, e.same = true, sameFile(v.table, s.versions[0].table, e.rel)
		return true
	}
	return false
}

// sameFile tells whether two tables have the same file at a path.
func sameFile(a, b *merkle.Table, rel string) bool {
	i, ok := a.Lookup(rel)
	j, found := b.Lookup(rel)
	if !ok || !found {
		return false
	}
	x, y := &a.Entries[i], &b.Entries[j]
	return x.Type == merkle.File && y.Type == merkle.File && x.Mode == y.Mode && x.CID.Equals(y.CID)
}

// slow tells of a file by its bytes.
func (s *survey) slow(base string, e *standing) error {
	path := filepath.Join(base, filepath.FromSlash(e.rel))
	f, err := openRead(path)
	if err != nil {
		return diskErr("read", path, err)
	}
	defer f.Close()
	for i, v := range s.versions {
		at, ok := v.table.Lookup(e.rel)
		if !ok {
			continue
		}
		o := &v.table.Entries[at]
		if o.Type != merkle.File || o.Size != e.state.Size {
			continue
		}
		if holds, err := s.holds(f, v, o); err != nil {
			return diskErr("read", path, err)
		} else if holds {
			e.known, e.same = true, i == 0 && (o.Mode == 0 || o.Mode&0o111 != 0 == e.exec)
			break
		}
	}
	after, err := stateOf(f)
	if err != nil || !after.same(e.state) {
		e.known, e.same = false, false // somebody writes to it
	}
	return nil
}

// holds tells whether a file has all bytes of an entry.
func (s *survey) holds(f *os.File, v version, o *merkle.Entry) (bool, error) {
	buf := buffers.Get().(*[chunk]byte)
	defer buffers.Put(buf)
	for _, span := range o.Spans {
		if span.Piece < 0 {
			got := make([]byte, len(span.Inline))
			if n, err := s.layer.readAt(f, got, span.Offset); n < len(got) {
				return false, onlyReal(err)
			}
			if string(got) != string(span.Inline) {
				return false, nil
			}
			continue
		}
		p := v.table.Pieces[span.Piece]
		payload := buf[:]
		if p.Payload > chunk {
			payload = make([]byte, p.Payload)
		}
		payload = payload[:p.Payload]
		if n, err := s.layer.readAt(f, payload, span.Offset); n < len(payload) {
			return false, onlyReal(err)
		}
		if !v.verify(o.Path, p, payload) {
			return false, nil
		}
	}
	return true, nil
}

// verify tells whether payload is a piece's, with the frame that every known
// writer makes or the one that the index remembers.
func (v version) verify(rel string, p merkle.Piece, payload []byte) bool {
	if _, err := p.Wrap(payload); err == nil {
		return true
	}
	loc, ok := v.frame(rel, p.Key)
	if !ok || loc.Payload != len(payload) {
		return false
	}
	block := append(append(append([]byte(nil), loc.Prefix...), payload...), loc.Suffix...)
	_, err := p.Verify(block)
	return err == nil
}

// onlyReal drops the error that says that a file is shorter.
func onlyReal(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// changes compares what stands there with the new version.
func (s *survey) changes() Changes {
	var c Changes
	next := s.versions[0].table
	here := make(map[string]bool, len(s.entries))
	for _, e := range s.entries {
		here[e.rel] = true
		_, stays := next.Lookup(e.rel)
		switch {
		case e.rel == "" && e.kind == merkle.Directory && e.same: // the directory itself is none of its entries
		case e.same:
			c.Same++
		case stays:
			c.Changed++
		default:
			c.Removed++
		}
	}
	for i := range next.Entries {
		if !here[next.Entries[i].Path] {
			c.Added++
		}
	}
	return c
}

// refusal is the error for entries that are the user's own, nil without any.
func (s *survey) refusal(base string) error {
	if s.owned == 0 {
		return nil
	}
	var named []string
	for _, rel := range s.own {
		named = append(named, fmt.Sprintf("%q", filepath.Join(base, filepath.FromSlash(rel))))
	}
	if more := s.owned - len(s.own); more > 0 {
		named = append(named, fmt.Sprintf("%d more", more))
	}
	return fmt.Errorf("update %s: %w: %s; move it away, or add %s first so that it is known, or fetch to another path",
		base, ErrOwn, strings.Join(named, ", "), base)
}
