package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// ErrNotRunning says that no node answers for a directory.
var ErrNotRunning = errors.New("no node is running")

// maxSocketPath is the longest path a socket is bound to or dialled by. Linux
// takes 107 bytes, macOS and the BSDs 103.
const maxSocketPath = 100

// socketPath is where the API socket of dir is looked for.
func socketPath(dir string) string { return filepath.Join(dir, "api.sock") }

// listenAPI binds the API socket of dir with mode 0600. A path too long for a
// socket becomes a symbolic link to one in a fresh private directory below the
// temporary directory. What is left of a dead node is replaced; a socket that
// takes connections is ErrRunning. The returned function removes all of it.
func listenAPI(dir string) (net.Listener, func() error, error) {
	path := socketPath(dir)
	if err := clearStale(path); err != nil {
		return nil, nil, err
	}
	bind, clean := path, func() error { return nil }
	if len(path) > maxSocketPath {
		private, err := os.MkdirTemp("", "shoal-")
		if err != nil {
			return nil, nil, fmt.Errorf("make a directory for the API socket: %w", err)
		}
		bind = filepath.Join(private, "api.sock")
		clean = func() error { return errors.Join(removeLink(path, bind), os.RemoveAll(private)) }
		if len(bind) > maxSocketPath {
			return nil, nil, errors.Join(clean(), fmt.Errorf("API socket: %q and the temporary directory %q are both too long for a socket; use a shorter directory", dir, os.TempDir()))
		}
	}
	l, err := net.Listen("unix", bind)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open the API socket: %w", err), clean())
	}
	if err = os.Chmod(bind, 0o600); err == nil && bind != path {
		err = os.Symlink(bind, path)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open the API socket: %w", err), l.Close(), clean())
	}
	return l, clean, nil
}

// clearStale removes a socket, or a link to one, that nobody answers on.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the API socket: %w", err)
	}
	// Windows shows sockets as irregular files.
	if info.Mode()&(fs.ModeSocket|fs.ModeSymlink|fs.ModeIrregular) == 0 {
		return fmt.Errorf("API socket: %s is not a socket; move it away", path)
	}
	if c, err := dialSocket(context.Background(), path); err == nil {
		c.Close()
		return fmt.Errorf("API socket %s: %w", path, ErrRunning)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace the API socket of a dead node: %w", err)
	}
	return nil
}

// removeLink removes path if it is still our link.
func removeLink(path, target string) error {
	if to, err := os.Readlink(path); err != nil || to != target {
		return nil
	}
	return os.Remove(path)
}

// dialSocket connects to the API socket at path, through the link that stands
// for it when path is too long.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	if len(path) > maxSocketPath {
		to, err := os.Readlink(path)
		if err != nil {
			return nil, err
		}
		path = to
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}
