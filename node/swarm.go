package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/swarm"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// errOpen says that a verb of private swarms has nothing to do in a directory.
var errOpen = fmt.Errorf("%w: this directory is not in a private swarm; make one by 'shoal swarm create NAME', or join one by 'shoal swarm join INVITE'", ErrUsage)

// SwarmDir is where the node of the private swarm called name lives below dir, so
// that one machine can be in several. ErrUsage if no swarm can be called so.
func SwarmDir(dir, name string) (string, error) {
	if err := membership.CheckName(name); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return filepath.Join(dir, "swarms", name), nil
}

// Private reports whether dir is in a private swarm.
func Private(dir string) bool { return swarm.Exists(dir) }

// enterSwarm makes or joins the private swarm that the configuration names, and
// opens the one of the directory.
func (n *Node) enterSwarm(key crypto.PrivKey) error {
	create, join := n.cfg.Create, n.cfg.Join
	switch {
	case create != "" && join != "":
		return fmt.Errorf("%w: a node either creates a swarm or joins one", ErrUsage)
	case (create != "" || join != "") && !swarm.Exists(n.cfg.Dir):
		if err := n.sharesNothing(); err != nil {
			return err
		}
		forgetPeers(n.cfg.Dir)
	}
	var err error
	switch {
	case create != "" && !swarm.Exists(n.cfg.Dir):
		_, err = swarm.Create(n.cfg.Dir, create, n.cfg.Authority, key)
	case join != "":
		err = swarm.Join(n.cfg.Dir, join, key)
	}
	if err != nil {
		return err
	}
	n.private, err = swarm.Open(swarm.Config{Dir: n.cfg.Dir, Key: key, Log: n.log})
	if errors.Is(err, swarm.ErrNotPrivate) {
		return nil
	}
	if err != nil {
		return err
	}
	if create != "" && create != n.private.Name() {
		return fmt.Errorf("%w: %s is in the private swarm %q; give %q its own directory: --swarm %s", ErrUsage, n.cfg.Dir, n.private.Name(), create, create)
	}
	boot, err := addrInfos(n.private.Bootstrap())
	if err != nil {
		return fmt.Errorf("addresses of the invite: %w", err)
	}
	n.boot = append(n.boot, slices.DeleteFunc(boot, func(p peer.AddrInfo) bool { return p.ID == n.self })...)
	return nil
}

// forgetPeers drops who was met in the swarm that dir was in, the open one or a
// private one: the next one has nothing to do with them.
func forgetPeers(dir string) { _ = os.Remove(peersPath(dir)) }

// sharesNothing makes sure that nothing that was open becomes part of a private
// swarm, and the other way round, without anybody having said so.
func (n *Node) sharesNothing() error {
	roots, err := n.store.Roots()
	if err != nil {
		return fmt.Errorf("list roots: %w", err)
	}
	if len(roots) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s shares %d roots openly already, the first is %v; give the private swarm its own directory by --swarm NAME or --dir, or take them back first: shoal unshare CID",
		ErrUsage, n.cfg.Dir, len(roots), roots[0].CID)
}

// prefix comes before the names of all protocols.
func (n *Node) prefix() string {
	if n.private == nil {
		return ""
	}
	return n.private.Prefix()
}

// service is the name by which nodes of the same swarm find each other on a LAN.
func (n *Node) service() string {
	if n.private == nil {
		return ""
	}
	return n.private.Service()
}

// mayKeep is the DHT's filter for its routing table.
func (n *Node) mayKeep() func(peer.ID) bool {
	if n.private == nil {
		return nil
	}
	return n.private.Admitted
}

// mayAsk is the DHT's filter for peers that others name.
func (n *Node) mayAsk() func(peer.AddrInfo) bool {
	if n.private == nil {
		return nil
	}
	return func(p peer.AddrInfo) bool { return n.private.MayAsk(p.ID) }
}

// ownAddrs are this node's addresses for invites, at most 4.
func (n *Node) ownAddrs() []ma.Multiaddr {
	if n.host == nil {
		return nil
	}
	self := ma.StringCast("/p2p/" + n.ID())
	var out []ma.Multiaddr
	for _, a := range linkable(n.host.Addrs()) {
		if len(out) < 4 {
			out = append(out, a.Encapsulate(self))
		}
	}
	return out
}

// tellSwarm remembers where this node is reached, for invites made while it is
// not running.
func (n *Node) tellSwarm() {
	if n.private != nil {
		n.private.Told(n.ownAddrs())
	}
}

// SwarmInvite implements API.
func (n *Node) SwarmInvite(_ context.Context, opt InviteOptions) (string, error) {
	if n.private == nil {
		return "", errOpen
	}
	roles, err := membership.ParseRoles(opt.Roles)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return n.private.Invite(roles, opt.Expires, opt.Uses, n.ownAddrs())
}

// SwarmMembers implements API.
func (n *Node) SwarmMembers(context.Context) ([]SwarmMember, error) {
	if n.private == nil {
		return nil, errOpen
	}
	out := []SwarmMember{}
	for _, m := range n.private.Members() {
		v := SwarmMember{
			ID: m.ID.String(), Roles: m.Roles.String(), Expires: stamp(m.Expires), Seen: stamp(m.Seen),
			Self: m.Self, Connected: m.Connected, Provisional: m.Provisional, Revoked: m.Revoked,
		}
		if m.By != "" {
			v.By = m.By.String()
		}
		out = append(out, v)
	}
	return out, nil
}

// SwarmRevoke implements API.
func (n *Node) SwarmRevoke(_ context.Context, which []string) error {
	if n.private == nil {
		return errOpen
	}
	var ids []peer.ID
	for _, text := range which {
		id, err := revocable(text)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUsage, err)
		}
		if id == n.self {
			return fmt.Errorf("%w: %s is this node itself; to leave, stop it and use 'shoal swarm leave'", ErrUsage, text)
		}
		ids = append(ids, id)
	}
	return n.private.Revoke(ids...)
}

// revocable is the ID of a peer, of an invite, or of an invite's string.
func revocable(text string) (peer.ID, error) {
	if id, err := peer.Decode(strings.TrimSpace(text)); err == nil {
		return id, nil
	}
	t, err := membership.ParseToken(text)
	if err != nil {
		return "", fmt.Errorf("neither a peer ID nor an invite: %w", err)
	}
	_, id, err := membership.KeyFromSeed(t.Seed)
	return id, err
}

// LeaveSwarm takes the directory of a stopped node out of its private swarm:
// nothing is shared from it any more, so that the open swarm never gets what was
// private. Files of the user stay. It returns the swarm's name and how many
// roots were taken back.
func LeaveSwarm(ctx context.Context, cfg Config) (name string, roots int, err error) {
	cfg.Offline, cfg.Create, cfg.Join = true, "", ""
	n, err := Start(ctx, cfg)
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	if n.private == nil {
		return "", 0, errOpen
	}
	held, err := n.store.Roots()
	if err != nil {
		return "", 0, fmt.Errorf("list roots: %w", err)
	}
	for _, r := range held {
		if r.Pinned {
			if err := n.store.Unpin(r.CID); err != nil {
				return "", 0, fmt.Errorf("unpin %v: %w", r.CID, err)
			}
		}
		if err := n.store.Unshare(r.CID); err != nil {
			return "", 0, fmt.Errorf("unshare %v: %w", r.CID, err)
		}
	}
	if err := n.private.Leave(); err != nil {
		return "", 0, err
	}
	forgetPeers(cfg.Dir)
	return n.private.Name(), len(held), nil
}

// swarmStatus describes the private swarm.
func (n *Node) swarmStatus() SwarmStatus {
	st := n.private.Status()
	s := SwarmStatus{
		Name: st.Name, Private: true, ID: st.ID.String(), Roles: st.Membership.Roles.String(), Expires: stamp(st.Membership.NotAfter),
		Provisional: st.Membership.Provisional(), Members: st.Connected, Pending: st.Pending, Revoked: st.Revoked, Sequence: st.Sequence,
		Authority: st.Authority, Warnings: st.Warnings,
	}
	for _, in := range st.Invites {
		s.Invites = append(s.Invites, SwarmInvite{
			ID: in.ID, Roles: in.Roles.String(), Expires: stamp(in.Expires), Uses: in.Uses, Used: in.Used, Revoked: in.Revoked,
		})
	}
	return s
}

// stamp is a time for JSON, "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// guards are the host's options for its limits, which know members from strangers
// in a private swarm.
func guards(private *swarm.Swarm, limits network.ResourceManager) []libp2p.Option {
	var opts []libp2p.Option
	if private != nil {
		limits = private.Limit(limits)
		opts = append(opts, libp2p.ConnectionGater(private.Gater()))
	}
	return append(opts, libp2p.ResourceManager(limits))
}
