package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// What a reader fetches is the node's own: it stays as long as there is room
// for it. What was added, fetched to a path or pinned is the user's.

const (
	maxRoom  = 50e9 // bytes kept for readers unless configured
	roomPart = 10   // and at most this part of the disk that is free
)

// noRoomLimit is the limit of `--store-max unlimited`.
const noRoomLimit = math.MaxInt64

// sizeUnits are bytes. Prefixes are decimal, with Ki, Mi, Gi, Ti binary.
var sizeUnits = map[string]float64{
	"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}

// ParseSize reads a size as typed: 20GB, 1.5TiB, a number of bytes, off or
// unlimited; -1 is "", the default. The case of letters does not matter.
func ParseSize(s string) (int64, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	switch text {
	case "":
		return -1, nil
	case "off":
		return 0, nil
	case "unlimited":
		return noRoomLimit, nil
	}
	n, ok := amount(text, sizeUnits)
	if !ok {
		return 0, fmt.Errorf("size %q cannot be read; say 20GB, 500MiB, off or unlimited", s)
	}
	if n < 1 {
		return 0, fmt.Errorf("size %q is nothing at all; say off to keep nothing, unlimited to keep everything", s)
	}
	if n > math.MaxInt64/2 {
		return 0, fmt.Errorf("size %q is too large; say unlimited", s)
	}
	return int64(n), nil
}

// room is how many bytes are kept for readers.
func (n *Node) room() (int64, error) {
	limit, err := ParseSize(n.cfg.StoreMax)
	if err != nil {
		return 0, fmt.Errorf("%w: store-max: %w", ErrUsage, err)
	}
	if limit >= 0 {
		return limit, nil
	}
	used, err := n.store.Usage()
	if err != nil {
		return 0, err
	}
	free, err := store.FreeSpace(n.cfg.Dir)
	if err != nil {
		n.log.Debug("free space is unknown", "err", err)
		free = maxRoom
	}
	// What is kept now counts as free: else each start would have less room.
	return min(maxRoom, (free+used.Cached)/roomPart), nil
}

// makeRoom evicts until at most limit bytes are kept for readers, and stops
// serving and announcing what is gone.
func (n *Node) makeRoom(limit int64) []store.Freed {
	freed, err := n.store.Evict(limit)
	if err != nil {
		n.log.Warn("no room made", "err", err)
	}
	for _, f := range freed {
		n.log.Info("evicted", "root", f.Root, "bytes", f.Bytes)
		n.unlearn(f.Root)
	}
	return freed
}

// unlearn brings what is served and announced of a root in line with what the
// store still has of it. A root that is being fetched is left alone.
func (n *Node) unlearn(c cid.Cid) {
	if n.exchange == nil {
		return
	}
	n.mu.Lock()
	busy := n.active[nodeKey(c)] != nil
	n.mu.Unlock()
	if busy {
		return
	}
	if _, err := n.store.Root(c); err == nil {
		n.exchange.Refresh(c)
		return
	}
	n.announcer.Remove(c)
	n.exchange.Forget(c)
}

// settle is the end of a download: what was only read is held to its limit, and
// a root of which nothing was kept is announced no longer.
func (n *Node) settle(d *download) {
	if d.demand || d.opt.cached {
		n.makeRoom(n.storeMax)
	}
	for _, c := range []cid.Cid{d.target.Root, d.root} {
		if !c.Defined() {
			continue
		}
		if _, err := n.store.Root(c); errors.Is(err, store.ErrNotFound) {
			n.unlearn(c)
		}
	}
}

// Pin keeps the root of target whatever comes: it is not evicted, and Unshare
// refuses it. What is not here of it is fetched into the node's directory; that
// needs a network, so it is ErrOffline without.
func (n *Node) Pin(ctx context.Context, target merkle.Target, opt FetchOptions) (Pinned, error) {
	if len(target.Path) > 0 {
		return Pinned{}, fmt.Errorf("%w: pin takes a root: 'shoal ls' shows the CID of what is below one", ErrUsage)
	}
	p := Pinned{CID: target.Root.String()}
	r, err := n.store.Root(target.Root)
	if err != nil || r.State != store.Complete {
		if n.exchange == nil {
			return p, fmt.Errorf("pin %v: not all of it is here: %w", target.Root, ErrOffline)
		}
		opt.Output, opt.pin = "", true
		got, err := n.Fetch(ctx, target, opt)
		if err != nil {
			return p, fmt.Errorf("pin: %w", err)
		}
		p.Fetched = got.Size - got.From.Disk.Bytes
	} else if err := n.store.Pin(target.Root); err != nil {
		return p, err
	}
	r, err = n.store.Root(target.Root)
	p.Name, p.Size = r.Name, r.Size
	return p, err
}

// Unpin takes Pin back. What Pin fetched may be evicted then.
func (n *Node) Unpin(_ context.Context, root string) error {
	c, err := parseRoot(root)
	if err != nil {
		return err
	}
	return n.store.Unpin(c)
}

// Collect deletes all that is kept for readers alone, and files of the node's
// directory that no root has. What somebody reads now stays.
func (n *Node) Collect(context.Context) (Collected, error) {
	out := Collected{Freed: []Freed{}}
	freed, err := n.store.Evict(0)
	for _, f := range freed {
		n.unlearn(f.Root)
		out.Bytes += f.Bytes
		out.Freed = append(out.Freed, Freed{CID: f.Root.String(), Name: f.Name, Bytes: f.Bytes})
	}
	if err != nil {
		return out, err
	}
	if out.Leftover, err = n.store.Leftover(); err != nil {
		return out, err
	}
	out.Bytes += out.Leftover
	u, err := n.store.Usage()
	out.Cached, out.Pinned = u.Cached, u.Pinned
	return out, err
}
