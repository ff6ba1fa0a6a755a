package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/shoal-p2p/shoal/merkle"
	"golang.org/x/sync/errgroup"
)

// put writes the payload of a leaf block at every place of the piece and
// returns where it can be read, one place for each file.
func (t *target) put(piece int, block []byte) ([]located, error) {
	p := t.table.Pieces[piece]
	from, to, err := bounds(p, block)
	if err != nil {
		return nil, err
	}
	for _, at := range t.table.Places(piece) {
		if err := t.writeAt(at.Entry, block[from:to], at.Offset); err != nil {
			return nil, err
		}
	}
	return t.places(piece, clone(block[:from]), clone(block[to:])), nil
}

// bounds finds the payload in a leaf block.
func bounds(p merkle.Piece, block []byte) (from, to int, err error) {
	if len(block) != p.Size {
		return 0, 0, fmt.Errorf("write piece %v: %d bytes where the table says %d: %w", p.Key, len(block), p.Size, merkle.ErrMismatch)
	}
	if p.Payload == p.Size {
		return 0, len(block), nil
	}
	from, to, err = merkle.Unframe(p.Key, block)
	if err == nil && to-from != p.Payload {
		err = merkle.ErrMismatch
	}
	return from, to, err
}

func clone(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}

// syncFew is how many files are synced one by one; more go by the whole file
// system where that can be done. Measured on ext4 with the Go toolchain's tree,
// 15,000 files: 1.5 s one by one, eight at a time, and 0.2 s at once.
const syncFew = 32

// sync makes the bytes of files durable, so that they can be claimed.
func (t *target) sync(files []uint64) error {
	if len(files) > syncFew && t.root != nil {
		if did, err := t.syncAll(); did || err != nil {
			return err
		}
	}
	var g errgroup.Group
	g.SetLimit(8)
	for _, file := range files {
		g.Go(func() error { return t.syncFile(int(file - t.first)) })
	}
	return g.Wait()
}

func (t *target) syncFile(entry int) error {
	h, err := t.open(entry)
	if err != nil {
		return err
	}
	defer t.files.release(h)
	StartWriteback(h.file)
	if err := t.layer.sync(h.file); err != nil {
		return unsynced{diskErr("write", t.path(entry), err)}
	}
	return nil
}

// syncAll makes the whole tree durable at once; false where that cannot be done.
func (t *target) syncAll() (bool, error) {
	dir, err := t.root.Open(".")
	if err != nil {
		return false, diskErr("open", t.partial, err)
	}
	defer dir.Close()
	did, err := t.layer.syncTree(dir)
	if err != nil {
		return did, unsynced{diskErr("write", t.partial, err)}
	}
	return did, nil
}

// spoil changes a byte of each leaf, so that its hash tells that it is to be
// written again. That this fails, on a disk that fails, cannot be helped.
func (t *target) spoil(ls []located) {
	for _, l := range ls {
		if l.loc.Payload == 0 {
			continue
		}
		entry := int(l.file - t.first)
		if h, err := t.open(entry); err == nil {
			var b [1]byte
			_, err := t.layer.readAt(h.file, b[:], l.loc.Off)
			t.files.release(h)
			if err == nil {
				b[0] ^= 0xff
				_ = t.writeAt(entry, b[:], l.loc.Off)
			}
		}
	}
}

// finish makes everything durable and then gives it its final name. After a
// crash or an error it can be called again.
func (t *target) finish() error {
	if t.kind() == merkle.Symlink {
		return t.finishLink()
	}
	if err := t.seal(); err != nil {
		return err
	}
	if err := t.durable(); err != nil {
		return err
	}
	if !t.renamed {
		if err := t.move(t.rename); err != nil {
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s: %w: it came while the download ran, which is kept as %s", t.final, ErrExists, t.partial)
			}
			return diskErr("rename to", t.final, err)
		}
	}
	return t.syncParent()
}

func (t *target) syncParent() error {
	if err := t.layer.syncDir(filepath.Dir(t.final)); err != nil {
		return diskErr("write", filepath.Dir(t.final), err)
	}
	return nil
}

// finishLink makes the link itself; what stood for it until now is removed.
func (t *target) finishLink() error {
	target := filepath.FromSlash(t.table.Entries[0].Target)
	err := t.layer.create(t.final, func() error { return os.Symlink(target, t.final) })
	if err != nil {
		if !t.renamed || !t.isLink() {
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s: %w: delete it or choose another path", t.final, ErrExists)
			}
			return diskErr("create", t.final, err)
		}
	}
	if !t.renamed {
		if err := t.layer.erase(t.partial); err != nil {
			return diskErr("delete", t.partial, err)
		}
	}
	t.moved()
	return t.syncParent()
}

// seal sets modes and makes links, and looks whether every entry is there.
func (t *target) seal() error {
	for i := range t.table.Entries {
		e := &t.table.Entries[i]
		var err error
		switch {
		case e.Type == merkle.Symlink:
			err = t.link(e)
		case e.Mode != 0 || i == 0:
			err = t.chmod(e)
		}
		if err != nil {
			return diskErr("finish", t.path(i), err)
		}
	}
	return t.distinct()
}

// chmod gives an entry the tree's mode as tar does for a plain user: less the
// umask, without set-id and sticky bits, and never so that the owner is shut out.
func (t *target) chmod(e *merkle.Entry) error {
	mode := os.FileMode(0o666)
	own := os.FileMode(0o600)
	if e.Type == merkle.Directory {
		mode, own = 0o777, 0o700
	}
	if e.Mode != 0 {
		mode = os.FileMode(e.Mode) & 0o777
	}
	mode = mode&t.perm | own
	rel := filepath.FromSlash(e.Path)
	return t.layer.change(filepath.Join(t.partial, rel), func() error {
		if t.root == nil {
			return os.Chmod(t.partial, mode)
		}
		return t.root.Chmod(cmp.Or(rel, "."), mode)
	})
}

func (t *target) link(e *merkle.Entry) error {
	rel, to := filepath.FromSlash(e.Path), filepath.FromSlash(e.Target)
	err := t.layer.create(filepath.Join(t.partial, rel), func() error { return t.root.Symlink(to, rel) })
	if errors.Is(err, fs.ErrExist) {
		if have, rerr := t.root.Readlink(rel); rerr == nil && have == to {
			return nil // made before a crash
		}
	}
	return err
}

// durable is the last barrier before the rename: files, names and modes.
func (t *target) durable() error {
	if t.root == nil {
		return t.syncFile(0)
	}
	if did, err := t.syncAll(); did || err != nil {
		return err
	}
	for i := range t.table.Entries {
		var err error
		switch t.table.Entries[i].Type {
		case merkle.File:
			err = t.syncFile(i)
		case merkle.Directory:
			err = t.layer.syncDir(t.path(i))
		}
		if err != nil {
			return diskErr("write", t.path(i), err)
		}
	}
	return nil
}

// stand is where a file of the target stands now.
func (t *target) stand(file uint64) string { return t.path(int(file - t.first)) }

// close closes handles. What is written stays.
func (t *target) close() {
	t.files.dropRange(t.first, uint64(len(t.table.Entries)))
	if t.root != nil {
		_ = t.root.Close() // only a directory handle
	}
}

// check reads every place of a piece and tells whether all hold it.
func (t *target) check(piece int, prefix, suffix, buf []byte) bool {
	p := t.table.Pieces[piece]
	if len(prefix)+p.Payload+len(suffix) != p.Size {
		return false
	}
	for _, at := range t.table.Places(piece) {
		h, err := t.open(at.Entry)
		if err != nil {
			return false
		}
		b := append(buf[:0], prefix...)
		b = b[:len(prefix)+p.Payload]
		_, err = t.layer.readAt(h.file, b[len(prefix):], at.Offset)
		t.files.release(h)
		if err != nil {
			return false
		}
		if _, err := p.Verify(append(b, suffix...)); err != nil {
			return false
		}
	}
	return true
}

// written tells whether something may have been written at the first place of
// a piece; a hole has not.
func (t *target) written(piece int) bool {
	p := t.table.Pieces[piece]
	at := t.table.Places(piece)
	if len(at) == 0 {
		return false
	}
	h, err := t.open(at[0].Entry)
	if err != nil {
		return false
	}
	defer t.files.release(h)
	return nextData(h.file, at[0].Offset) < at[0].Offset+int64(max(1, p.Payload))
}
