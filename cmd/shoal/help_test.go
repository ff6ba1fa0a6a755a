package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// maxHelpLines is one screen of help, maxOptionLines what the verbs have that
// list every option of a node.
const (
	maxHelpLines   = 32
	maxOptionLines = 60
)

// Every verb's help has an example of that verb and its exit codes, fits on a
// screen, and shows what the value of each flag looks like.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, verb := range verbNames() {
		if verb == "help" {
			continue // its help is that of the command
		}
		text := helpOf(t, verb, "--help")
		if !strings.Contains(text, "EXAMPLE: shoal "+verb) {
			t.Errorf("%s has no example of it", verb)
		}
		if !strings.Contains(text, "\n\nEXIT CODES: 0 done, 1 failed, 2 usage") {
			t.Errorf("%s does not say its exit codes", verb)
		}
		lines := strings.Split(strings.TrimSpace(text), "\n")
		if most := map[bool]int{true: maxOptionLines, false: maxHelpLines}[verb == "node" || verb == "config"]; len(lines) > most {
			t.Errorf("%s has %d lines of help, more than a screen:\n%s", verb, len(lines), text)
		}
		for _, line := range lines {
			if utf8.RuneCountInString(line) > screenWidth {
				t.Errorf("%s: too wide: %s", verb, line)
			}
		}
		if strings.Contains(text, "`") {
			t.Errorf("%s has a flag whose value looks like nothing:\n%s", verb, text)
		}
		if again := helpOf(t, "help", verb); again != text {
			t.Errorf("help %s is not %s --help:\n%s", verb, verb, again)
		}
	}
	text := helpOf(t, "--help")
	for _, want := range append(verbNames(), "--dir DIR", "--json", "--log-level LEVEL", "EXAMPLE:", "EXIT CODES: 0 done, 1 failed, 2 usage, 3 unavailable, 4 failed verification") {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the help", want)
		}
	}
}

// oneAtATime: urfave/cli writes to its global HelpFlag when it runs.
var oneAtATime sync.Mutex

// helpOf runs a command that prints help.
func helpOf(t *testing.T, args ...string) string {
	t.Helper()
	oneAtATime.Lock()
	defer oneAtATime.Unlock()
	var out, errs strings.Builder
	if code := run(context.Background(), args, &out, &errs); code != exitDone || errs.String() != "" {
		t.Fatalf("shoal %s: code %d, %s", strings.Join(args, " "), code, errs.String())
	}
	return out.String()
}

// verbNames are the verbs that help lists.
func verbNames() []string {
	var names []string
	for _, c := range newApp(&shell{}).VisibleCommands() {
		names = append(names, c.Name)
	}
	return names
}
