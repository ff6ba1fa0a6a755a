package store

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/merkle"
)

// nameRules says what the file system of a platform cannot hold, beyond what
// none can.
type nameRules struct {
	fold     bool // names that differ in case are one, and all are Unicode
	reserved bool // Win32: reserved characters, device names, dots and spaces at the end
}

// maxName is the longest name of common file systems, in bytes (NAME_MAX).
const maxName = 255

// check refuses a table that has an entry which would leave the target or which
// cannot be stored, before the disk is touched. It returns ErrUnsafe naming the entry.
func (r nameRules) check(entries []merkle.Entry) error {
	seen := make(map[string]bool, len(entries))
	dirs := map[string]bool{"": true}
	for i := range entries {
		e := &entries[i]
		if i == 0 {
			if e.Path != "" {
				return unsafe(e.Path, "the first entry has to be the root")
			}
			continue
		}
		parent, name := "", e.Path
		if cut := strings.LastIndexByte(e.Path, '/'); cut >= 0 {
			parent, name = e.Path[:cut], e.Path[cut+1:]
		}
		if e.Path == "" || e.Path[0] == '/' {
			return unsafe(e.Path, "not below the root")
		}
		if entries[0].Type != merkle.Directory || !dirs[parent] {
			return unsafe(e.Path, "its parent is no directory")
		}
		if why := r.refuse(name); why != "" {
			return unsafe(e.Path, why)
		}
		if e.Type == merkle.Symlink && (e.Target == "" || strings.IndexByte(e.Target, 0) >= 0) {
			return unsafe(e.Path, "a link with no target or with NUL in it")
		}
		path := e.Path
		if r.fold {
			path = strings.ToLower(path)
		}
		if seen[path] {
			return unsafe(e.Path, "there are two entries of that name here")
		}
		seen[path] = true
		if e.Type == merkle.Directory {
			dirs[e.Path] = true
		}
	}
	return nil
}

func unsafe(path, why string) error {
	return fmt.Errorf("entry %q: %s: %w", path, why, ErrUnsafe)
}

// refuse says why a name cannot be stored, "" if it can.
func (r nameRules) refuse(name string) string {
	switch {
	case name == "" || name == "." || name == "..":
		return "not a name of its own"
	case len(name) > maxName:
		return fmt.Sprintf("longer than %d bytes", maxName)
	case strings.IndexByte(name, 0) >= 0:
		return "NUL in a name"
	case strings.IndexByte(name, '/') >= 0:
		return "a separator in a name"
	}
	if r.fold && !utf8.ValidString(name) {
		return "not UTF-8"
	}
	if !r.reserved {
		return ""
	}
	for _, c := range name {
		if c < ' ' || strings.ContainsRune(`<>:"\|?*`, c) {
			return fmt.Sprintf("Windows does not take %q in a name", c)
		}
	}
	if strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
		return "Windows does not take a dot or space at the end of a name"
	}
	if stem, _, _ := strings.Cut(name, "."); device(strings.TrimRight(stem, " ")) {
		return "the name of a device on Windows"
	}
	return ""
}

// device tells whether Windows takes a name, whatever its extension, for a device.
func device(stem string) bool {
	s := strings.ToUpper(stem)
	switch s {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	if rest, ok := strings.CutPrefix(s, "COM"); ok {
		return port(rest)
	}
	rest, ok := strings.CutPrefix(s, "LPT")
	return ok && port(rest)
}

func port(s string) bool {
	switch s {
	case "1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "¹", "²", "³":
		return true
	}
	return false
}
