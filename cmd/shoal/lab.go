package main

import (
	"errors"

	"github.com/urfave/cli/v2"
)

func labVerb(sh *shell) *cli.Command {
	return &cli.Command{Name: "lab", Usage: "distribute a real file on this machine and show where the bytes came from", ArgsUsage: "[PATH]",
		Action: func(c *cli.Context) error { return errors.New("this build has no lab") }}
}
