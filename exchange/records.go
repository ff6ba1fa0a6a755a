package exchange

import (
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
)

// records are the signed peer records that peers gave of themselves, kept to
// tell others of them. The peerstore does not keep them: identify only gives
// them to who listens. They are not put there, because it would believe all
// their addresses.
type records struct {
	byPeer *lru.Cache[peer.ID, []byte]
}

const recordsKept = 1024 // of at most maxRecord bytes

func newRecords() *records {
	c, err := lru.New[peer.ID, []byte](recordsKept)
	if err != nil {
		panic("exchange: " + err.Error()) // only for a size below one
	}
	return &records{c}
}

// keepRecords notes the record of each peer that is identified.
func (x *Exchange) keepRecords() {
	sub, err := x.host.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		x.log.Warn("peers are not introduced to each other", "err", err)
		return
	}
	defer sub.Close()
	for {
		select {
		case ev, ok := <-sub.Out():
			if !ok {
				return
			}
			x.identified(ev.(event.EvtPeerIdentificationCompleted))
		case <-x.ctx.Done():
			return
		}
	}
}

// record is the signed peer record of a peer, nil if it gave none.
func (x *Exchange) record(p peer.ID) []byte {
	b, _ := x.records.byPeer.Get(p)
	return b
}
