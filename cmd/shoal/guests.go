package main

import (
	"context"
	"io"
	"sync"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/node"
)

// guests is the node of this process as other commands of its directory use
// it: it counts the long verbs in progress, so that a get which has what it
// wanted does not pull the node from under another.
type guests struct {
	node.API

	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n falls to 0; nil while nobody waits
}

func newGuests(api node.API) *guests { return &guests{API: api} }

func (g *guests) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
}

func (g *guests) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n--; g.n == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// wait returns when no guest is left or ctx ends. It calls busy if it has to wait.
func (g *guests) wait(ctx context.Context, busy func()) {
	g.mu.Lock()
	if g.n == 0 {
		g.mu.Unlock()
		return
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	busy()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

func (g *guests) Add(ctx context.Context, path string, opt node.AddOptions) (node.Added, error) {
	g.enter()
	defer g.leave()
	return g.API.Add(ctx, path, opt)
}

func (g *guests) Publish(ctx context.Context, path string, opt node.PublishOptions) (node.Published, error) {
	g.enter()
	defer g.leave()
	return g.API.Publish(ctx, path, opt)
}

func (g *guests) Resolve(ctx context.Context, where string, opt node.FetchOptions) (node.Resolved, error) {
	g.enter()
	defer g.leave()
	return g.API.Resolve(ctx, where, opt)
}

func (g *guests) Fetch(ctx context.Context, target merkle.Target, opt node.FetchOptions) (*node.Result, error) {
	g.enter()
	defer g.leave()
	return g.API.Fetch(ctx, target, opt)
}

func (g *guests) Cat(ctx context.Context, target merkle.Target, from, to int64, w io.Writer, opt node.FetchOptions) error {
	g.enter()
	defer g.leave()
	return g.API.Cat(ctx, target, from, to, w, opt)
}

func (g *guests) List(ctx context.Context, target merkle.Target, opt node.FetchOptions) ([]node.Entry, error) {
	g.enter()
	defer g.leave()
	return g.API.List(ctx, target, opt)
}

func (g *guests) Find(ctx context.Context, target merkle.Target, opt node.FetchOptions, found func(node.Provider)) error {
	g.enter()
	defer g.leave()
	return g.API.Find(ctx, target, opt, found)
}

func (g *guests) Pin(ctx context.Context, target merkle.Target, opt node.FetchOptions) (node.Pinned, error) {
	g.enter()
	defer g.leave()
	return g.API.Pin(ctx, target, opt)
}

func (g *guests) Doctor(ctx context.Context, opt node.DoctorOptions) ([]node.Check, error) {
	g.enter()
	defer g.leave()
	return g.API.Doctor(ctx, opt)
}

func (g *guests) Verify(ctx context.Context, root string, bad func(node.Bad)) error {
	g.enter()
	defer g.leave()
	return g.API.Verify(ctx, root, bad)
}
