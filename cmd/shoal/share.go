package main

import (
	"cmp"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

func shareVerb(sh *shell) *cli.Command {
	flags := append(addFlags(), optionFlags(everyNode...)...)
	return &cli.Command{
		Name: "share", Usage: "add, then stay and serve until interrupted", ArgsUsage: "PATH...",
		Description: `Prints the CID of each PATH, and a link for the other machine on stderr. When a node
runs in the directory, it serves and share returns at once.

EXAMPLE: shoal share big.iso`,
		Flags:  append(flags, optionFlags(rates...)...),
		Action: func(c *cli.Context) error { return runShare(c, sh) },
	}
}

func runShare(c *cli.Context, sh *shell) (err error) {
	if err := wantArgs(c, 1, -1); err != nil {
		return err
	}
	opt, err := addOptions(c)
	if err != nil {
		return err
	}
	s, err := sh.open(c, online)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	err = addAll(c, sh, s, opt, func(a node.Added) error {
		if !sh.json {
			if err := sh.print(a.CID); err != nil {
				return err
			}
		}
		sh.say("on another machine: shoal get %s", shellQuote(cmp.Or(a.Link, a.CID)))
		return nil
	})
	if err != nil {
		return err
	}
	if s.running {
		sh.say("the running node serves it")
		return nil
	}
	if err := announceNode(c.Context, sh, s); err != nil {
		return err
	}
	sh.say("serving until interrupted (Ctrl-C)")
	sh.say("ready")
	<-c.Context.Done()
	sh.say("stopping")
	return nil
}
