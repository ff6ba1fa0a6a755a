package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

func findVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "find", Usage: "find who has content", ArgsUsage: "CID",
		Description: `Prints a line for each provider as it is found: its peer ID and addresses, separated
by spaces. Exit code 3 when there is none.

EXAMPLE: shoal find bafy...`,
		Flags:  append(optionFlags(everyNode...), peerFlag(), timeoutFlag("in total")),
		Action: func(c *cli.Context) error { return runFind(c, sh) },
	}
}

func runFind(c *cli.Context, sh *shell) (err error) {
	target, err := rootTarget(c)
	if err != nil {
		return err
	}
	if target.Path != "" {
		return &usageError{errors.New("providers are found by the CID of a root, without a path")}
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
	all := []node.Provider{}
	var failed error
	err = s.Find(c.Context, target, opt, func(p node.Provider) {
		if p.Addrs == nil {
			p.Addrs = []string{}
		}
		all = append(all, p)
		if !sh.json && failed == nil {
			failed = sh.print(strings.Join(append([]string{p.ID}, p.Addrs...), " "))
		}
	})
	if err = errors.Join(failed, interrupted(c.Context, err)); err != nil {
		return err
	}
	if sh.json {
		if err := sh.printJSON(all); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return &codedError{exitUnavailable, fmt.Errorf("no provider of %v found", target.Root)}
	}
	return nil
}
