package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

func gcVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "gc", Usage: "delete what was only read",
		Description: `What cat and other readers fetched stays in the node's directory, up to --store-max of
'shoal node'. gc deletes it: CID, bytes and name of each root, separated by tabs. It leaves
what was added, fetched to a path or pinned, and what somebody reads now.

EXAMPLE: shoal gc`,
		Action: func(c *cli.Context) error { return runGC(c, sh) },
	}
}

func runGC(c *cli.Context, sh *shell) (err error) {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	s, err := sh.open(c, offline)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	all, err := s.Collect(c.Context)
	if err != nil {
		return err
	}
	sh.say("%s", collected(all))
	if sh.json {
		return sh.printJSON(all)
	}
	for _, f := range all.Freed {
		if err := sh.print(f.CID, strconv.FormatInt(f.Bytes, 10), printable(f.Name)); err != nil {
			return err
		}
	}
	return nil
}

// collected says what a collection did.
func collected(all node.Collected) string {
	line := fmt.Sprintf("freed %s of %s", size(all.Bytes), count(len(all.Freed), "root", "roots"))
	if all.Leftover > 0 {
		line += fmt.Sprintf(", %s of it left over by a lost index", size(all.Leftover))
	}
	var left []string
	if all.Pinned > 0 {
		left = append(left, size(all.Pinned)+" pinned")
	}
	if all.Cached > 0 {
		left = append(left, size(all.Cached)+" in use")
	}
	if len(left) > 0 {
		line += "; left " + strings.Join(left, " and ")
	}
	return line
}
