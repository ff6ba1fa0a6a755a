package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// identity reads the node's Ed25519 key from dir, or makes it.
func identity(dir string) (crypto.PrivKey, error) {
	path := filepath.Join(dir, "identity.key")
	b, err := os.ReadFile(path)
	if err == nil {
		key, err := crypto.UnmarshalPrivateKey(b)
		if err != nil {
			return nil, fmt.Errorf("read identity %s: %w (delete it to get a new peer ID)", path, err)
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make identity: %w", err)
	}
	if b, err = crypto.MarshalPrivateKey(key); err != nil {
		return nil, fmt.Errorf("make identity: %w", err)
	}
	if err := writeFile(path, b, 0o600); err != nil {
		return nil, fmt.Errorf("keep identity: %w", err)
	}
	return key, nil
}

// writeFile replaces a small file whole: a crash leaves the old one or the new one.
func writeFile(path string, b []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed, as it should
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// peerID names the key.
func peerID(key crypto.PrivKey) (peer.ID, error) { return peer.IDFromPublicKey(key.GetPublic()) }
