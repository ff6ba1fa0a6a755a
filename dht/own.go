package dht

import (
	"encoding/base32"
	"encoding/binary"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/peer"
	mh "github.com/multiformats/go-multihash"
)

// ownRecords are the records that this node, as a server, has of itself. They
// are not kept but asked for: what the node holds is in its index, so a million
// pieces cost no memory here, and what it no longer holds is not named a moment
// longer.
type ownRecords struct {
	self string                  // the peer ID as it stands in a record's key
	held func(mh.Multihash) bool // nil: nothing beside provided

	mu       sync.Mutex
	provided map[string]bool // by multihash: what Provide was called with
}

// keyText is how kad-dht writes multihashes and peer IDs in a record's key.
var keyText = base32.StdEncoding.WithPadding(base32.NoPadding)

func newOwnRecords(self peer.ID, held func(mh.Multihash) bool) *ownRecords {
	return &ownRecords{self: keyText.EncodeToString([]byte(self)), held: held, provided: make(map[string]bool)}
}

func (o *ownRecords) add(key mh.Multihash) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.provided[string(key)] = true
}

func (o *ownRecords) remove(key mh.Multihash) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.provided, string(key))
}

func (o *ownRecords) has(key mh.Multihash) bool {
	o.mu.Lock()
	provided := o.provided[string(key)]
	o.mu.Unlock()
	return provided || (o.held != nil && o.held(key))
}

// entry is this node's record among those of a root, whose key in the datastore
// is given, if it has one.
func (o *ownRecords) entry(root string) (query.Entry, bool) {
	text, ok := strings.CutPrefix(root, records.ProvidersKeyPrefix)
	if !ok {
		return query.Entry{}, false
	}
	key, err := keyText.DecodeString(text)
	if err != nil || len(key) == 0 || !o.has(key) {
		return query.Entry{}, false
	}
	now := binary.AppendVarint(nil, time.Now().UnixNano())
	return query.Entry{Key: root + "/" + o.self, Value: now, Size: len(now)}, true
}

// cachedSets is how many roots' providers kad-dht finds without asking the
// record store: its own default.
const cachedSets = 256

// providerCache is the cache of kad-dht's provider manager. It leaves out the
// roots that this node has itself, so that it never outlives that.
type providerCache struct {
	*simplelru.LRU[any, any]
	own *ownRecords
}

func newProviderCache(own *ownRecords) *providerCache {
	lru, err := simplelru.NewLRU[any, any](cachedSets, nil)
	if err != nil {
		panic("dht: " + err.Error()) // only for a size below 1
	}
	return &providerCache{lru, own}
}

func (c *providerCache) ours(key any) bool {
	s, ok := key.(string)
	return ok && c.own.has(mh.Multihash(s))
}

// Add caches the providers of a root, unless this node is one.
func (c *providerCache) Add(key, providers any) bool {
	return !c.ours(key) && c.LRU.Add(key, providers)
}

// Get returns the providers of a root if they are cached and without this node.
func (c *providerCache) Get(key any) (any, bool) {
	if c.ours(key) {
		c.Remove(key)
		return nil, false
	}
	return c.LRU.Get(key)
}
