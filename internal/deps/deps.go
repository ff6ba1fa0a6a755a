//go:build deps

// Package deps keeps the modules pinned while the folders that need them are being written.
package deps

import (
	_ "github.com/cockroachdb/datadriven"
	_ "github.com/dustin/go-humanize"
	_ "github.com/hashicorp/golang-lru/v2"
	_ "github.com/ipfs/boxo/ipld/merkledag"
	_ "github.com/ipfs/boxo/ipld/merkledag/pb"
	_ "github.com/ipfs/boxo/ipld/unixfs"
	_ "github.com/ipfs/boxo/ipld/unixfs/hamt"
	_ "github.com/ipfs/boxo/ipld/unixfs/pb"
	_ "github.com/ipfs/go-cid"
	_ "github.com/ipfs/go-datastore"
	_ "github.com/libp2p/go-libp2p"
	_ "github.com/libp2p/go-libp2p-kad-dht"
	_ "github.com/libp2p/go-libp2p/x/simlibp2p"
	_ "github.com/marcopolo/simnet"
	_ "github.com/multiformats/go-multiaddr"
	_ "github.com/multiformats/go-multihash"
	_ "github.com/pelletier/go-toml/v2"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/twmb/murmur3"
	_ "github.com/urfave/cli/v2"
	_ "github.com/vbauerster/mpb/v8"
	_ "go.etcd.io/bbolt"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/time/rate"
	_ "google.golang.org/protobuf/proto"
)
