package swarm

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// Create makes a private swarm called name with the node of key as its first
// member, which has every role, and keeps its state in dir. authority is the
// file of the swarm's own key: made if it is not there, read if it is, so that its
// swarm goes on. If it is "", dir/authority.key is made, and must not be there:
// without its lists of revocations a swarm should not go on unasked. It returns
// that file's path.
func Create(dir, name, authority string, key crypto.PrivKey) (string, error) {
	if err := membership.CheckName(name); err != nil {
		return "", err
	}
	if Exists(dir) {
		return "", fmt.Errorf("%s is in a private swarm already", dir)
	}
	path, err := filepath.Abs(cmp.Or(authority, filepath.Join(dir, "authority.key")))
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(path); authority == "" && err == nil {
		return "", fmt.Errorf("%s is the key of a swarm made before: move it to a safe place to make a new swarm, or run that one on, without what was revoked in it, by --authority %s", path, path)
	}
	root, err := authorityKey(path, true)
	if err != nil {
		return "", err
	}
	self, err := peer.IDFromPublicKey(key.GetPublic())
	if err != nil {
		return "", err
	}
	i, err := membership.Authority(root)
	if err != nil {
		return "", err
	}
	chain, err := i.Grant(time.Now(), self, membership.AllRoles, membership.Founder)
	if err != nil {
		return "", err
	}
	st := state{Version: 1, Name: name, ID: i.Swarm, Chain: membership.AppendChain(nil, chain), Authority: path}
	if err := mark(dir, st.ID); err != nil {
		return "", err
	}
	return path, st.save(dir)
}

// authorityKey reads the authority's key, or makes it.
func authorityKey(path string, make bool) (crypto.PrivKey, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		key, err := crypto.UnmarshalPrivateKey(b)
		if err == nil && key.Type() != crypto.Ed25519 {
			err = errors.New("it is not an Ed25519 key")
		}
		if err != nil {
			return nil, fmt.Errorf("read the authority's key %s: %w", path, err)
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || !make {
		return nil, fmt.Errorf("read the authority's key: %w", err)
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the authority's key: %w", err)
	}
	if b, err = crypto.MarshalPrivateKey(key); err == nil {
		err = writeFile(path, b)
	}
	if err != nil {
		return nil, fmt.Errorf("keep the authority's key: %w", err)
	}
	return key, nil
}

// Join makes the node of key a provisional member by an invite's string, and
// keeps that in dir. It talks to nobody. In a directory that is in the invite's
// swarm already it changes nothing, unless the membership there has ended.
func Join(dir, invite string, key crypto.PrivKey) error {
	t, err := membership.ParseToken(invite)
	if err != nil {
		return fmt.Errorf("read the invite: %w", err)
	}
	id, err := t.Swarm()
	if err != nil {
		return fmt.Errorf("read the invite: %w", err)
	}
	now := time.Now()
	old, err := load(dir)
	switch {
	case err == nil && old.ID != id:
		return fmt.Errorf("%s is in the private swarm %q already; give the other one its own directory: --swarm %s", dir, old.Name, t.Name)
	case err == nil && old.standing(now, key):
		return nil
	case errors.Is(err, ErrLost):
		if was, e := marked(dir); e != nil || was != id.String() {
			return err
		}
		old = &state{}
	case errors.Is(err, ErrNotPrivate):
		old = &state{}
	case err != nil:
		return err
	}
	if _, err := membership.CheckInvite(now, t.Chain, nil); err != nil {
		return fmt.Errorf("the invite to %q does not count: %w; ask for a new one", t.Name, err)
	}
	self, err := peer.IDFromPublicKey(key.GetPublic())
	if err != nil {
		return err
	}
	chain, err := membership.Mint(now, t.Chain, t.Seed, self)
	if err != nil {
		return fmt.Errorf("use the invite: %w", err)
	}
	st := *old // what is revoked stays so, who was met is known
	st.Version, st.Name, st.ID, st.Chain, st.Addrs = 1, t.Name, id, membership.AppendChain(nil, chain), nil
	st.Before = nil
	for _, a := range t.Addrs {
		st.Addrs = append(st.Addrs, a.String())
	}
	if err := mark(dir, id); err != nil {
		return err
	}
	return st.save(dir)
}

// standing reports whether the state holds a membership of key's that counts.
func (st *state) standing(now time.Time, key crypto.PrivKey) bool {
	self, err := peer.IDFromPublicKey(key.GetPublic())
	if err != nil {
		return false
	}
	chain, err := membership.ParseChain(st.Chain)
	if err != nil {
		return false
	}
	_, err = membership.Check(now, st.ID, self, chain, nil)
	return err == nil
}

// Leave forgets the swarm: membership, lists and who was met. The authority's
// key stays. Nothing is saved afterwards.
func (s *Swarm) Leave() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = true
	for _, path := range []string{statePath(s.cfg.Dir), markPath(s.cfg.Dir)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget the swarm: %w", err)
		}
	}
	return syncDir(s.cfg.Dir)
}
