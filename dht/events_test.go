package dht_test

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
)

// emitAddrs tells h's subscribers that its addresses have changed.
func emitAddrs(t *testing.T, h host.Host) {
	t.Helper()
	em, err := h.EventBus().Emitter(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		t.Fatal(err)
	}
	defer em.Close()
	if err := em.Emit(event.EvtLocalAddressesUpdated{}); err != nil {
		t.Fatal(err)
	}
}
