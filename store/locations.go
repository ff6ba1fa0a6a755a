package store

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/shoal-p2p/shoal/merkle"
)

// cachedLeaves is how many leaves the serving path finds without asking the
// index, about 3 MB of them.
const cachedLeaves = 16 << 10

// locations are the leaves that can be found without a transaction: those
// written and not yet claimed in the index (live), and those read lately.
type locations struct {
	mu     sync.Mutex
	live   map[merkle.Key]located
	recent *simplelru.LRU[merkle.Key, located]
	gen    uint64 // of recent; a purge begins a new one
}

func newLocations() *locations {
	recent, err := simplelru.NewLRU[merkle.Key, located](cachedLeaves, nil)
	if err != nil {
		panic("store: " + err.Error()) // only for a size below 1
	}
	return &locations{live: map[merkle.Key]located{}, recent: recent}
}

func (l *locations) get(k merkle.Key) (located, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.recent.Get(k); ok {
		return at, true
	}
	at, ok := l.live[k]
	return at, ok
}

func (l *locations) isLive(k merkle.Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.live[k]
	return ok
}

// generation is read before a transaction whose result goes to remember.
func (l *locations) generation() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gen
}

// remember caches what a transaction found, unless something was purged since
// the transaction began.
func (l *locations) remember(at located, gen uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if gen == l.gen {
		l.recent.Add(at.key, at)
	}
}

func (l *locations) putLive(at located) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.live[at.key]; !ok {
		l.live[at.key] = at
	}
}

// dropLive removes the live leaves of ls that are in the files named there:
// they are in the index now, or lost.
func (l *locations) dropLive(ls []located) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range ls {
		if l.live[at.key].file == at.file {
			delete(l.live, at.key)
		}
	}
}

// purge forgets what was read lately.
func (l *locations) purge() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gen++
	l.recent.Purge()
}
