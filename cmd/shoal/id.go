package main

import "github.com/urfave/cli/v2"

func idVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "id", Usage: "print this node's peer ID",
		Description: `EXAMPLE: shoal id`,
		Action:      func(c *cli.Context) error { return runID(c, sh) },
	}
}

func runID(c *cli.Context, sh *shell) (err error) {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	s, err := sh.open(c, offline)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	if sh.json {
		return sh.printJSON(struct {
			PeerID string `json:"peer_id"`
		}{s.ID()})
	}
	return sh.print(s.ID())
}
