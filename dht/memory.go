package dht

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	mh "github.com/multiformats/go-multihash"
)

// Registry is what the Memory routers of one process share: who has what. The
// zero value is an empty swarm.
type Registry struct {
	mu      sync.Mutex
	members map[peer.ID]peer.AddrInfo
	roots   map[string]map[peer.ID]bool // multihash -> providers
}

// Memory is a Router inside one process, for tests of what uses one: no
// network, no delay, no expiry, everybody a server.
type Memory struct {
	reg  *Registry
	self peer.ID
}

var _ Router = (*Memory)(nil)

// Join adds a node to the swarm. self.Addrs is what others find.
func (r *Registry) Join(self peer.AddrInfo) *Memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members == nil {
		r.members = make(map[peer.ID]peer.AddrInfo)
		r.roots = make(map[string]map[peer.ID]bool)
	}
	r.members[self.ID] = self
	return &Memory{reg: r, self: self.ID}
}

// Provide records that this node has c.
func (m *Memory) Provide(ctx context.Context, c cid.Cid) error {
	if !c.Defined() {
		return errors.New("announce: no content ID given")
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("announce %s: %w", c, err)
	}
	m.reg.mu.Lock()
	defer m.reg.mu.Unlock()
	if m.size() == 0 {
		return fmt.Errorf("announce %s: %w", c, ErrNoPeers)
	}
	provs := m.reg.roots[string(c.Hash())]
	if provs == nil {
		provs = make(map[peer.ID]bool)
		m.reg.roots[string(c.Hash())] = provs
	}
	provs[m.self] = true
	return nil
}

// ProvideMany records that this node has what each of keys names.
func (m *Memory) ProvideMany(ctx context.Context, keys []mh.Multihash) (Cost, error) {
	keys = distinct(keys)
	for _, key := range keys {
		if len(key) == 0 {
			return Cost{}, errors.New("announce: no content ID given")
		}
		if err := m.Provide(ctx, cid.NewCidV1(cid.Raw, key)); err != nil {
			return Cost{}, err
		}
	}
	peers := m.Size()
	return Cost{Keys: len(keys), Records: len(keys) * peers, Peers: peers}, nil
}

// Withdraw removes what Provide recorded.
func (m *Memory) Withdraw(c cid.Cid) {
	m.reg.mu.Lock()
	defer m.reg.mu.Unlock()
	if c.Defined() {
		delete(m.reg.roots[string(c.Hash())], m.self)
	}
}

// Find sends the providers known when it is called, in random order.
func (m *Memory) Find(ctx context.Context, c cid.Cid, limit int) <-chan peer.AddrInfo {
	found := m.providers(c)
	if limit > 0 && len(found) > limit {
		found = found[:limit]
	}
	out := make(chan peer.AddrInfo)
	go func() {
		defer close(out)
		for _, p := range found {
			select {
			case out <- p:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (m *Memory) providers(c cid.Cid) []peer.AddrInfo {
	m.reg.mu.Lock()
	defer m.reg.mu.Unlock()
	if !c.Defined() || m.size() == 0 {
		return nil
	}
	var out []peer.AddrInfo
	for id := range m.reg.roots[string(c.Hash())] {
		p, here := m.reg.members[id]
		if here && id != m.self && len(p.Addrs) > 0 {
			out = append(out, peer.AddrInfo{ID: id, Addrs: slices.Clone(p.Addrs)})
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// size is the number of other members, 0 once this one has left. The registry's
// mu is held.
func (m *Memory) size() int {
	if _, here := m.reg.members[m.self]; !here {
		return 0
	}
	return len(m.reg.members) - 1
}

// Size is the number of other nodes in the swarm.
func (m *Memory) Size() int {
	m.reg.mu.Lock()
	defer m.reg.mu.Unlock()
	return m.size()
}

// Mode is always ModeServer.
func (m *Memory) Mode() string { return ModeServer }

// Close leaves the swarm, with everything that this node provides.
func (m *Memory) Close() error {
	m.reg.mu.Lock()
	defer m.reg.mu.Unlock()
	delete(m.reg.members, m.self)
	maps.DeleteFunc(m.reg.roots, func(_ string, provs map[peer.ID]bool) bool {
		delete(provs, m.self)
		return len(provs) == 0
	})
	return nil
}
