package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

// candidate is a word that may stand at the cursor, and what it means.
type candidate struct{ word, about string }

// line is a command line up to the cursor, as reorder would read it.
type line struct {
	app   *cli.App
	verb  *cli.Command    // nil before there is one
	args  int             // words that are arguments of the verb
	given map[string]bool // flags
	value cli.Flag        // the flag whose value is being typed, nil for none
	ended bool            // by "--": no more flags
	dir   string          // value of --dir
	swarm string          // value of --swarm
	last  string          // the word at the cursor
}

// readLine reads the words of a command line, the last of which is being
// typed; there is at least one. What is wrong with it is passed over.
func readLine(app *cli.App, words []string) *line {
	l := &line{app: app, given: map[string]bool{}}
	last := len(words) - 1
	for _, word := range words[:last] {
		l.read(word)
	}
	l.last = words[last]
	return l
}

func (l *line) read(word string) {
	switch {
	case l.value != nil:
		l.set(word)
		l.value = nil
	case !l.ended && word == "--":
		l.ended = true
	case !l.ended && isFlag(word):
		name := flagName(word)
		l.given[name] = true
		if l.value = takesValue(l.flag(name)); l.value == nil {
			return
		}
		if _, value, ok := strings.Cut(word, "="); ok {
			l.set(value)
			l.value = nil
		}
	case l.verb == nil:
		l.verb = l.app.Command(word)
	default:
		l.args++
	}
}

// set is the value of a flag; only those that say where roots are held matter.
func (l *line) set(value string) {
	switch l.value.Names()[0] {
	case "dir":
		l.dir = value
	case "swarm":
		l.swarm = value
	}
}

// flags are those that may stand in the line, the verb's before the global ones.
func (l *line) flags() []cli.Flag {
	if l.verb == nil {
		return l.app.Flags
	}
	return slices.Concat(l.verb.Flags, l.app.Flags)
}

func (l *line) flag(name string) cli.Flag {
	for _, f := range l.flags() {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// takesValue returns f if it takes a value, else nil.
func takesValue(f cli.Flag) cli.Flag {
	if doc, ok := f.(cli.DocGenerationFlag); ok && doc.TakesValue() {
		return f
	}
	return nil
}

// complete returns the words that may stand at the cursor and begin with what
// is typed, and whether the name of a file may stand there.
func (l *line) complete(roots func() []candidate) (found []candidate, files bool) {
	before := ""
	switch name, typed, ok := strings.Cut(l.last, "="); {
	case l.value != nil:
		found, files = valuesOf(l.value)
	case !l.ended && ok && isFlag(name) && takesValue(l.flag(flagName(name))) != nil:
		found, files = valuesOf(l.flag(flagName(name)))
		before = name + "="
		files = files && typed == "" // a shell completes files at the start of a word only
	case !l.ended && strings.HasPrefix(l.last, "-"):
		found = l.flagWords()
	case l.verb == nil:
		found = verbs(l.app.VisibleCommands())
	default:
		found, files = l.argument(roots)
		before = schemeOf(l.last)
	}
	for i := range found {
		found[i].word = before + found[i].word
	}
	return slices.DeleteFunc(found, func(c candidate) bool { return !strings.HasPrefix(c.word, l.last) }), files
}

// schemeOf is what stands before the content ID in a target, "" for nothing.
func schemeOf(target string) string {
	for _, scheme := range []string{"shoal:", "ipfs://"} {
		if strings.HasPrefix(target, scheme) {
			return scheme
		}
	}
	return ""
}

func verbs(commands []*cli.Command) []candidate {
	var found []candidate
	for _, c := range commands {
		found = append(found, candidate{c.Name, c.Usage})
	}
	return found
}

// flagWords are the flags that are not there yet, or may be there again.
func (l *line) flagWords() []candidate {
	var found []candidate
	for _, f := range l.flags() {
		name := f.Names()[0]
		if _, again := f.(*cli.StringSliceFlag); l.given[name] && !again {
			continue
		}
		about := ""
		if doc, ok := f.(cli.DocGenerationFlag); ok {
			_, about = splitUsage(doc)
		}
		found = append(found, candidate{dashed(f), about})
	}
	return found
}

// wordsOf are the values of the flags that take one of a few words, where
// the help has other words for them.
var wordsOf = map[string]string{
	"class":     "interactive|background|economy",
	"log-level": "debug|info|warn|error",
	"profile":   "unixfs-v1-2025|unixfs-v0-2015",
}

// valuesOf are the words that the value of a flag may be, by what its help
// calls it: on|off, FILE.
func valuesOf(f cli.Flag) (found []candidate, files bool) {
	if words, ok := wordsOf[f.Names()[0]]; ok {
		return alternatives(words), false
	}
	doc, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return nil, false
	}
	arg, _ := splitUsage(doc)
	return alternatives(arg), arg == "PATH" || arg == "FILE" || arg == "DIR"
}

// alternatives are the words of a|b NAME|C that are meant as they stand: a and b.
func alternatives(usage string) []candidate {
	var found []candidate
	for part := range strings.SplitSeq(usage, "|") {
		word, _, _ := strings.Cut(part, " ")
		if part != usage && len(word) > 1 && word == strings.ToLower(word) {
			found = append(found, candidate{word: word})
		}
	}
	return found
}

// argument completes an argument of the verb, by what its usage calls it.
func (l *line) argument(roots func() []candidate) (found []candidate, files bool) {
	usage, many := strings.CutSuffix(strings.Trim(l.verb.ArgsUsage, "[]"), "...")
	switch {
	case l.args > 0 && !many:
		return nil, false
	case len(l.verb.Subcommands) > 0:
		return verbs(l.verb.VisibleCommands()), false
	case usage == "VERB":
		return verbs(l.app.VisibleCommands()), false
	case usage == "CID", usage == "TARGET":
		return roots(), false
	}
	return alternatives(usage), usage == "PATH"
}

// rootsPatience is how long a shell waits for what is held.
const rootsPatience = time.Second

// heldRoots are the roots of the directory: of the node that runs there, else
// of its index. It makes nothing and reports no error.
func (sh *shell) heldRoots(ctx context.Context, l *line) []candidate {
	ctx, cancel := context.WithTimeout(ctx, rootsPatience)
	defer cancel()
	dir, err := sh.directory(l.dir)
	if err == nil {
		dir, err = sh.ofSwarm(dir, l.swarm, l.given["swarm"])
	}
	if err != nil {
		return nil
	}
	var api node.API
	if client, err := node.Dial(dir); err == nil {
		api = client
	} else if _, err := os.Stat(filepath.Join(dir, "index.db")); err != nil {
		return nil
	} else if api, err = start(ctx, node.Config{Dir: dir, Offline: true}); err != nil {
		return nil
	}
	defer api.Close() // of what was only read
	st, err := api.Status(ctx)
	if err != nil {
		return nil
	}
	var found []candidate
	for _, r := range st.Roots {
		found = append(found, candidate{r.CID, printable(r.Name) + ", " + size(r.Size)})
	}
	return found
}
