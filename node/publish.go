package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-buffer-pool"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
	"golang.org/x/sync/errgroup"
)

// Publish adds a file or directory, as Add does with Modes, and writes a signed
// manifest of it to opt.Out. One that stands there already is the version before:
// its root and its older ones become Previous. Of two manifests the later has the
// higher sequence: the microseconds since 1970, or one more than that of the version
// before if the clock is behind it.
func (n *Node) Publish(ctx context.Context, path string, opt PublishOptions) (Published, error) {
	key, publisher, err := ReadKey(opt.KeyFile)
	if err != nil {
		return Published{}, err
	}
	m := merkle.Manifest{Name: opt.Name, Version: opt.Version, Origins: opt.Origins, Bootstrap: opt.Bootstrap}
	if m.Name == "" {
		m.Name = filepath.Base(path)
	}
	if err := succeed(&m, publisher, opt.Out, time.Now()); err != nil {
		return Published{}, err
	}
	if err := checkManifest(m, key); err != nil {
		return Published{}, err
	}
	if !opt.Hidden && !opt.NoHidden {
		if err := noHidden(path); err != nil {
			return Published{}, err
		}
	}
	added, err := n.Add(ctx, path, AddOptions{Modes: true, Hidden: opt.Hidden, Progress: opt.Progress, Skip: opt.Skip})
	if err != nil {
		return Published{}, err
	}
	root, err := cid.Decode(added.CID)
	if err != nil {
		return Published{}, err
	}
	m.Previous = slices.DeleteFunc(m.Previous, root.Equals)
	m.Previous = m.Previous[:min(len(m.Previous), merkle.MaxPrevious)]
	file, err := n.seal(ctx, key, m, root)
	if err != nil {
		return Published{}, fmt.Errorf("publish %s: %w", path, err)
	}
	if err := writeFile(opt.Out, file, 0o644); err != nil {
		return Published{}, fmt.Errorf("write manifest: %w", err)
	}
	return Published{
		Signed: Signed{publisher.String(), m.Name, m.Version, m.Sequence},
		CID:    added.CID, Size: added.Size, Pieces: added.Pieces, Skipped: added.Skipped, Path: opt.Out,
	}, nil
}

// checkManifest finds what cannot be signed before hours are spent on hashing.
func checkManifest(m merkle.Manifest, key ed25519.PrivateKey) error {
	m.Root = merkle.UnixFSv1.Leaf(nil).CID
	m.Previous = nil
	for _, u := range m.Origins {
		if err := CheckOrigin(u); err != nil {
			return fmt.Errorf("%w: origin %q: %w", ErrUsage, u, err)
		}
	}
	for _, a := range m.Bootstrap {
		if err := CheckPeerAddr(a); err != nil {
			return fmt.Errorf("%w: bootstrap %q: %w", ErrUsage, a, err)
		}
	}
	if _, err := m.Sign(key); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return nil
}

// succeed makes m follow the manifest that stands at path, if any: the same
// publisher's, of the same name.
func succeed(m *merkle.Manifest, p merkle.Publisher, path string, now time.Time) error {
	m.Sequence = uint64(max(now.UnixMicro(), 1))
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the version before: %w", err)
	}
	defer f.Close()
	old, err := merkle.ReadSigned(f)
	switch {
	case err != nil:
		return fmt.Errorf("%s is left alone, for it is no signed manifest (%w); choose another name, or delete it: %w", path, err, fs.ErrExist)
	case old.Publisher != p:
		return fmt.Errorf("%s is left alone: another key has signed it, %v; choose another name: %w", path, old.Publisher, fs.ErrExist)
	case old.Name != m.Name:
		return fmt.Errorf("%s is left alone: it is of %q, not of %q; choose another name: %w", path, old.Name, m.Name, fs.ErrExist)
	}
	m.Sequence = max(m.Sequence, old.Sequence+1)
	m.Previous = append([]cid.Cid{old.Root}, old.Previous...)
	return nil
}

// noHidden refuses a path with names below it that begin with a dot: whether
// they are published must be said.
func noHidden(path string) error {
	base, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	err = filepath.WalkDir(base, func(at string, d fs.DirEntry, err error) error {
		if err == nil && at != base && d.Name()[0] == '.' {
			err = fmt.Errorf("%w: %s begins with a dot: say --hidden to publish such names, or --no-hidden to leave them out", ErrUsage, at)
		}
		return err
	})
	if err != nil && !errors.Is(err, ErrUsage) {
		return fmt.Errorf("publish: %w", err)
	}
	return err
}

// seal makes the file of a signed manifest of a root that is here.
func (n *Node) seal(ctx context.Context, key ed25519.PrivateKey, m merkle.Manifest, root cid.Cid) ([]byte, error) {
	tree, err := store.LoadTree(n.store, root)
	if err != nil {
		return nil, err
	}
	table, err := tree.Table()
	if err != nil {
		return nil, err
	}
	var digests []byte
	if table.SubHashesSize() <= merkle.MaxSubHashes {
		if digests, err = n.subHashes(ctx, table); err != nil {
			return nil, err
		}
	}
	envelope, err := m.Of(table, digests).Sign(key)
	if err != nil {
		return nil, err
	}
	file := merkle.AppendSigned(nil, envelope, root, tree.Blocks(), digests)
	if _, err := merkle.ReadSigned(bytes.NewReader(file)); err != nil {
		return nil, fmt.Errorf("what was signed cannot be read: %w", err)
	}
	return file, nil
}

// subHashes reads every piece and hashes its blocks, on all cores.
func (n *Node) subHashes(ctx context.Context, table *merkle.Table) ([]byte, error) {
	parts := make([][]byte, len(table.Pieces))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for i, p := range table.Pieces {
		g.Go(func() error {
			buf := pool.Get(p.Size)
			defer pool.Put(buf)
			block, err := n.store.ReadPiece(ctx, p.Key, buf)
			parts[i] = merkle.AppendSubHashes(nil, block)
			return err
		})
	}
	err := g.Wait()
	return slices.Concat(parts...), err
}
