package exchange

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/shoal-p2p/shoal/internal/testnet"
)

// A peer opens its stream although it has taken ours. The one that the lower
// peer ID opened stays; of two that the peer opened, the newer one.
func TestTieBreak(t *testing.T) {
	for name, lower := range map[string]bool{"our ID is lower": true, "the peer's ID is lower": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hosts := testnet.New(t, 2, testnet.Config{})
				us, them := hosts[0], hosts[1]
				if (us.ID() < them.ID()) != lower {
					us, them = them, us
				}
				n := newNode(t, us, Config{})
				them.SetStreamHandler(n.x.control, func(st network.Stream) { newRawPeer(t, them, n, st).greet(1) })
				ours, err := n.x.Session(t.Context(), testnet.Info(them))
				if err != nil {
					t.Fatal(err)
				}
				st, err := them.NewStream(t.Context(), us.ID(), n.x.control)
				if err != nil {
					t.Fatal(err)
				}
				p := newRawPeer(t, them, n, st)
				p.say(helloMessage(2))
				if lower {
					for p.hear() != nil { // a greeting perhaps, and the end
					}
					if n.x.session(them.ID()) != ours || ours.ctx.Err() != nil {
						t.Error("our stream did not stay")
					}
					return
				}
				time.Sleep(time.Second)
				now := n.x.session(them.ID())
				if now == nil || now == ours || now.remote != 2 || ours.ctx.Err() == nil {
					t.Fatal("the peer's stream did not take the place of ours")
				}
				handshake(t, them, n, 3)
				time.Sleep(time.Second)
				if newer := n.x.session(them.ID()); newer == nil || newer.remote != 3 || now.ctx.Err() == nil {
					t.Error("the newer stream did not take the place of the older one")
				}
			})
		})
	}
}
