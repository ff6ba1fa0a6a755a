package main

import (
	"errors"
	"fmt"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

func keyVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "key", Usage: "a publisher's key: create it, show its public half", ArgsUsage: "create FILE|show FILE",
		Description: `'shoal publish' signs with it. FILE is the secret: only its owner may read it, and who loses it
cannot publish under its name any more. It is never overwritten. Both print the public key,
by which others know the publisher.

EXAMPLE: shoal key create ~/publisher.key
         shoal key show ~/publisher.key`,
		Action: func(c *cli.Context) error { return runKey(c, sh) },
	}
}

func runKey(c *cli.Context, sh *shell) error {
	verb := c.Args().First()
	if verb != "create" && verb != "show" {
		return &usageError{errors.New("what shall happen with the key? There are create and show")}
	}
	if c.NArg() != 2 || c.Args().Get(1) == "" {
		return &usageError{fmt.Errorf("key %s takes one FILE", verb)}
	}
	file, err := absolute(c.Args().Get(1))
	if err != nil {
		return err
	}
	_, publisher, err := node.ReadKey(file)
	if verb == "create" {
		publisher, err = node.CreateKey(file)
	}
	if err != nil {
		return err
	}
	if verb == "create" {
		sh.say("made %s: keep it secret, and keep a copy where this machine cannot lose it", printable(file))
	}
	if sh.json {
		return sh.printJSON(map[string]string{"publisher": publisher.String()})
	}
	return sh.print(publisher.String())
}
