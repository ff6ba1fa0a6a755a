package main

import (
	"io"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	t.Parallel()
	app := newApp(&shell{stdout: io.Discard, stderr: io.Discard})
	app.Setup()
	roots := func() []candidate { return []candidate{{"bafyone", "one"}, {"bafytwo", "two"}, {"Qmthree", "three"}} }
	for typed, want := range map[string]string{
		// The words before the cursor, "|" between them; the last is being typed.
		"sta":                     "status",
		"un":                      "unshare unpin",
		"nothing":                 "",
		"help|c":                  "cat config completion",
		"completion|":             "bash zsh fish powershell",
		"--di":                    "--dir",
		"--json|--log-level|":     "debug info warn error",
		"-":                       "--dir --swarm --json --log-level --help",
		"--|ls":                   "ls",
		"get|--cl":                "--class",
		"get|--j":                 "--json",
		"get|-o":                  "-o",
		"get|x|--see":             "--seed",
		"get|--seed|--see":        "",                // once is enough
		"get|--seed|ba":           "bafyone bafytwo", // its value stands behind =
		"get|--seed=1.5|ba":       "bafyone bafytwo",
		"get|--origin|u|--origin": "--origin-after --origin-below --origin-copies --origin --origin-header", // this may be repeated
		"get|--class|b":           "background",
		"get|--class=|":           "bafyone bafytwo Qmthree",
		"get|--class=e":           "--class=economy",
		"get|--mdns=":             "--mdns=on --mdns=off",
		"get|--timeout|":          "",
		"get|-o|":                 ":files",
		"get|-o|x":                ":files",
		"get|ba":                  "bafyone bafytwo",
		"get|shoal:ba":            "shoal:bafyone shoal:bafytwo",
		"get|ipfs://Qm":           "ipfs://Qmthree",
		"get|bafyone|":            "", // one is enough
		"get|--|--cl":             "",
		"get|--|ba":               "bafyone bafytwo",
		"status|Q":                "Qmthree",
		"status|--cl":             "", // of another verb
		"add|":                    ":files",
		"add|a|b|x":               ":files",
		"add|--profile|":          "unixfs-v1-2025 unixfs-v0-2015",
		"--dir|get|ad":            "add", // get is the directory
		"--dir|":                  ":files",
		"id|":                     "",
		"nothing|ba":              "",
		"unshare|ba":              "bafyone bafytwo",
	} {
		found, files := readLine(app, strings.Split(typed, "|")).complete(roots)
		var got []string
		for _, c := range found {
			got = append(got, c.word)
		}
		if files {
			got = append(got, ":files")
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: got %q, want %q", typed, s, want)
		}
	}
	if l := readLine(app, []string{"get", "--dir", "d e", "x"}); l.dir != "d e" {
		t.Errorf("directory %q", l.dir)
	}
	if l := readLine(app, []string{"--dir=d", "--swarm", "s", "x"}); l.dir != "d" || l.swarm != "s" {
		t.Errorf("directory %q of swarm %q", l.dir, l.swarm)
	}
}

// Every argument of every verb is completed in some way, or known to be new.
func TestEveryArgumentCompletes(t *testing.T) {
	t.Parallel()
	app := newApp(&shell{stdout: io.Discard, stderr: io.Discard})
	for _, c := range app.VisibleCommands() {
		l := &line{app: app, verb: c}
		found, files := l.argument(func() []candidate { return []candidate{{"bafy", ""}} })
		if free := strings.Contains(c.ArgsUsage, "NAME") || strings.Contains(c.ArgsUsage, "INVITE"); c.ArgsUsage != "" && !files && len(found) == 0 && !free {
			t.Errorf("nothing completes %s %s", c.Name, c.ArgsUsage)
		}
	}
}
