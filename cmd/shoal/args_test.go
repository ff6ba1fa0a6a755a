package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

var testShapes = shapes{
	global: map[string]bool{"dir": true, "json": false, "help": false, "h": false},
	verbs: map[string]map[string]bool{
		"get":  {"o": true, "seed": false, "origin": true, "help": false, "h": false},
		"add":  {"q": false, "help": false, "h": false},
		"help": {},
	},
}

func TestReorder(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                  "",
		"--help":                            "--help",
		"get CID":                           "get -- CID",
		"get -o x CID":                      "get -o x -- CID",
		"get CID -o x":                      "get -o x -- CID",
		"get CID -o=x --seed":               "get -o=x --seed -- CID",
		"--dir d get CID --json":            "--dir d --json get -- CID",
		"get --json CID --dir d":            "--json --dir d get -- CID",
		"get CID --dir=d":                   "--dir=d get -- CID",
		"add a b -q c":                      "add -q -- a b c",
		"add -- -q --json":                  "add -- -q --json",
		"add -":                             "add -- -",
		"-- add -q":                         "add -- -q",
		"--json -- add a -q":                "--json add -- a -q",
		"get --origin --json CID":           "get --origin --json -- CID", // a value may look like a flag
		"get -origin u CID":                 "get -origin u -- CID",
		"get --help":                        "get --help --",
		"--help get":                        "get --help --",
		"get CID --help":                    "get --help --",
		"get CID -- --help":                 "get -- CID --help",
		"get CID -o --help":                 "get -o --help -- CID",
		"get --origin a --origin b CID":     "get --origin a --origin b -- CID",
		"help get":                          "help -- get",
		"get CID -- -o x":                   "get -- CID -o x",
		"--dir get add x":                   "--dir get add -- x",
		"get -o -- CID":                     "get -o -- -- CID",
		"add --json=false x":                "--json=false add -- x",
		"add x --dir d y --json -q -- z -q": "--dir d --json add -q -- x y z -q",
	} {
		got, _, err := reorder(strings.Fields(in), testShapes)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"gc":             `unknown verb "gc"; there are add, get, help`,
		"get --from x":   "unknown flag --from of get",
		"-o x get":       "unknown flag -o before the verb",
		"--json --nope":  "unknown flag --nope before the verb",
		"get CID -o":     "flag -o needs a value",
		"get CID --dir":  "flag --dir needs a value",
		"add --origin=x": "unknown flag --origin=x of add",
		"--":             "",
	} {
		_, _, err := reorder(strings.Fields(in), testShapes)
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", in, err)
			}
			continue
		}
		if _, ok := errors.AsType[*usageError](err); !ok || err.Error() != want {
			t.Errorf("%q: got %v, want %q", in, err, want)
		}
	}
}

// No word is lost, invented or given to another flag, whatever the order.
func FuzzReorder(f *testing.F) {
	f.Add("get\x00CID\x00-o\x00x")
	f.Add("--\x00add\x00--\x00-q")
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, "\x00")
		got, verb, err := reorder(words, testShapes)
		if err != nil {
			return
		}
		want := slices.Clone(words)
		for _, w := range []*[]string{&got, &want} {
			*w = slices.DeleteFunc(slices.Clone(*w), func(s string) bool { return s == "--" })
			slices.Sort(*w)
		}
		if slices.ContainsFunc(got, func(w string) bool { return isFlag(w) && (flagName(w) == "help" || flagName(w) == "h") }) {
			return // without its arguments
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q became %q with verb %q", words, got, verb)
		}
		again, _, err := reorder(mustReorder(t, words), testShapes)
		if err != nil || !slices.Equal(again, mustReorder(t, words)) {
			t.Fatalf("%q: reordering twice gives %q, %v", words, again, err)
		}
	})
}

func mustReorder(t *testing.T, words []string) []string {
	t.Helper()
	got, _, err := reorder(words, testShapes)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
