package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
)

const mountEnv = "SHOAL_TEST_MOUNT"

// TestRealDisk fills a small file system, and mounts it read-only, under a store.
// The mounts are those of a process of its own, and end with it.
func TestRealDisk(t *testing.T) {
	if os.Getenv(mountEnv) != "" {
		realDisk(t)
		return
	}
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("mounting takes root")
	}
	if err := exec.Command("unshare", "-m", "true").Run(); err != nil {
		t.Skipf("no mount namespace here: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "unshare", "-m", os.Args[0], "-test.run=^TestRealDisk$", "-test.v")
	c.Env = append(os.Environ(), mountEnv+"="+t.TempDir())
	if out, err := c.CombinedOutput(); err != nil || bytes.Contains(out, []byte("--- SKIP")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func realDisk(t *testing.T) {
	disk := os.Getenv(mountEnv)
	mount(t, "-t", "tmpfs", "-o", "size=4m", "none", disk)
	store := filepath.Join(disk, "store")
	mine := sample(t, 3)
	c := load(t, sample(t, 3)) // the same content
	d, err := Open(store, Config{})
	if err != nil {
		t.Fatal(err)
	}
	small := filepath.Join(t.TempDir(), "small")
	write(t, small, noise(500, 3000))
	kept := mustAdd(t, d, small, AddOptions{Copy: true})
	full(t, d, disk, c)
	r := mustAdd(t, d, mine, AddOptions{})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	mount(t, "-o", "remount,ro", disk)
	if d, err = Open(store, Config{}); err != nil {
		t.Fatalf("read-only: %v", err)
	}
	for bad, err := range d.Verify(t.Context(), cid.Undef) {
		t.Errorf("read-only: %+v, %v", bad, err)
	}
	if _, err := d.ReadPiece(t.Context(), c.table.Pieces[0].Key, nil); err != nil {
		t.Errorf("read-only: %v", err)
	}
	for what, err := range map[string]error{
		"Unshare": d.Unshare(r.CID), "Pin": d.Pin(r.CID), "Put": d.Put("a", "b", nil),
	} {
		if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), store) {
			t.Errorf("read-only: %s: %v", what, err)
		}
	}
	if _, err := d.Add(t.Context(), small, AddOptions{Copy: true, Modes: true, Hidden: true}); err == nil {
		t.Error("read-only: Add of a copy")
	}
	if err := d.Close(); err != nil {
		t.Errorf("read-only: %v", err)
	}

	mount(t, "-o", "remount,rw", disk)
	d = openDisk(t, store)
	for bad, err := range d.Verify(t.Context(), cid.Undef) {
		t.Errorf("writable again: %+v, %v", bad, err)
	}
	if err := errors.Join(d.Unshare(kept.CID), d.Unshare(r.CID)); err != nil {
		t.Errorf("writable again: %v", err)
	}
}

// full fetches with no room left, index included, and goes on when there is some.
func full(t *testing.T, d *Disk, disk string, c content) {
	t.Helper()
	filler := filepath.Join(disk, "filler")
	fill := func() {
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, n := range []int{64 << 10, 4 << 10} {
			for b := make([]byte, n); err == nil; {
				_, err = f.Write(b)
			}
			err = nil
		}
	}
	fetch := func() error {
		w, err := d.Create(t.Context(), c.table, c.tree, CreateOptions{Path: filepath.Join(disk, "out")})
		if err != nil {
			return err
		}
		for i, block := range c.pieces {
			if err := w.Write(i, block); err != nil {
				return errors.Join(err, w.Close())
			}
		}
		_, err = w.Finish(t.Context())
		return errors.Join(err, w.Close())
	}
	fill()
	if err := fetch(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("with no room: %v", err)
	}
	for bad, err := range d.Verify(t.Context(), cid.Undef) {
		t.Errorf("with no room: %+v, %v", bad, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := fetch(); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func mount(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		t.Fatalf("mount %v: %v: %s", args, err, out)
	}
}
