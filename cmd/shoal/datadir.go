package main

import (
	"errors"
	"path/filepath"
)

// dataDir is the directory of a node that names none: below the user's data
// directory of the operating system, which is
// $XDG_DATA_HOME or ~/.local/share (the XDG base directory specification),
// ~/Library/Application Support on macOS, %LocalAppData% on Windows.
func dataDir(goos string, env func(string) (string, bool)) (string, error) {
	get := func(name string) string { v, _ := env(name); return v }
	base := ""
	switch goos {
	case "windows":
		base = get("LocalAppData")
	case "darwin", "ios":
		if home := get("HOME"); home != "" {
			base = filepath.Join(home, "Library", "Application Support")
		}
	default:
		// The specification tells to ignore relative paths.
		if base = get("XDG_DATA_HOME"); !filepath.IsAbs(base) {
			base = ""
			if home := get("HOME"); home != "" {
				base = filepath.Join(home, ".local", "share")
			}
		}
	}
	if base == "" {
		return "", errors.New("there is no home directory to keep data in; give --dir or set SHOAL_DIR")
	}
	return filepath.Join(base, "shoal"), nil
}
