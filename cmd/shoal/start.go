package main

import (
	"context"

	"github.com/shoal-p2p/shoal/node"
)

// start runs a node inside this process.
func start(ctx context.Context, cfg node.Config) (node.API, error) {
	n, err := node.Start(ctx, cfg)
	if err != nil {
		return nil, err // not n: a nil *Node in an API is not nil
	}
	return n, nil
}
