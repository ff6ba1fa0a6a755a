package main

import (
	"strconv"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

func lsVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "list the entries of a directory", ArgsUsage: "TARGET",
		Description: `Prints type, size, name and CID of each entry, separated by tabs.

EXAMPLE: shoal ls bafy.../photos`,
		Flags:  fetchFlags(),
		Action: func(c *cli.Context) error { return runLs(c, sh) },
	}
}

func runLs(c *cli.Context, sh *shell) (err error) {
	target, err := oneTarget(c)
	if err != nil {
		return err
	}
	opt, err := fetchOptions(c)
	if err != nil {
		return err
	}
	s, err := sh.open(c, online)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	w := &watch{sh: sh}
	w.follow(&opt)
	found, err := sh.resolveRoot(c.Context, s, target, &opt)
	if err != nil {
		return interrupted(c.Context, err)
	}
	entries, err := s.List(c.Context, found, opt)
	if err != nil {
		return interrupted(c.Context, err)
	}
	if sh.json {
		if entries == nil {
			entries = []node.Entry{}
		}
		return sh.printJSON(entries)
	}
	for _, e := range entries {
		if err := sh.print(e.Type, strconv.FormatInt(e.Size, 10), printable(e.Name), e.CID); err != nil {
			return err
		}
	}
	return nil
}
