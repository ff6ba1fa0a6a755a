package store

import (
	"os"
	"runtime"
)

// fileLayer is what the store asks of the file system where it may fail or
// where a crash may come between: tests put a failing one in its place.
type fileLayer interface {
	// open opens a file that is served.
	open(path string) (*os.File, error)
	readAt(f *os.File, b []byte, off int64) (int, error)
	writeAt(f *os.File, b []byte, off int64) (int, error)
	// sync makes the bytes of f durable.
	sync(f *os.File) error
	// syncTree makes the file system that holds dir durable; false if it cannot.
	syncTree(dir *os.File) (bool, error)
	// syncDir makes the names in a directory durable.
	syncDir(path string) error
	// create runs make, which gives path to something new.
	create(path string, make func() error) error
	// list returns the names in a directory below root.
	list(root *os.Root, rel string) ([]string, error)
	// change runs do, which changes what stands at path but not its bytes.
	change(path string, do func() error) error
	// erase deletes a file.
	erase(path string) error
	// commit runs a transaction on the index, which is done and durable, or not done at all.
	commit(do func() error) error
	// rename never replaces what stands at to.
	rename(from, to string) error
	// swap exchanges two names, or returns errors.ErrUnsupported.
	swap(a, b string) error
	// remove deletes one entry below root.
	remove(root *os.Root, rel string) error
}

type osLayer struct{}

func (osLayer) open(path string) (*os.File, error)                   { return openRead(path) }
func (osLayer) readAt(f *os.File, b []byte, off int64) (int, error)  { return readFull(f, b, off) }
func (osLayer) writeAt(f *os.File, b []byte, off int64) (int, error) { return writeSteps(f, b, off) }
func (osLayer) sync(f *os.File) error                                { return syncData(f) }
func (osLayer) syncTree(dir *os.File) (bool, error)                  { return syncTree(dir) }
func (osLayer) syncDir(path string) error                            { return syncDir(path) }
func (osLayer) create(_ string, make func() error) error             { return make() }
func (osLayer) list(root *os.Root, rel string) ([]string, error)     { return listNames(root, rel) }
func (osLayer) change(_ string, do func() error) error               { return do() }
func (osLayer) erase(path string) error                              { return os.Remove(path) }
func (osLayer) commit(do func() error) error                         { return do() }
func (osLayer) rename(from, to string) error                         { return renameNew(from, to) }
func (osLayer) swap(a, b string) error                               { return swapNames(a, b) }
func (osLayer) remove(root *os.Root, rel string) error               { return root.Remove(rel) }

func listNames(root *os.Root, rel string) ([]string, error) {
	dir, err := root.Open(rel)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// readFull is ReadAt, but a read of nothing is never an error.
func readFull(f *os.File, b []byte, off int64) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return n, nil
	}
	return n, err
}

// writeStep is the bytes of one write call. Linux makes a folio of the page cache
// as large as the write: folios of 1 MiB come from free memory that a virtual
// machine gave back to its host, and cost a fault there for each page. Writes of
// 64 KiB take what was used before. On such a machine 1 GiB took 0.25 to 1.3 s in
// steps of 1 MiB and 0.27 s in these.
const writeStep = 64 << 10

// writeSteps is WriteAt in steps of writeStep.
func writeSteps(f *os.File, b []byte, off int64) (n int, err error) {
	for err == nil && n < len(b) {
		var m int
		m, err = f.WriteAt(b[n:min(n+writeStep, len(b))], off+int64(n))
		n += m
	}
	return n, err
}

// hashers is how many files or chunks are read and hashed at once: two for a
// CPU, so that one is read while the other is hashed.
func hashers() int { return 2 * runtime.NumCPU() }
