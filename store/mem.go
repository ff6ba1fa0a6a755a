package store

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
)

// Mem is a Store in memory, for tests and for nodes that keep nothing. Add
// takes a copy of the bytes, so files may change afterwards; a Writer with a
// path writes its target when it finishes.
type Mem struct {
	mu     sync.Mutex
	seq    int
	roots  map[string]*memRoot
	blocks map[merkle.Key]*memBlock
	pieces map[merkle.Key]*memBlock
	values map[string]map[string][]byte
}

// memRoot is a root and what it holds a count of.
type memRoot struct {
	Root
	seq    int
	busy   bool
	blocks []merkle.Key
	have   map[merkle.Key]bool
}

// memBlock is a block or piece and how many roots have it.
type memBlock struct {
	data []byte
	refs int
}

var _ Store = (*Mem)(nil)

// NewMem makes an empty store.
func NewMem() *Mem {
	return &Mem{
		roots: map[string]*memRoot{}, blocks: map[merkle.Key]*memBlock{},
		pieces: map[merkle.Key]*memBlock{}, values: map[string]map[string][]byte{},
	}
}

// Add hashes the file or directory at path and keeps its bytes.
func (m *Mem) Add(ctx context.Context, path string, opt AddOptions) (Root, error) {
	abs, base, err := resolve(path)
	if err != nil {
		return Root{}, err
	}
	s := &scan{opt: opt, base: base, hashers: hashers()}
	var mu sync.Mutex
	pieces := map[merkle.Key][]byte{}
	s.keep = func(_ *node, l merkle.Leaf, payload []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if pieces[l.Key] == nil {
			pieces[l.Key] = slices.Clone(l.Block(payload))
		}
		return nil
	}
	link, err := s.run(ctx)
	if err != nil {
		return Root{}, err
	}
	root := Root{
		CID: link.CID, Name: filepath.Base(abs), Path: abs, Size: s.size(),
		Pieces: len(pieces), Have: len(pieces), State: Complete, Added: time.Now(),
	}
	if opt.Copy {
		root.Path = ""
	}
	if opt.OnlyHash {
		return root, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.begin(root, s.blocks)
	for k, data := range pieces {
		m.hold(r, k, data)
	}
	root.Added = r.Added
	r.Root = root
	return root, nil
}

// begin returns the root's record, made if it is not there. mu is held.
func (m *Mem) begin(root Root, tree []merkle.Block) *memRoot {
	key := string(rootKey(root.CID))
	r := m.roots[key]
	if r != nil {
		return r
	}
	m.seq++
	r = &memRoot{Root: root, seq: m.seq, have: map[merkle.Key]bool{}}
	m.roots[key] = r
	for _, b := range tree {
		if k, ok := merkle.KeyOf(b.CID); ok && b.CID.Type() != cid.Raw && b.Data != nil {
			r.blocks = append(r.blocks, k)
			refer(m.blocks, k, b.Data)
		}
	}
	return r
}

func refer(to map[merkle.Key]*memBlock, k merkle.Key, data []byte) {
	if to[k] == nil {
		to[k] = &memBlock{data: slices.Clone(data)}
	}
	to[k].refs++
}

func drop(from map[merkle.Key]*memBlock, k merkle.Key) {
	if from[k].refs--; from[k].refs == 0 {
		delete(from, k)
	}
}

// hold counts a piece for a root. mu is held.
func (m *Mem) hold(r *memRoot, k merkle.Key, data []byte) {
	if !r.have[k] {
		r.have[k] = true
		refer(m.pieces, k, data)
		r.Have = len(r.have)
	}
}

// Roots returns every root, in order of Added.
func (m *Mem) Roots() ([]Root, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var roots []Root
	for _, r := range slices.SortedFunc(maps.Values(m.roots), func(a, b *memRoot) int { return cmp.Compare(a.seq, b.seq) }) {
		roots = append(roots, r.Root)
	}
	return roots, nil
}

// Root returns one root, or ErrNotFound.
func (m *Mem) Root(c cid.Cid) (Root, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.roots[string(rootKey(c))]
	if r == nil {
		return Root{}, fmt.Errorf("root %v: %w", c, ErrNotFound)
	}
	return r.Root, nil
}

// Block returns an interior block of a held tree, or ErrNotFound.
func (m *Mem) Block(c cid.Cid) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := merkle.KeyOf(c); ok && c.Type() != cid.Raw {
		for _, from := range []map[merkle.Key]*memBlock{m.blocks, m.pieces} {
			if b := from[k]; b != nil {
				return slices.Clone(b.data), nil
			}
		}
	}
	return nil, fmt.Errorf("block %v: %w", c, ErrNotFound)
}

// Have tells which of keys can be read.
func (m *Mem) Have(keys []merkle.Key) []bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	have := make([]bool, len(keys))
	for i, k := range keys {
		have[i] = m.pieces[k] != nil || isEmptyLeaf(k)
	}
	return have
}

// ReadPiece copies a leaf block into buf.
func (m *Mem) ReadPiece(ctx context.Context, key merkle.Key, buf []byte) ([]byte, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.pieces[key]; p != nil {
		return append(buf[:0], p.data...), nil
	}
	if isEmptyLeaf(key) {
		return buf[:0], nil
	}
	return nil, fmt.Errorf("read piece %v: %w", key, ErrNotFound)
}

// Unshare forgets a root and what no other root has.
func (m *Mem) Unshare(c cid.Cid) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := string(rootKey(c))
	r := m.roots[key]
	if r == nil {
		return fmt.Errorf("unshare %v: %w", c, ErrNotFound)
	}
	if r.busy {
		return fmt.Errorf("unshare %v: %w", c, ErrBusy)
	}
	for _, k := range r.blocks {
		drop(m.blocks, k)
	}
	for k := range r.have {
		drop(m.pieces, k)
	}
	delete(m.roots, key)
	return nil
}

// Verify yields nothing: memory does not rot.
func (m *Mem) Verify(ctx context.Context, c cid.Cid) iter.Seq2[Bad, error] {
	return func(yield func(Bad, error) bool) {
		if c.Defined() {
			if _, err := m.Root(c); err != nil {
				yield(Bad{Root: c}, err)
				return
			}
		}
		if err := context.Cause(ctx); err != nil {
			yield(Bad{Root: c}, err)
		}
	}
}

// Get returns a value that Put stored, or ErrNotFound.
func (m *Mem) Get(bucket, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[bucket][key]
	if !ok {
		return nil, fmt.Errorf("get %s/%s: %w", bucket, key, ErrNotFound)
	}
	return slices.Clone(v), nil
}

// Put stores a value; nil deletes. The limits are those of Disk.
func (m *Mem) Put(bucket, key string, value []byte) error {
	return m.PutAll(bucket, map[string][]byte{key: value})
}

// PutAll is Put for several keys: all or none are stored.
func (m *Mem) PutAll(bucket string, values map[string][]byte) error {
	if err := checkValues(bucket, values); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	next := maps.Clone(m.values[bucket])
	if next == nil {
		next = map[string][]byte{}
	}
	for k, v := range values {
		if v == nil {
			delete(next, k)
		} else {
			next[k] = append([]byte{}, v...)
		}
	}
	if len(next) > MaxValues {
		return fmt.Errorf("put %s: more than %d keys: %w", bucket, MaxValues, ErrLimit)
	}
	m.values[bucket] = next
	return nil
}

// Close does nothing.
func (m *Mem) Close() error { return nil }
