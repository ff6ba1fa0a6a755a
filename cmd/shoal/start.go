package main

import (
	"context"
	"errors"

	"github.com/shoal-p2p/shoal/node"
)

// start runs a node inside this process.
func start(_ context.Context, _ node.Config) (node.API, error) {
	return nil, errors.New("this build has no node")
}
