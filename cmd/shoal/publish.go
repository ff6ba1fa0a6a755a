package main

import (
	"errors"
	"strings"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

func publishVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "publish", Usage: "add a path and sign a manifest of it, for a plain HTTP origin", ArgsUsage: "PATH",
		Description: `The manifest says which bytes are this version of NAME, and where they are. Upload it beside
the content, as URL.shoal, or pass it on. Published again to the same FILE it is the next
version. Modes of executables are kept. Prints the CID.

EXAMPLE: shoal publish app.iso --key publisher.key --origin https://cdn.example.com/app.iso \
            --version 1.2 -o app.iso.shoal`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "key", Usage: "`FILE`: made by 'shoal key create'"},
			&cli.StringSliceFlag{Name: "origin", Usage: "`URL`: where the content stands for who finds no peer, repeatable"},
			&cli.StringSliceFlag{Name: "bootstrap", Usage: "`MULTIADDR`: of a node to join through, ending in /p2p/ID, repeatable"},
			&cli.StringFlag{Name: "name", Usage: "`NAME`: the same in every version", DefaultText: "the name of PATH"},
			&cli.StringFlag{Name: "version", Usage: "`V`: for people", DefaultText: "none"},
			&cli.BoolFlag{Name: "hidden", Usage: "take names that begin with a dot too"},
			&cli.BoolFlag{Name: "no-hidden", Usage: "leave them out"},
			&cli.StringFlag{Name: "o", Usage: "`FILE`: the manifest, where the version before may stand"},
		},
		Action: func(c *cli.Context) error { return runPublish(c, sh) },
	}
}

// publishOptions reads the flags of publish.
func publishOptions(c *cli.Context) (node.PublishOptions, error) {
	opt := node.PublishOptions{
		KeyFile: c.String("key"), Out: c.String("o"), Name: c.String("name"), Version: c.String("version"),
		Origins: c.StringSlice("origin"), Bootstrap: c.StringSlice("bootstrap"),
		Hidden: c.Bool("hidden"), NoHidden: c.Bool("no-hidden"),
	}
	switch {
	case opt.KeyFile == "":
		return opt, &usageError{errors.New("publish needs --key FILE, which signs; 'shoal key create FILE' makes one")}
	case len(opt.Origins) == 0:
		return opt, &usageError{errors.New("publish needs --origin URL: where the content stands for who finds no peer")}
	case opt.Out == "":
		return opt, &usageError{errors.New("publish needs -o FILE, the manifest")}
	case opt.Hidden && opt.NoHidden:
		return opt, &usageError{errors.New("--hidden and --no-hidden say the opposite of each other")}
	}
	for _, p := range []*string{&opt.KeyFile, &opt.Out} {
		abs, err := absolute(*p)
		if err != nil {
			return opt, err
		}
		*p = abs
	}
	return opt, nil
}

func runPublish(c *cli.Context, sh *shell) (err error) {
	if err := wantArgs(c, 1, 1); err != nil {
		return err
	}
	opt, err := publishOptions(c)
	if err != nil {
		return err
	}
	path, err := absolute(c.Args().First())
	if err != nil {
		return err
	}
	s, err := sh.open(c, offline)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	var skips skips
	show, stop := hashing(sh)
	opt.Progress, opt.Skip = show, skips.add
	p, err := s.Publish(c.Context, path, opt)
	stop()
	if err != nil {
		return err
	}
	if p.Skipped > 0 {
		sh.say("%s", skips.line(p.Skipped))
	}
	sh.say("%s, %s, signed by %s as sequence %d", printable(strings.TrimSpace(p.Name+" "+p.Version)), size(p.Size), p.Publisher, p.Sequence)
	sh.say("upload %s beside the content, as %s.shoal; others: shoal get %s", printable(p.Path), printable(strings.TrimSuffix(opt.Origins[0], "/")), shellQuote(opt.Origins[0]))
	if !s.running {
		sh.say("nothing is served yet: run 'shoal node'")
	}
	if sh.json {
		return sh.printJSON(p)
	}
	return sh.print(p.CID)
}
