package dht_test

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/dht"
)

// One node has a root, another finds it. In a node, dht.NewKad takes the place
// of the registry.
func Example() {
	var swarm dht.Registry
	addr := ma.StringCast("/ip4/192.168.1.5/tcp/7461")
	holder := swarm.Join(peer.AddrInfo{ID: "holder", Addrs: []ma.Multiaddr{addr}})
	finder := swarm.Join(peer.AddrInfo{ID: "finder"})

	root := cid.MustParse("bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4")
	ctx := context.Background()
	if err := holder.Provide(ctx, root); err != nil {
		fmt.Println(err)
	}
	for p := range finder.Find(ctx, root, 0) {
		fmt.Println(string(p.ID), p.Addrs[0])
	}
	// Output: holder /ip4/192.168.1.5/tcp/7461
}
