package main

import (
	"errors"
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
		UsageText:       "shoal [--dir DIR] [--swarm NAME] [--json] [--log-level L] VERB ...",
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
			&cli.StringFlag{Name: "swarm", Usage: "`NAME`: of a private swarm with its own directory below DIR (SHOAL_SWARM)", DefaultText: "none"},
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
			statusVerb(sh), verifyVerb(sh), unshareVerb(sh), pinVerb(sh), unpinVerb(sh), gcVerb(sh), idVerb(sh), configVerb(sh), versionVerb(sh), doctorVerb(sh), labVerb(sh), swarmVerb(sh), keyVerb(sh), publishVerb(sh),
			completionVerb(sh), helpVerb(sh),
		},
	}
	for _, c := range app.Commands {
		c.OnUsageError = onUsageError
		c.HideHelpCommand = true
		c.CustomHelpTemplate = verbTemplate
		c.Description = verbHelp(c)
	}
	app.Description = flagHelp(app.Flags) + appHelp + exitHelp(exitUnavailable, exitVerification)
	return app
}

// onUsageError rewords the flag package, which writes flags with one dash.
func onUsageError(_ *cli.Context, err error, _ bool) error {
	words := strings.Replace(err.Error(), " for flag -", " for --", 1)
	return &usageError{errors.New(strings.Replace(words, ": parse error", "", 1))}
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
	everyNode = []string{"listen", "bootstrap", "mdns", "portmap", "ca"}
	rates     = []string{"upload", "download", "lan"}
)
