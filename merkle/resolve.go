package merkle

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
)

// Step is the state of resolving a path, which loads only the nodes on it:
//
//	s, err := merkle.Resolve(root, path)
//	for err == nil && !s.Done {
//		s, err = s.Take(fetch(s.CID))
//	}
//
// Step is a value: a failed Take leaves the old one as it was, to be tried with
// another source's block.
type Step struct {
	CID  cid.Cid // the block to take next, or the target if Done
	Done bool

	rest []string // names still to be found
	done string   // the path so far, for errors
	at   shardAt
}

// Resolve starts at root. path is as Target.Path: slash-separated, "" for the
// root itself. ErrMalformed and ErrUnsupported as in Parse and ParseTarget.
func Resolve(root cid.Cid, path string) (Step, error) {
	clean, err := cleanPath(path)
	if err != nil {
		return Step{}, err
	}
	r, err := refOf(root)
	if err != nil {
		return Step{}, err
	}
	s := Step{CID: root}
	if clean != "" {
		s.rest = strings.Split(clean, "/")
	}
	return s.enter(r)
}

// Take verifies the block of s.CID and goes one node down. ErrMismatch when it
// is another block, ErrNoEntry when the path ends here, ErrMalformed when the
// block lies.
func (s Step) Take(block []byte) (Step, error) {
	r, err := refOf(s.CID)
	if err != nil {
		return s, err
	}
	if len(block) > MaxBlock || sha256.Sum256(block) != [32]byte(r.key[1:]) {
		return s, fmt.Errorf("%w: block of %d bytes is not %s", ErrMismatch, len(block), s.CID)
	}
	return s.walk(block)
}

// enter arrives at r: the end, a block to take, or content that the CID holds.
func (s Step) enter(r ref) (Step, error) {
	switch {
	case len(s.rest) == 0 && s.at == shardAt{}:
		s.Done = true
		return s, nil
	case r.raw():
		return s, s.notDirectory("file")
	case r.identity:
		return s.walk(r.content)
	}
	return s, nil
}

// walk finds the next name in a verified block.
func (s Step) walk(block []byte) (Step, error) {
	d, err := decode(block)
	if err != nil {
		return s, fmt.Errorf("block %s: %w", s.CID, err)
	}
	var found ref
	next := s
	switch d.typ {
	case typeDirectory:
		found, err = s.inPlain(d, &next)
	case typeShard:
		found, err = s.inShard(d, &next)
	default:
		return s, s.notDirectory(d.kind())
	}
	if err != nil {
		return s, err
	}
	next.CID = found.cid()
	return next.enter(found)
}

func (s Step) inPlain(d node, next *Step) (found ref, err error) {
	if s.at != (shardAt{}) {
		return found, fmt.Errorf("%w directory: its shard %s is a directory", ErrMalformed, s.CID)
	}
	name, hit := s.rest[0], false
	err = d.each(func(_ int, l link) error {
		if hit || string(l.name) != name {
			return nil
		}
		hit = true
		found, err = parseRef(l.hash)
		return err
	})
	if err == nil && !hit {
		err = s.noEntry()
	}
	next.named()
	return found, err
}

func (s Step) inShard(d node, next *Step) (found ref, err error) {
	name, hit := s.rest[0], false
	width, _ := d.shardWidth()
	err = d.eachChild(s.at, func(c shardChild) error {
		at := s.at.below(c.index, width)
		if hit || c.name != name && (c.name != "" || !at.holds(name)) {
			return nil
		}
		hit = true
		if found, err = parseRef(c.hash); err != nil {
			return err
		}
		if c.name == "" {
			next.at = at
			return nil
		}
		next.named()
		return nil
	})
	if err == nil && !hit {
		err = s.noEntry()
	}
	return found, err
}

// named goes on to the next name.
func (s *Step) named() {
	s.done = strings.TrimPrefix(s.done+"/"+s.rest[0], "/")
	s.rest, s.at = s.rest[1:], shardAt{}
}

func (s Step) noEntry() error {
	return fmt.Errorf("%w: %q in %s; 'shoal ls' shows what is there", ErrNoEntry, clip(s.rest[0]), s.where())
}

func (s Step) notDirectory(what string) error {
	return fmt.Errorf("%w: %s is a %s and has no %q below it", ErrNoEntry, s.where(), what, clip(strings.Join(s.rest, "/")))
}

func (s Step) where() string {
	if s.done == "" {
		return "the root"
	}
	return fmt.Sprintf("%q", clip(s.done))
}
