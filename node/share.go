package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/ipfs/go-cid"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/shoal-p2p/shoal/internal/route"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// Add indexes a file or directory in place and announces it.
func (n *Node) Add(ctx context.Context, path string, opt AddOptions) (Added, error) {
	profile := merkle.UnixFSv1
	if opt.Profile != "" {
		var err error
		if profile, err = merkle.ProfileByName(opt.Profile); err != nil {
			return Added{}, fmt.Errorf("%w: %w", ErrUsage, err)
		}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return Added{}, err
	}
	var into store.Store = n.store
	keep := !opt.OnlyHash
	if !keep && opt.TreeFile != "" {
		aside, drop, err := throwaway()
		if err != nil {
			return Added{}, err
		}
		defer drop()
		into, keep = aside, true
	}
	skipped := 0
	root, err := into.Add(ctx, abs, store.AddOptions{
		Profile: profile, Hidden: opt.Hidden, Modes: opt.Modes, Copy: opt.Copy, OnlyHash: !keep,
		Progress: opt.Progress,
		Skipped: func(path, why string) {
			skipped++
			if opt.Skip != nil {
				opt.Skip(path, why)
			}
		},
	})
	if err != nil {
		return Added{}, err
	}
	if opt.TreeFile != "" {
		if err := writeTree(into, root.CID, opt.TreeFile); err != nil {
			return Added{}, err
		}
	}
	out := Added{CID: root.CID.String(), Size: root.Size, Pieces: root.Pieces, Name: root.Name, Skipped: skipped}
	if !opt.OnlyHash {
		n.held(root.CID)
		n.announces.root(root.CID)
		out.Link = n.link(root.CID, root.Name)
	}
	return out, nil
}

// held is called when a root has become complete here.
func (n *Node) held(c cid.Cid) {
	n.announce(c)
	if n.exchange != nil {
		n.exchange.Refresh(c)
	}
}

// throwaway is an index that holds a tree until it is written, and is dropped then.
func throwaway() (s store.Store, drop func(), err error) {
	dir, err := os.MkdirTemp("", "shoal-hash-*")
	if err != nil {
		return nil, nil, fmt.Errorf("make an index for the tree: %w", err)
	}
	disk, err := store.Open(dir, store.Config{})
	if err != nil {
		os.RemoveAll(dir)
		return nil, nil, err
	}
	return disk, func() {
		disk.Close() // it is thrown away
		os.RemoveAll(dir)
	}, nil
}

// writeTree writes the tree of a root that s holds as a .shoal file, for an origin.
func writeTree(s store.Store, c cid.Cid, path string) error {
	tree, err := store.LoadTree(s, c)
	if err != nil {
		return err
	}
	blocks := tree.Blocks()
	if err := writeFile(path, merkle.AppendCAR(nil, c, blocks), 0o644); err != nil {
		return fmt.Errorf("write tree: %w", err)
	}
	return nil
}

// link is the shoal: link by which others get c from this node.
func (n *Node) link(c cid.Cid, name string) string {
	const most = 4 // a link is typed, mailed and pasted
	t := merkle.Target{Root: c, Name: name}
	if n.host != nil {
		for _, a := range linkable(n.host.Addrs()) {
			if len(t.Peers) < most {
				t.Peers = append(t.Peers, a.String()+"/p2p/"+n.ID())
			}
		}
	}
	return t.String()
}

// linkable are the addresses that mean something on another machine: those of
// loopback only when there are no others, as in labs. A name comes first, since a
// link has room for a few: it is what the most restricted sites can dial.
func linkable(addrs []ma.Multiaddr) []ma.Multiaddr {
	far := slices.DeleteFunc(slices.Clone(addrs), manet.IsIPLoopback)
	order := func(a ma.Multiaddr) int {
		if route.WebSocket(a) && transportName(a) != "p2p-circuit" {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(far, func(a, b ma.Multiaddr) int { return order(a) - order(b) })
	if len(far) == 0 {
		return addrs
	}
	return far
}

// Unshare forgets a root: it is not served or announced any more.
func (n *Node) Unshare(_ context.Context, root string) error {
	c, err := parseRoot(root)
	if err != nil {
		return err
	}
	if err := n.store.Unshare(c); err != nil {
		return err
	}
	if n.announcer != nil {
		n.announcer.Remove(c)
		n.exchange.Forget(c)
	}
	return nil
}

// Verify re-hashes what is held of root ("" for everything) and tells bad of
// each piece that does not match. Such pieces are no longer served.
func (n *Node) Verify(ctx context.Context, root string, bad func(Bad)) error {
	c := cid.Undef
	if root != "" {
		var err error
		if c, err = parseRoot(root); err != nil {
			return err
		}
	}
	for b, err := range n.store.Verify(ctx, c) {
		if err != nil {
			return err
		}
		if n.exchange != nil {
			n.exchange.Refresh(b.Root)
		}
		bad(Bad{CID: b.Root.String(), Path: b.Path, Piece: b.Piece, Error: b.Err.Error()})
	}
	return nil
}

func parseRoot(s string) (cid.Cid, error) {
	t, err := merkle.ParseTarget(s)
	if err != nil {
		return cid.Undef, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return t.Root, nil
}
