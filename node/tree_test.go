package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// makeTree makes a directory with everything that one may have.
func makeTree(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "tree")
	files := map[string][]byte{
		"top.bin":                noise(10, mib+77),
		"empty":                  nil,
		"a/b/c/deep.bin":         noise(11, 3000),
		"a/with space.txt":       []byte("space"),
		"ünïcode/魚の群れ.txt":       []byte("shoal"),
		"a/copy of deep.bin":     noise(11, 3000),
		"bin/run.sh":             []byte("#!/bin/sh\n"),
		"percent %41 & #1?.html": []byte("<p>"),
	}
	for name, data := range files {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, data, 0o644))
	}
	must(t, os.Chmod(filepath.Join(root, "bin/run.sh"), 0o755))
	must(t, os.MkdirAll(filepath.Join(root, "empty dir/inner"), 0o755))
	must(t, os.Symlink("a/b/c/deep.bin", filepath.Join(root, "link")))
	must(t, os.Symlink("nowhere", filepath.Join(root, "a/dangling")))
	return root
}

func TestFetchDirectory(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"unixfs-v1-2025", "unixfs-v0-2015"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			src := makeTree(t)
			a, b := start(t), start(t)
			target := share(t, a, src, AddOptions{Profile: profile, Modes: true})
			r, err := get(t, b, target, from(a))
			if err != nil {
				t.Fatal(err)
			}
			checkSameTree(t, r.Path, src)
			if sum := total(r.From); sum > r.Size {
				t.Errorf("%d bytes by source of %d", sum, r.Size)
			}
			entries, err := b.List(t.Context(), target, FetchOptions{})
			if err != nil {
				t.Fatal(err)
			}
			kinds := map[string]string{}
			for _, e := range entries {
				kinds[e.Name] = e.Type
			}
			want := map[string]string{
				"top.bin": "file", "empty": "file", "a": "dir", "bin": "dir", "ünïcode": "dir",
				"empty dir": "dir", "link": "symlink", "percent %41 & #1?.html": "file",
			}
			for name, kind := range want {
				if kinds[name] != kind {
					t.Errorf("List has %q for %q; want %q", kinds[name], name, kind)
				}
			}
			if len(entries) != len(want) {
				t.Errorf("List has %d entries; want %d", len(entries), len(want))
			}
		})
	}
}

func TestFetchBelowRoot(t *testing.T) {
	t.Parallel()
	src := makeTree(t)
	a := start(t)
	target := share(t, a, src, AddOptions{})
	for _, path := range []string{"top.bin", "a/b/c/deep.bin", "a", "ünïcode/魚の群れ.txt", "empty", "empty dir"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			target := target
			target.Path = path
			r, err := get(t, b, target, from(a))
			if err != nil {
				t.Fatal(err)
			}
			checkSameTree(t, r.Path, filepath.Join(src, path))
		})
	}
}

func TestFetchMissingPath(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t)
	target := share(t, a, makeTree(t), AddOptions{})
	target.Path = "a/nothing"
	opt := from(a)
	opt.Timeout = 5 * time.Second
	_, err := get(t, b, target, opt)
	if err == nil {
		t.Fatal("a path that is not there was fetched")
	}
	t.Log(err)
}
