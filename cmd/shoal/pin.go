package main

import (
	"errors"
	"strconv"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

func pinVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "pin", Usage: "keep a root, and fetch it if it is not here", ArgsUsage: "TARGET",
		Description: `A pinned root is never evicted, and unshare refuses it. What is not here of it is fetched
into the node's directory. Prints CID, bytes and name, separated by tabs.

EXAMPLE: shoal pin bafy...`,
		Flags:  append(fetchFlags(), optionFlags(rates...)...),
		Action: func(c *cli.Context) error { return runPin(c, sh) },
	}
}

func runPin(c *cli.Context, sh *shell) (err error) {
	target, err := oneTarget(c)
	if err != nil {
		return err
	}
	opt, err := fetchOptions(c)
	if err != nil {
		return err
	}
	w := newWatch(sh)
	w.follow(&opt)
	p, err := sh.pin(c, target, opt)
	w.stop()
	if err != nil {
		return interrupted(c.Context, err)
	}
	if p.Fetched > 0 {
		sh.say("fetched %s", size(p.Fetched))
	}
	if sh.json {
		return sh.printJSON(p)
	}
	return sh.print(p.CID, strconv.FormatInt(p.Size, 10), printable(p.Name))
}

// pin pins what is here without a network, and starts one only if it must.
func (sh *shell) pin(c *cli.Context, target wanted, opt node.FetchOptions) (p node.Pinned, err error) {
	needs := []need{offline, online}
	if target.where != "" {
		needs = needs[1:]
	}
	for _, want := range needs {
		p, err = sh.pinBy(c, target, opt, want)
		if !errors.Is(err, node.ErrOffline) {
			break
		}
	}
	return p, err
}

func (sh *shell) pinBy(c *cli.Context, target wanted, opt node.FetchOptions, want need) (p node.Pinned, err error) {
	s, err := sh.open(c, want)
	if err != nil {
		return p, err
	}
	defer s.done(c.Context, sh, &err)
	found, err := sh.resolveRoot(c.Context, s, target, &opt)
	if err != nil {
		return p, err
	}
	return s.Pin(c.Context, found, opt)
}

func unpinVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "unpin", Usage: "take pin back", ArgsUsage: "CID",
		Description: `Your own files stay as they are. What pin fetched stays until gc, or until room is needed.

EXAMPLE: shoal unpin bafy...`,
		Action: func(c *cli.Context) error { return runUnpin(c, sh) },
	}
}

func runUnpin(c *cli.Context, sh *shell) error {
	return onRoot(c, sh, "pinned", func(s *session, root string) error { return s.Unpin(c.Context, root) })
}
