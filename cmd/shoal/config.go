package main

import (
	"fmt"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

func configVerb(sh *shell) *cli.Command {
	var keys []string
	for _, o := range node.Options() {
		if o.Key != "log-level" { // a global flag
			keys = append(keys, o.Key)
		}
	}
	return &cli.Command{
		Name: "config", Usage: "show the effective settings and where each came from",
		Description: `Flags win over SHOAL_* variables, these over config.toml in the node's directory, that
over defaults. One key is one flag is one variable: mdns, --mdns, SHOAL_MDNS.

EXAMPLE: shoal config`,
		Flags:  optionFlags(keys...),
		Action: func(c *cli.Context) error { return runConfig(c, sh) },
	}
}

func runConfig(c *cli.Context, sh *shell) error {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	cfg, settings, err := sh.load(c)
	if err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON(settings)
	}
	sh.say("directory %s", cfg.Dir)
	for _, s := range settings {
		if err := sh.print(fmt.Sprintf("%-10s", s.Key), s.Value, s.Source); err != nil {
			return err
		}
	}
	return nil
}
