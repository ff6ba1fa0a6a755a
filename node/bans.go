package node

import (
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	banTime = time.Hour // a peer may have been mended since
	maxBans = 1024      // an identity costs a liar nothing, so more would not help
)

var errBanned = errors.New("it lied within an hour")

// bans are the peers that lied: nothing is asked of them and they get no
// session, whatever root it is about. The zero value is ready for use.
type bans struct {
	mu    sync.Mutex
	until map[peer.ID]time.Time
}

// add bans a peer from now on. The oldest ban gives way when there are too many.
func (b *bans) add(now time.Time, p peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until == nil {
		b.until = map[peer.ID]time.Time{}
	}
	if _, again := b.until[p]; !again && len(b.until) >= maxBans {
		oldest := p
		for other, until := range b.until {
			if oldest == p || until.Before(b.until[oldest]) {
				oldest = other
			}
		}
		delete(b.until, oldest)
	}
	b.until[p] = now.Add(banTime)
}

// has reports whether a peer is banned.
func (b *bans) has(now time.Time, p peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	until, ok := b.until[p]
	if ok && !now.Before(until) {
		delete(b.until, p)
		return false
	}
	return ok
}
