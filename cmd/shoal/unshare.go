package main

import (
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/urfave/cli/v2"
)

func unshareVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "unshare", Usage: "serve a root no more", ArgsUsage: "CID",
		Description: `No file outside the node's directory is deleted. A pinned root is refused: unpin it first.

EXAMPLE: shoal unshare bafy...`,
		Action: func(c *cli.Context) error { return runUnshare(c, sh) },
	}
}

func runUnshare(c *cli.Context, sh *shell) error {
	return onRoot(c, sh, "served", func(s *session, root string) error { return s.Unshare(c.Context, root) })
}

// onRoot does something to the root that is the only argument, after which it is
// no longer what the word says.
func onRoot(c *cli.Context, sh *shell, word string, do func(s *session, root string) error) (err error) {
	if err := wantArgs(c, 1, 1); err != nil {
		return err
	}
	root, err := merkle.Parse(c.Args().First())
	if err != nil {
		return &usageError{err}
	}
	s, err := sh.open(c, offline)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	if err := do(s, root.String()); err != nil {
		return err
	}
	sh.say("%v is no longer %s", root, word)
	return nil
}
