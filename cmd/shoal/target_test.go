package main

import (
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
)

// TestIsName: no name of a stranger leaves the directory.
func TestIsName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		posix, windows bool
	}{
		{"film.mkv", true, true},
		{".hidden", true, true},
		{"a:b", true, false},
		{`back\slash`, true, false},
		{`..\..\x.bat`, true, false},
		{`C:x`, true, false},
		{"", false, false},
		{".", false, false},
		{"..", false, false},
		{"a/b", false, false},
		{"a\x00b", false, false},
	} {
		if got := isName(c.name, false); got != c.posix {
			t.Errorf("%q: got %v", c.name, got)
		}
		if got := isName(c.name, true); got != c.windows {
			t.Errorf("%q on Windows: got %v", c.name, got)
		}
	}
}

// TestContentName: the entry's name comes before that of the link, and the
// content ID stands in for one that is none.
func TestContentName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, name, want string
	}{
		{"dir/a", "link", "a"},
		{"", "link", "link"},
		{"", "", "cid"},
		{"", "..", "cid"},
		{"dir/..", "link", "cid"},
	} {
		if got := contentName(merkle.Target{Path: c.path, Name: c.name}, "cid"); got != c.want {
			t.Errorf("%q, %q: got %q, want %q", c.path, c.name, got, c.want)
		}
	}
}
