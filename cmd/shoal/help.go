package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// helpVerb shows the help of a verb, as its --help does.
func helpVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "show the help of a verb", ArgsUsage: "[VERB]",
		Description: "EXAMPLE: shoal help get",
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return cli.ShowAppHelp(c)
			}
			if c.App.Command(c.Args().First()) == nil {
				return &usageError{fmt.Errorf("unknown verb %q", c.Args().First())}
			}
			return cli.ShowCommandHelp(c, c.Args().First())
		},
	}
}

const appHelp = `A content ID (CID) names bytes; whoever has them can prove it. 'shoal share' puts a
file into the swarm and prints its CID and a link, 'shoal get' fetches by either.

EXAMPLE:
   shoal share big.iso                             # on one machine; prints a link
   shoal get 'shoal:bafy...?peer=...'              # on another
   shoal get --origin https://cdn.example.com/big.iso bafy...

`

const appTemplate = `{{.Usage}}

USAGE: {{.UsageText}}
   Flags may stand before or after arguments; "--" ends them.

VERBS:{{range .VisibleCommands}}
   {{printf "%-11s" .Name}}{{.Usage}}{{end}}

{{.Description}}
`

const verbTemplate = `{{.Usage}}

USAGE: {{.HelpName}}{{if .VisibleFlags}} [flags]{{end}}{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}

{{.Description}}
`

// flagColumn is where the words about a flag begin.
const flagColumn = 26

// screenWidth is the most columns that a line of help has.
const screenWidth = 100

// exitWords are the meanings of the exit codes.
var exitWords = [...]string{exitDone: "done", exitFailed: "failed", exitUsage: "usage", exitUnavailable: "unavailable", exitVerification: "failed verification"}

// exitHelp lists the exit codes that verbs in general have and some more.
func exitHelp(more ...int) string {
	var words []string
	for _, code := range append([]int{exitDone, exitFailed, exitUsage}, more...) {
		words = append(words, fmt.Sprint(code, " ", exitWords[code]))
	}
	return "EXIT CODES: " + strings.Join(words, ", ")
}

// exitsOf are the exit codes of a verb. What looks for content may find nobody
// or only liars.
func exitsOf(c *cli.Command) string {
	switch {
	case c.Name == "find":
		return exitHelp(exitUnavailable)
	case c.Name == "verify":
		return exitHelp(exitVerification)
	case c.Name == "lab" || slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return f.Names()[0] == "timeout" }):
		return exitHelp(exitUnavailable, exitVerification)
	}
	return exitHelp()
}

// verbHelp is the help of a verb below its usage: flags, words, examples, exit
// codes. The flags of a node that others than node take are named only, which
// keeps the help to a screen.
func verbHelp(c *cli.Command) string {
	own, shared := c.Flags, []string(nil)
	if c.Name != "node" && c.Name != "config" {
		own = nil
		for _, f := range c.Flags {
			if name := f.Names()[0]; slices.Contains(everyNode, name) || slices.Contains(rates, name) {
				shared = append(shared, "--"+name)
			} else {
				own = append(own, f)
			}
		}
	}
	help := flagHelp(own)
	if shared != nil {
		help = strings.TrimSuffix(help, "\n") + "   Of the node it runs, see shoal node --help:\n   " + strings.Join(shared, " ") + "\n\n"
	}
	return help + c.Description + "\n\n" + exitsOf(c)
}

// flagHelp lists flags for a help text.
func flagHelp(flags []cli.Flag) string {
	var b strings.Builder
	for _, f := range flags {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok || f == cli.HelpFlag {
			continue
		}
		name := dashed(f)
		arg, usage := splitUsage(doc)
		if arg != "" {
			name += " " + arg
		}
		if o, ok := f.(interface{ Optional() string }); ok {
			name += "[=" + o.Optional() + "]"
		}
		if text := doc.GetDefaultText(); arg != "" && text != "" && text != "none" {
			usage += " (default: " + text + ")"
		}
		head := fmt.Sprintf("   %-22s ", name)
		if len(head) > flagColumn {
			b.WriteString(strings.TrimRight(head, " ") + "\n")
			head = strings.Repeat(" ", flagColumn)
		}
		b.WriteString(hanging(head, usage))
	}
	if b.Len() == 0 {
		return ""
	}
	return "FLAGS:\n" + b.String() + "\n"
}

// dashed is a flag as it is typed.
func dashed(f cli.Flag) string {
	name := f.Names()[0]
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// splitUsage splits the usage of a flag that takes a value, "`URL`: words",
// into what the value looks like and the words.
func splitUsage(doc cli.DocGenerationFlag) (arg, words string) {
	words = doc.GetUsage()
	if doc.TakesValue() {
		arg, words, _ = strings.Cut(words, "`: ")
	}
	return strings.TrimPrefix(arg, "`"), words
}

// hanging writes text behind a head, its further lines below its first.
func hanging(head, text string) string {
	var b strings.Builder
	line, indent := head, strings.Repeat(" ", len(head))
	for i, word := range strings.Fields(text) {
		if i > 0 && len(line)+len(word) >= screenWidth {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = indent
		}
		line += word + " "
	}
	return b.String() + strings.TrimRight(line, " ") + "\n"
}
