package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// foldLayer is a file system that takes names which differ in case for one: the
// second is a hard link to the first, which stands for it, and is not listed.
type foldLayer struct {
	osLayer

	mu   sync.Mutex
	made map[string]string // by the folded path
}

func (l *foldLayer) create(path string, make func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	folded := strings.ToLower(path)
	first, taken := l.made[folded]
	if !taken {
		err := make()
		if err == nil {
			l.made[folded] = path
		}
		return err
	}
	if first != path {
		if err := os.Link(first, path); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return fs.ErrExist
}

func (l *foldLayer) list(root *os.Root, rel string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	names, err := l.osLayer.list(root, rel)
	return slices.DeleteFunc(names, func(name string) bool {
		path := filepath.Join(root.Name(), rel, name)
		return l.made[strings.ToLower(path)] != path
	}), err
}

// TestFoldedNames: on a file system that takes two entries for one, which the
// platform does not tell, nothing gets the final name, at once or resumed.
func TestFoldedNames(t *testing.T) {
	t.Parallel()
	if hostRules.fold {
		t.Skip("such a root is refused before")
	}
	src := filepath.Join(t.TempDir(), "src")
	for _, name := range []string{"README", "readme", "other"} {
		if err := os.MkdirAll(src, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(src, name), noise(int(name[0]), 3000))
	}
	c := load(t, src)
	for _, resumed := range []bool{false, true} {
		d := openDisk(t, t.TempDir())
		d.layer = &foldLayer{made: map[string]string{}}
		opt := CreateOptions{Path: filepath.Join(t.TempDir(), "out")}
		w := mustCreate(t, d, c, opt)
		if resumed {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			w = mustCreate(t, d, c, opt)
		}
		_, err := finish(t, w, c)
		if !errors.Is(err, ErrUnsafe) || !strings.Contains(strings.ToLower(err.Error()), `"readme"`) {
			t.Errorf("resumed %v: %v", resumed, err)
		}
		if _, err := os.Lstat(opt.Path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("resumed %v: it has its final name, %v", resumed, err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestListedOtherwise: a file system that lists names in another form than they
// were given, as HFS+ does, is not in the way.
func TestListedOtherwise(t *testing.T) {
	t.Parallel()
	src := small(t, 8)
	c := load(t, src)
	d := openDisk(t, t.TempDir())
	d.layer = shoutLayer{}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := finish(t, mustCreate(t, d, c, CreateOptions{Path: out}), c); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, out); !slices.Equal(got, listing(t, src)) {
		t.Errorf("got %q", got)
	}
}

type shoutLayer struct{ osLayer }

func (l shoutLayer) list(root *os.Root, rel string) ([]string, error) {
	names, err := l.osLayer.list(root, rel)
	for i := range names {
		names[i] = strings.ToUpper(names[i])
	}
	return names, err
}
