package main

import (
	"errors"
	"fmt"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

func verifyVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "hash again what is held", ArgsUsage: "[CID]",
		Description: `Prints what is bad: CID, piece, path and why, separated by tabs; exit code 4 then. It is
no longer served; your files are not touched.

EXAMPLE: shoal verify`,
		Action: func(c *cli.Context) error { return runVerify(c, sh) },
	}
}

func runVerify(c *cli.Context, sh *shell) (err error) {
	root, err := optionalRoot(c)
	if err != nil {
		return err
	}
	s, err := sh.open(c, offline)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	all := []node.Bad{}
	var failed error
	err = s.Verify(c.Context, root, func(b node.Bad) {
		all = append(all, b)
		if !sh.json && failed == nil {
			failed = sh.print(b.CID, fmt.Sprint(b.Piece), printable(b.Path), b.Error)
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
	if len(all) > 0 {
		return &codedError{exitVerification, fmt.Errorf("%s bad and no longer served; the files are as they were", count(len(all), "piece is", "pieces are"))}
	}
	sh.say("all that is held is good")
	return nil
}
