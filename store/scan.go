package store

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/shoal-p2p/shoal/merkle"
)

// scan walks a file or directory, hashes it and assembles its tree. It goes
// over three stages: walk (one goroutine) sends regular files to hash (a pool),
// and when both are done build makes the tree.
type scan struct {
	opt     AddOptions
	base    string // absolute, symlinks resolved
	hashers int

	// known returns the leaves of a file that was hashed before and is still in
	// that state, nil if it has to be read. It is called by walk.
	known func(n *node, s state) []merkle.Leaf
	// keep, if not nil, stores each leaf as it is hashed. It is called from many goroutines.
	keep func(n *node, l merkle.Leaf, payload []byte) error

	root  *node
	files []*node // regular files, in the order of the walk
	jobs  chan job
	done  atomic.Int64 // bytes hashed

	// Owned by build.
	blocks []merkle.Block
	pieces int64
}

// node is a file, directory or symlink that is being added.
type node struct {
	name     string
	rel      string // slash-separated, below the base
	kind     merkle.EntryType
	exec     bool
	size     int64
	target   string  // of a symlink
	children []*node // of a directory, sorted by name

	leaves []merkle.Leaf // of a file, in order
	state  state         // of a file when all of it was hashed
	reused bool          // leaves came from known
	link   merkle.Link   // set by build
	open   opened

	// The frame of the only leaf of a file that has a mode, which is in it; else nil.
	prefix, suffix []byte
}

// path is where a node stands.
func (s *scan) path(n *node) string {
	if n.rel == "" {
		return s.base
	}
	return filepath.Join(s.base, filepath.FromSlash(n.rel))
}

// run does all three stages and returns the root's link.
func (s *scan) run(ctx context.Context) (merkle.Link, error) {
	if err := s.hash(ctx); err != nil {
		return merkle.Link{}, err
	}
	if err := s.build(s.root); err != nil {
		return merkle.Link{}, err
	}
	return s.root.link, nil
}

// walk visits the base and what is below it, and sends jobs.
func (s *scan) walk(ctx context.Context) error {
	fi, err := os.Lstat(s.base)
	if err != nil {
		return diskErr("add", s.base, err)
	}
	s.root, err = s.visit(ctx, fi, "")
	if err == nil && s.root == nil {
		return fmt.Errorf("add %s: neither a regular file nor a directory", s.base)
	}
	return err
}

// visit returns nil for what is left out.
func (s *scan) visit(ctx context.Context, fi fs.FileInfo, rel string) (*node, error) {
	n := &node{name: fi.Name(), rel: rel}
	switch fi.Mode().Type() {
	case 0:
		n.size, n.exec = fi.Size(), fi.Mode()&0o111 != 0
		return n, s.file(ctx, n)
	case fs.ModeDir:
		n.kind = merkle.Directory
		return n, s.directory(ctx, n)
	case fs.ModeSymlink:
		n.kind = merkle.Symlink
		target, err := os.Readlink(s.path(n))
		if err != nil {
			return nil, diskErr("add", s.path(n), err)
		}
		n.target = filepath.ToSlash(target)
		return n, nil
	}
	s.skip(s.path(n), "not a regular file, directory or symlink")
	return nil, nil
}

func (s *scan) skip(path, why string) {
	if s.opt.Skipped != nil {
		s.opt.Skipped(path, why)
	}
}

func (s *scan) directory(ctx context.Context, n *node) error {
	list, err := os.ReadDir(s.path(n))
	if err != nil {
		return diskErr("add", s.path(n), err)
	}
	for _, de := range list {
		rel := de.Name()
		if n.rel != "" {
			rel = n.rel + "/" + rel
		}
		if de.Name()[0] == '.' && !s.opt.Hidden {
			s.skip(filepath.Join(s.base, filepath.FromSlash(rel)), "hidden")
			continue
		}
		fi, err := de.Info()
		if err != nil {
			return diskErr("add", filepath.Join(s.base, filepath.FromSlash(rel)), err)
		}
		child, err := s.visit(ctx, fi, rel)
		if err != nil {
			return err
		}
		if child != nil {
			n.children = append(n.children, child)
		}
	}
	return nil
}

// file takes the leaves from known or sends jobs that hash them.
func (s *scan) file(ctx context.Context, n *node) error {
	s.files = append(s.files, n)
	if s.known != nil {
		if st, err := stateAt(s.path(n)); err == nil {
			if n.leaves = s.known(n, st); n.leaves != nil {
				n.state, n.reused = st, true
				s.progress(n.size)
				return nil
			}
		}
	}
	leaf := int64(s.opt.Profile.LeafSize())
	count := (n.size + leaf - 1) / leaf
	if s.pieces += count; count > merkle.MaxPieces || s.pieces > maxLeaves {
		return fmt.Errorf("add %s: more than %d pieces: %w", s.base, merkle.MaxPieces, merkle.ErrTooLarge)
	}
	n.leaves = make([]merkle.Leaf, count)
	// An empty file is opened too: that it can be read and stays empty is checked.
	per := max(1, int64(chunk)/leaf)
	n.open.left.Store(max(1, int32((count+per-1)/per)))
	for first := int64(0); first == 0 || first < count; first += per {
		select {
		case s.jobs <- job{n: n, first: int(first), count: int(min(per, count-first))}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// maxLeaves bounds the memory of an Add whose leaves are not distinct.
const maxLeaves = 16 * merkle.MaxPieces

func (s *scan) progress(bytes int64) {
	done := s.done.Add(bytes)
	if s.opt.Progress != nil {
		s.opt.Progress(done)
	}
}

// mode is what the tree says of a node: with Modes an executable file is 0755
// and nothing else has a mode, so that the CID does not depend on the umask.
func (s *scan) mode(n *node) uint32 {
	if s.opt.Modes && n.kind == merkle.File && n.exec {
		return 0o755
	}
	return 0
}
