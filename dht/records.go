package dht

import (
	"context"
	"maps"
	"strings"
	"sync"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// Limits of what strangers can make a server keep. A record costs about 600
// bytes, so a full store is about 100 MB.
const (
	maxRecords = 160_000
	// peerShare is the part of the store that one provider may fill: 1/peerShare.
	peerShare = 2
	// maxPerRoot is how many providers of one root are kept. A reply carries at
	// most 4 MiB, which is fewer than this times the addresses of a peer.
	maxPerRoot = 5_000
)

// recordStore is the datastore below kad-dht's provider manager. That manager
// bounds neither records nor records of one provider, and asks for the records
// of one root by prefix, which takes go-datastore's map a walk over everything.
// Here a key "/providers/ROOT/PEER" is split at its last slash into two levels,
// and each level has its limit. When the store is full a record chosen at random
// makes room: a stranger who floods it cannot tell which.
//
// The records of this node itself are not in it: see ownRecords.
type recordStore struct {
	max     int
	perPeer int
	own     *ownRecords

	mu    sync.Mutex
	roots map[string]map[string][]byte // root's key -> provider -> value
	peers map[string]int               // provider -> records
	size  int
}

func newRecordStore(limit int, own *ownRecords) *recordStore {
	return &recordStore{
		max: limit, perPeer: max(1, limit/peerShare), own: own,
		roots: make(map[string]map[string][]byte), peers: make(map[string]int),
	}
}

// split cuts a record's key into the root's part and the provider's.
func split(k ds.Key) (root, peer string) {
	s := k.String()
	i := strings.LastIndexByte(s, '/')
	return s[:i], s[i+1:]
}

func (s *recordStore) Put(_ context.Context, k ds.Key, v []byte) error {
	root, p := split(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	provs := s.roots[root]
	if _, known := provs[p]; known {
		provs[p] = v
		return nil
	}
	// Silently, as for a record that was taken and then made room: ADD_PROVIDER
	// has no reply that could say so.
	if s.peers[p] >= s.perPeer {
		return nil
	}
	if len(provs) >= maxPerRoot {
		s.drop(root, anyKey(provs))
	} else if s.size >= s.max {
		victim := anyKey(s.roots)
		s.drop(victim, anyKey(s.roots[victim]))
	}
	if provs = s.roots[root]; provs == nil {
		provs = make(map[string][]byte, 1)
		s.roots[root] = provs
	}
	provs[p] = v
	s.peers[p]++
	s.size++
	return nil
}

// anyKey returns a key of m, which is not empty, as map order has it.
func anyKey[V any](m map[string]V) string {
	for k := range m {
		return k
	}
	panic("dht: no key in an empty map")
}

// drop removes one record if it is there. mu is held.
func (s *recordStore) drop(root, p string) {
	provs := s.roots[root]
	if _, ok := provs[p]; !ok {
		return
	}
	delete(provs, p)
	if len(provs) == 0 {
		delete(s.roots, root)
	}
	if s.peers[p]--; s.peers[p] == 0 {
		delete(s.peers, p)
	}
	s.size--
}

func (s *recordStore) Get(_ context.Context, k ds.Key) ([]byte, error) {
	root, p := split(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.roots[root][p]
	if !ok {
		return nil, ds.ErrNotFound
	}
	return v, nil
}

func (s *recordStore) Has(ctx context.Context, k ds.Key) (bool, error) {
	return ds.GetBackedHas(ctx, s, k)
}

func (s *recordStore) GetSize(ctx context.Context, k ds.Key) (int, error) {
	return ds.GetBackedSize(ctx, s, k)
}

func (s *recordStore) Delete(_ context.Context, k ds.Key) error {
	root, p := split(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(root, p)
	return nil
}

// Query serves the two questions that the provider manager has: the records of
// one root, and all of them for its hourly sweep.
func (s *recordStore) Query(_ context.Context, q query.Query) (query.Results, error) {
	prefix := strings.TrimSuffix(q.Prefix, "/")
	s.mu.Lock()
	var entries []query.Entry
	if provs, ok := s.roots[prefix]; ok {
		entries = appendEntries(entries, prefix, provs)
	} else if strings.Count(prefix, "/") < 2 {
		for root, provs := range s.roots {
			if prefix == "" || strings.HasPrefix(root, prefix+"/") {
				entries = appendEntries(entries, root, provs)
			}
		}
	}
	s.mu.Unlock()
	if e, ok := s.own.entry(prefix); ok {
		entries = append(entries, e)
	}
	q.Prefix = ""
	return query.NaiveQueryApply(q, query.ResultsWithEntries(q, entries)), nil
}

func appendEntries(es []query.Entry, root string, provs map[string][]byte) []query.Entry {
	for p, v := range maps.All(provs) {
		es = append(es, query.Entry{Key: root + "/" + p, Value: v, Size: len(v)})
	}
	return es
}

func (s *recordStore) Sync(context.Context, ds.Key) error { return nil }
func (s *recordStore) Close() error                       { return nil }

// Batch collects changes; nothing here is durable, so it need not be atomic.
func (s *recordStore) Batch(context.Context) (ds.Batch, error) {
	return ds.NewBasicBatch(s), nil
}
