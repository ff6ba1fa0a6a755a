package store

import (
	"fmt"

	"github.com/shoal-p2p/shoal/merkle"
)

// build makes the tree of n and below, and collects its interior blocks.
func (s *scan) build(n *node) error {
	p := s.opt.Profile
	switch n.kind {
	case merkle.File:
		b := p.NewFile()
		for _, l := range n.leaves {
			b.Add(l)
		}
		var blocks []merkle.Block
		n.link, blocks = b.Finish(s.mode(n))
		s.blocks = append(s.blocks, blocks...)
	case merkle.Symlink:
		var block merkle.Block
		n.link, block = p.Symlink(n.target)
		s.blocks = append(s.blocks, block)
	case merkle.Directory:
		list := make([]merkle.DirEntry, len(n.children))
		for i, child := range n.children {
			if err := s.build(child); err != nil {
				return err
			}
			list[i] = merkle.DirEntry{Name: child.name, Link: child.link}
		}
		link, blocks, err := p.Directory(list, 0)
		if err != nil {
			return fmt.Errorf("add %s: %w", s.path(n), err)
		}
		n.link = link
		s.blocks = append(s.blocks, blocks...)
	}
	return nil
}

// size is the bytes of all files.
func (s *scan) size() int64 {
	var sum int64
	for _, n := range s.files {
		sum += n.size
	}
	return sum
}

// located lists where each leaf stands, when the i-th file has the number first+i.
func (s *scan) located(first uint64) []located {
	var ls []located
	for i, n := range s.files {
		file := first + uint64(i)
		var off int64
		for _, l := range n.leaves {
			prefix, suffix := n.prefix, n.suffix
			if prefix == nil {
				prefix, suffix = frame(l.Key, l.Payload, l.Size)
			}
			ls = append(ls, located{l.Key, file, location{Off: off, Payload: l.Payload, Prefix: prefix, Suffix: suffix}})
			off += int64(l.Payload)
		}
	}
	return ls
}
