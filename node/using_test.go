package node

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// tree writes a directory of n files of 100 kB; those in changed have other bytes.
func tree(t *testing.T, n int, changed ...int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	must(t, os.Mkdir(dir, 0o755))
	for i := range n {
		seed := uint64(1000 + i)
		for _, c := range changed {
			if c == i {
				seed += 5000
			}
		}
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%03d", i)), noise(seed, 100_000), 0o644))
	}
	return dir
}

// A second root that shares 95 of 100 pieces with the first costs the other five,
// whether the first was fetched by this node or stands on disk unknown to it.
func TestSharedPieces(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"held": true, "using": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := start(t), start(t)
			one, two := tree(t, 100), tree(t, 100, 3, 30, 31, 60, 99)
			opt := from(a)
			if known {
				if _, err := get(t, b, share(t, a, one, AddOptions{}), from(a)); err != nil {
					t.Fatal(err)
				}
			} else {
				opt.Using = []string{one}
			}
			r, err := get(t, b, share(t, a, two, AddOptions{}), opt)
			must(t, err)
			const missing = 5 * 100_000
			if got := total(r.From) - r.From.Disk.Bytes; got > missing*105/100 || r.From.Disk.Bytes != r.Size-missing {
				t.Errorf("fetched %d bytes, %d were missing; from %+v", got, missing, r.From)
			}
			checkSameTree(t, r.Path, two)
		})
	}
}

// What is named may be anything: only what verifies is taken from it.
func TestUsingDamaged(t *testing.T) {
	t.Parallel()
	data := noise(120, 5*mib+77)
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	old := append([]byte(nil), data...)
	old[mib+5] ^= 1
	opt := from(a)
	opt.Using = []string{put(t, "other", noise(121, 3*mib)), put(t, "old", old)}
	r := mustGet(t, b, target, opt, data)
	if r.From.LAN.Bytes != mib || r.From.Disk.Bytes != int64(len(data))-mib {
		t.Errorf("from %+v; want the damaged MiB from the peer and the rest from disk", r.From)
	}
}

// What cannot be looked at is an error before anything is looked for.
func TestUsingNothing(t *testing.T) {
	t.Parallel()
	b := start(t)
	target, _ := hash(t, put(t, "x", []byte("x")), AddOptions{})
	_, err := get(t, b, target, FetchOptions{Using: []string{filepath.Join(t.TempDir(), "none")}})
	as[*os.PathError](t, err)
}

// The search may take long: it says so, and only the deadline ends it.
func TestUsingTakesLong(t *testing.T) {
	t.Parallel()
	now := time.Now()
	d := &download{phase: creating, opt: FetchOptions{Using: []string{"a", "b"}}, useful: now, started: now, count: newTally()}
	if words, _ := d.waiting(now.Add(sayWaiting)); words != "waiting: looking for pieces in 2 paths given with --using" {
		t.Errorf("it says %q", words)
	}
	if err := d.gaveUp(now.Add(time.Hour)); err != nil {
		t.Errorf("it gave up: %v", err)
	}
	d.opt.Deadline = time.Minute
	as[*UnavailableError](t, d.gaveUp(now.Add(time.Hour)))
}
