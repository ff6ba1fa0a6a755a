package node

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/shoal-p2p/shoal/merkle"
)

// maxKeyFile bounds what is read of a key file; ours have 68 bytes.
const maxKeyFile = 1 << 10

// CreateKey makes a publisher's key in a new file that its owner alone can read,
// in libp2p's format, and makes it durable: whoever has lost it has lost the
// name. It overwrites nothing.
func CreateKey(path string) (merkle.Publisher, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return merkle.Publisher{}, fmt.Errorf("%s exists and is left alone: a key that is overwritten is lost: %w", path, err)
	}
	if err != nil {
		return merkle.Publisher{}, fmt.Errorf("make the key: %w", err)
	}
	p, err := writeKey(f)
	if err = errors.Join(err, f.Close()); err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return p, errors.Join(fmt.Errorf("make the key: %w", err), os.Remove(path))
	}
	return p, nil
}

// writeKey makes a key and writes it to f.
func writeKey(f *os.File) (merkle.Publisher, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return merkle.Publisher{}, err
	}
	b, err := crypto.MarshalPrivateKey(key)
	if err == nil {
		_, err = f.Write(b)
	}
	if err != nil {
		return merkle.Publisher{}, err
	}
	raw, err := key.GetPublic().Raw()
	if err != nil {
		return merkle.Publisher{}, err
	}
	return merkle.Publisher(raw), errors.Join(f.Chmod(0o600), f.Sync())
}

// ReadKey reads what CreateKey wrote. ErrUsage when the file holds no such key.
func ReadKey(path string) (ed25519.PrivateKey, merkle.Publisher, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, merkle.Publisher{}, fmt.Errorf("read the key: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, merkle.Publisher{}, fmt.Errorf("read the key: %w", err)
	}
	key, err := crypto.UnmarshalPrivateKey(b)
	if err != nil || key.Type() != crypto.Ed25519 {
		return nil, merkle.Publisher{}, fmt.Errorf("%w: %s holds no Ed25519 key; 'shoal key create FILE' makes one", ErrUsage, path)
	}
	private, err := key.Raw()
	if err != nil {
		return nil, merkle.Publisher{}, fmt.Errorf("read the key: %w", err)
	}
	return ed25519.PrivateKey(private), merkle.Publisher(private[ed25519.SeedSize:]), nil
}

// syncDir makes names in dir outlast a crash. Windows does that by itself, and
// opens no directory for it.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
