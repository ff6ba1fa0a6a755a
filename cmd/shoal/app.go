package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

// newApp is the command with all its verbs.
func newApp(sh *shell) *cli.App {
	app := &cli.App{
		Name:            "shoal",
		Usage:           "distribute content by its ID, peers first, origin as the fail-safe",
		UsageText:       "shoal [--dir DIR] [--json] [--log-level L] VERB ...",
		HideHelpCommand: true,
		HideVersion:     true,
		// Addresses, URLs and headers may have commas.
		DisableSliceFlagSeparator: true,
		Writer:                    sh.stdout,
		ErrWriter:                 io.Discard, // every word is said by errorLines
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              onUsageError,
		CustomAppHelpTemplate:     appTemplate,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "`DIR`: for identity, index, kept pieces and socket (SHOAL_DIR)", DefaultText: "the user's data directory + /shoal"},
			&cli.BoolFlag{Name: "json", Usage: "data as JSON"},
			optionFlag("log-level"),
			cli.HelpFlag,
		},
		Before: func(c *cli.Context) error {
			sh.json = c.Bool("json")
			return nil
		},
		Action: func(c *cli.Context) error {
			return &usageError{errors.New("what shall shoal do? There is no verb")}
		},
		Commands: []*cli.Command{
			nodeVerb(sh), shareVerb(sh), addVerb(sh), getVerb(sh), catVerb(sh), lsVerb(sh), findVerb(sh),
			statusVerb(sh), verifyVerb(sh), unshareVerb(sh), idVerb(sh), configVerb(sh), versionVerb(sh), labVerb(sh), helpVerb(sh),
		},
	}
	for _, c := range app.Commands {
		c.OnUsageError = onUsageError
		c.HideHelpCommand = true
		c.CustomHelpTemplate = verbTemplate
		c.Description = flagHelp(c.Flags) + c.Description + "\n\n" + exitHelp
	}
	app.Description = flagHelp(app.Flags) + appHelp
	return app
}

func onUsageError(_ *cli.Context, err error, _ bool) error { return &usageError{err} }

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

// optionFlag is the flag of one option of node.Config. Its value is read by
// node.Load, which knows environment and config.toml too.
func optionFlag(key string) cli.Flag {
	for _, o := range node.Options() {
		usage := "`" + o.Arg + "`: " + o.Usage
		switch {
		case o.Key != key:
		case o.List:
			return &cli.StringSliceFlag{Name: key, Usage: usage + ", repeatable", DefaultText: o.Default}
		case o.Arg == "":
			return &cli.BoolFlag{Name: key, Usage: o.Usage}
		default:
			return &cli.StringFlag{Name: key, Usage: usage, DefaultText: o.Default}
		}
	}
	panic("no option " + key)
}

// optionFlags are the flags of several options.
func optionFlags(keys ...string) []cli.Flag {
	var flags []cli.Flag
	for _, k := range keys {
		flags = append(flags, optionFlag(k))
	}
	return flags
}

// Options that the verbs take which may run a node.
var (
	everyNode = []string{"listen", "bootstrap", "mdns", "portmap"}
	rates     = []string{"upload", "download", "lan"}
)

const appHelp = `A content ID (CID) names bytes; whoever has them can prove it. 'shoal share' puts a
file into the swarm and prints its CID and a link, 'shoal get' fetches by either.

EXAMPLE:
   shoal share big.iso                             # on one machine; prints a link
   shoal get 'shoal:bafy...?peer=...'              # on another
   shoal get --origin https://cdn.example.com/big.iso bafy...

` + exitHelp

const appTemplate = `{{.Usage}}

USAGE: {{.UsageText}}
   Flags may stand before or after arguments; "--" ends them.

VERBS:{{range .VisibleCommands}}
   {{printf "%-9s" .Name}}{{.Usage}}{{end}}

{{.Description}}
`

const verbTemplate = `{{.Usage}}

USAGE: {{.HelpName}}{{if .VisibleFlags}} [flags]{{end}}{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}

{{.Description}}
`

// flagHelp lists flags for a help text. The usage of a flag that takes a value
// begins with what the value looks like: "`URL`: words".
func flagHelp(flags []cli.Flag) string {
	var b strings.Builder
	for _, f := range flags {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok || f == cli.HelpFlag {
			continue
		}
		name, usage := "--"+f.Names()[0], doc.GetUsage()
		if len(f.Names()[0]) == 1 {
			name = name[1:]
		}
		if doc.TakesValue() {
			arg, words, _ := strings.Cut(usage, "`: ")
			name, usage = name+" "+strings.TrimPrefix(arg, "`"), words
			if text := doc.GetDefaultText(); text != "" {
				usage += " (default: " + text + ")"
			}
		}
		fmt.Fprintf(&b, "   %-22s %s\n", name, usage)
	}
	if b.Len() == 0 {
		return ""
	}
	return "FLAGS:\n" + b.String() + "\n"
}
