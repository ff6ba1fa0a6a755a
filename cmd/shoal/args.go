package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// shapes tells which flags there are and which of them take a value.
type shapes struct {
	global map[string]bool            // flag name to whether it takes a value
	verbs  map[string]map[string]bool // the same for each verb
}

// shapesOf reads the shapes of an app.
func shapesOf(app *cli.App) shapes {
	s := shapes{global: flagShapes(app.Flags), verbs: map[string]map[string]bool{}}
	for _, c := range app.Commands {
		s.verbs[c.Name] = flagShapes(c.Flags)
	}
	return s
}

func flagShapes(flags []cli.Flag) map[string]bool {
	shape := map[string]bool{"help": false, "h": false}
	for _, f := range flags {
		doc, ok := f.(cli.DocGenerationFlag)
		for _, name := range f.Names() {
			shape[name] = ok && doc.TakesValue()
		}
	}
	return shape
}

// reorder puts a command line into the order that urfave/cli wants: global
// flags, verb, flags of the verb, "--", arguments. The user may put flags before
// or after arguments, and global flags anywhere; "--" ends flags. A flag takes
// the next word as its value whatever that looks like. Who asks for help needs no
// arguments: they are dropped. It also returns the verb, "" if there is none. Errors are usageErrors.
func reorder(args []string, s shapes) (out []string, verb string, err error) {
	verb, at, err := splitVerb(args, s)
	if err != nil {
		return nil, "", err
	}
	var globals, flags, rest []string
	help := false
	for i := 0; i < len(args); i++ {
		word := args[i]
		switch {
		case i == at:
			continue
		case word == "--":
			for i++; i < len(args); i++ {
				if i != at {
					rest = append(rest, args[i])
				}
			}
			continue
		case !isFlag(word):
			rest = append(rest, word)
			continue
		}
		name := flagName(word)
		help = help || name == "help" || name == "h"
		takes, ofVerb := s.verbs[verb][name]
		to := &flags
		if !ofVerb {
			var known bool
			if takes, known = s.global[name]; !known {
				return nil, verb, &usageError{fmt.Errorf("unknown flag %s%s", word, ofWhat(verb))}
			}
			to = &globals
		}
		*to = append(*to, word)
		if takes && !strings.Contains(word, "=") {
			if i++; i == len(args) {
				return nil, verb, &usageError{fmt.Errorf("flag %s needs a value", word)}
			}
			*to = append(*to, args[i])
		}
	}
	if verb == "" {
		return globals, "", nil
	}
	if help {
		rest = nil // urfave/cli would look for the help of the first argument
	}
	out = append(globals, verb)
	out = append(out, flags...)
	return append(append(out, "--"), rest...), verb, nil
}

// splitVerb returns the first word that is neither a flag nor the value of one,
// and where it stands. Without one, verb is "" and at is -1.
func splitVerb(args []string, s shapes) (verb string, at int, err error) {
	for i := 0; i < len(args); i++ {
		word := args[i]
		if word == "--" {
			i++
			if i == len(args) {
				break
			}
			word = args[i]
		} else if isFlag(word) {
			takes, known := s.global[flagName(word)]
			if !known {
				return "", -1, &usageError{fmt.Errorf("unknown flag %s before the verb", word)}
			}
			if takes && !strings.Contains(word, "=") {
				i++
			}
			continue
		}
		if _, ok := s.verbs[word]; !ok {
			return "", -1, &usageError{fmt.Errorf("unknown verb %q; there are %s", word, strings.Join(slices.Sorted(maps.Keys(s.verbs)), ", "))}
		}
		return word, i, nil
	}
	return "", -1, nil
}

// isFlag tells a flag from an argument; a lone "-" is an argument.
func isFlag(word string) bool { return len(word) > 1 && word[0] == '-' }

// flagName is the name in -name, --name and --name=value.
func flagName(word string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(word[1:], "-"), "=")
	return name
}

func ofWhat(verb string) string {
	if verb == "" {
		return ""
	}
	return " of " + verb
}
