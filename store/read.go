package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
)

// Have tells which of keys can be read.
func (d *Disk) Have(keys []merkle.Key) []bool {
	have := make([]bool, len(keys))
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	// In the order of the index a million look-ups take a fraction of the time.
	slices.SortFunc(order, func(a, b int) int { return bytes.Compare(keys[a][:], keys[b][:]) })
	_ = d.view(func(t tx) error { // the only error is that of a closed store, which has nothing
		c := t.in(leavesBucket).Cursor()
		for _, i := range order {
			k, _ := c.Seek(keys[i][:])
			have[i] = bytes.HasPrefix(k, keys[i][:])
		}
		return nil
	})
	for i, k := range keys {
		have[i] = have[i] || isEmptyLeaf(k) || d.locs.isLive(k)
	}
	return have
}

// ReadPiece reads the whole leaf block of key into buf and hashes it. When one
// place no longer has the bytes it is withdrawn and the next is tried:
// ErrChanged if none is left, ErrNotFound if there was none. An error of the
// disk that may pass withdraws nothing.
//
// Whether a file still is in the state it was added in decides only whether it
// is opened anew: what counts is the hash, so a file that was merely touched,
// moved back or given another mode goes on being served.
func (d *Disk) ReadPiece(ctx context.Context, key merkle.Key, buf []byte) ([]byte, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if at, ok := d.locs.get(key); ok {
		if b, err := d.readAt(&at, buf); err == nil {
			return b, nil
		}
	}
	return d.search(key, buf)
}

// search reads a leaf from the first place that still has it.
func (d *Disk) search(key merkle.Key, buf []byte) ([]byte, error) {
	if isEmptyLeaf(key) {
		return buf[:0], nil
	}
	gen := d.locs.generation()
	var places []located
	err := d.view(func(t tx) (err error) {
		places, err = t.leaf(key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read piece %v: %w", key, err)
	}
	if at, ok := d.locs.get(key); ok && !slices.ContainsFunc(places, func(o located) bool { return o.file == at.file }) {
		places = append(places, at)
	}
	var last error = ErrNotFound
	for i := range places {
		b, err := d.readAt(&places[i], buf)
		if err == nil {
			d.locs.remember(places[i], gen)
			return b, nil
		}
		last = err
		if passing(err) {
			continue
		}
		if err := d.withdraw(places[i]); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("read piece %v: %w", key, last)
}

// readAt reads and hashes a leaf at one place: ErrChanged when it is not there
// any more.
func (d *Disk) readAt(at *located, buf []byte) ([]byte, error) {
	h, err := d.openFile(at.file)
	if err != nil {
		return nil, err
	}
	defer d.files.release(h)
	d.cached.touch(at.file)
	size := at.loc.size()
	buf = slices.Grow(buf[:0], size)[:size]
	n := copy(buf, at.loc.Prefix)
	payload := buf[n : n+at.loc.Payload]
	copy(buf[n+at.loc.Payload:], at.loc.Suffix)
	if _, err := d.layer.readAt(h.file, payload, at.loc.Off); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s is shorter now: %w", h.file.Name(), ErrChanged)
		}
		return nil, diskErr("read", h.file.Name(), err)
	}
	p := merkle.Piece{Key: at.key, Size: size, Payload: at.loc.Payload}
	if _, err := p.Verify(buf); err != nil {
		return nil, fmt.Errorf("%s at byte %d: %w", h.file.Name(), at.loc.Off, ErrChanged)
	}
	return buf, nil
}

// openFile returns the file's handle. One whose file changed since it was
// opened is opened anew, because its name may stand for another file now.
func (d *Disk) openFile(file uint64) (*handle, error) {
	if h := d.files.acquire(file); h != nil {
		if s, err := stateOf(h.file); err == nil && s.same(h.state) && s.linked {
			return h, nil
		}
		d.files.release(h)
		d.files.drop(file)
	}
	f, err := d.openNow(file)
	if err != nil {
		return nil, err
	}
	s, err := stateOf(f)
	if err == nil && !s.regular {
		err = fmt.Errorf("no regular file any more: %w", ErrChanged)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("open %s: %w", f.Name(), err)
	}
	return d.files.insert(file, f, s), nil
}

// openNow opens a file where it stands. A download may get its final name
// between the look for its path and the opening: under the old one there is
// nothing then, or the version that was replaced.
func (d *Disk) openNow(file uint64) (*os.File, error) {
	for {
		path, err := d.pathOf(file)
		if err != nil {
			return nil, err
		}
		f, err := d.layer.open(path)
		switch {
		case !d.still(file, path):
			if err == nil {
				_ = f.Close() // nothing was written
			}
		case err == nil:
			return f, nil
		case gone(err):
			return nil, fmt.Errorf("%s is not there any more: %w", path, ErrChanged)
		default:
			return nil, diskErr("open", path, err)
		}
	}
}

// still tells whether a file stands at path; false while it is being renamed,
// so that what is open can be closed, without which Windows does not rename.
func (d *Disk) still(file uint64, path string) bool {
	w := d.writerOf(file)
	if w == nil {
		now, err := d.pathOf(file)
		return err != nil || now == path
	}
	t, ok := w.out.(*target)
	if !ok {
		return true
	}
	if !t.mu.TryRLock() {
		return false
	}
	defer t.mu.RUnlock()
	return t.at(int(file-t.first)) == path
}

// gone tells whether an error of open says that another thing or nothing is
// there now. Any other may pass: a permission, a limit, a disk that is asleep.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

func passing(err error) bool { return !errors.Is(err, ErrChanged) && !errors.Is(err, ErrNotFound) }

// withdraw takes one leaf in one file out of the index, and out of the count
// of its root if that has no other.
func (d *Disk) withdraw(at located) error {
	d.locs.dropLive([]located{at})
	d.forgetWritten(at)
	err := d.update(func(t tx) error {
		leaves, key := t.in(leavesBucket), leafKey(at.key, at.file)
		if leaves.Get(key) == nil {
			return nil
		}
		if err := leaves.Delete(key); err != nil {
			return err
		}
		f, err := t.file(at.file)
		if err != nil {
			return err
		}
		p, err := t.place(f.Place)
		if err != nil {
			return err
		}
		return t.lose(p.Root, at.key)
	})
	d.locs.purge()
	return err
}

// lose counts a piece less for a root that has no other place of it.
func (t tx) lose(root []byte, key merkle.Key) error {
	r, err := t.root(root)
	if err != nil {
		return err
	}
	if held, err := t.holds(r, key); held || err != nil {
		return err
	}
	r.Have = max(0, r.Have-1)
	if r.State == Complete {
		r.State = Damaged
	}
	return t.putRoot(root, r)
}

// isEmptyLeaf tells the raw leaf of an empty file, which is held always.
func isEmptyLeaf(k merkle.Key) bool {
	return k[0] == cid.Raw && [sha256.Size]byte(k[1:]) == emptyDigest
}

// emptyDigest is the SHA-256 of nothing.
var emptyDigest = sha256.Sum256(nil)
