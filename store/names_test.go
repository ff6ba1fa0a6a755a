package store

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
)

func TestNameRules(t *testing.T) {
	t.Parallel()
	posix, windows, mac := nameRules{}, nameRules{fold: true, reserved: true}, nameRules{fold: true}
	for _, c := range []struct {
		rules nameRules
		names string // separated by spaces
		ok    bool
	}{
		{posix, "a .a a. ... con ünï a:b back\\slash", true},
		{posix, "A a", true},
		{mac, "A a", false},
		{mac, "con a:b", true},
		{windows, "a .a console com10 .con a.con", true},
		{windows, "A a", false},
		{posix, "a\xff", true},
		{mac, "a\xff", false},
		{windows, "a\xff", false},
		{windows, "con", false},
		{windows, "Con.txt", false},
		{windows, "COM1", false},
		{windows, "lpt³.x", false},
		{windows, "a:b", false},
		{windows, "back\\slash", false},
		{windows, "a.", false},
		{windows, "tab\tbed", false},
		{posix, "..", false},
		{posix, ".", false},
		{posix, strings.Repeat("x", 255), true},
		{posix, strings.Repeat("x", 256), false},
	} {
		entries := []merkle.Entry{{Type: merkle.Directory}}
		for name := range strings.SplitSeq(c.names, " ") {
			entries = append(entries, merkle.Entry{Path: name})
		}
		err := c.rules.check(entries)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrUnsafe) {
			t.Errorf("%+v %.40q: %v", c.rules, c.names, err)
		}
	}
}

func TestPartialName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 255)
	for _, c := range []struct {
		final string
		i     int
		want  string
	}{
		{"/d/film.mkv", 0, "/d/.film.mkv.shoal-partial"},
		{"/d/film.mkv", 1, "/d/.film.mkv.shoal-partial-2"},
		{"/d/" + long, 0, "/d/." + long[:240] + ".shoal-partial"},
		{"/d/" + long[:239] + "é.mkv12345678", 0, "/d/." + long[:239] + ".shoal-partial"},
	} {
		got := partialName(filepath.FromSlash(c.final), c.i)
		if got != filepath.FromSlash(c.want) || len(filepath.Base(got)) > maxName {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
