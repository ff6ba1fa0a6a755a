package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

func nodeVerb(sh *shell) *cli.Command {
	flags := optionFlags(everyNode...)
	flags = append(flags, optionFlag("origin"))
	flags = append(flags, optionFlags(rates...)...)
	return &cli.Command{
		Name: "node", Usage: "run a node in the foreground",
		Description: `Serves what was added or fetched until it is interrupted. Other verbs with the same
--dir use it. It prints a line for each address it listens on and then 'shoal: ready'.

EXAMPLE: shoal node --bootstrap /ip4/192.0.2.7/tcp/7461/p2p/12D3KooW... --upload 20Mbit/s`,
		Flags:  append(flags, optionFlags("address", "tls-cert", "tls-key", "store-max", "announce", "relay", "relay-data", "relay-day", "punch-hard", "cache", "from", "prefetch", "create", "join", "authority")...),
		Action: func(c *cli.Context) error { return runNode(c, sh) },
	}
}

func runNode(c *cli.Context, sh *shell) (err error) {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	cfg, _, err := sh.load(c)
	if err != nil {
		return err
	}
	for i, where := range cfg.Prefetch {
		if node.CheckOrigin(where) != nil {
			if cfg.Prefetch[i], err = absolute(where); err != nil {
				return err
			}
		}
	}
	made := cfg.Create != "" && !node.Private(cfg.Dir)
	s, err := sh.openConfig(c, cfg, online)
	if err != nil {
		return err
	}
	if s.running {
		defer s.close()
		return fmt.Errorf("a node runs in %s already: %s; stop it, or give another --dir", s.cfg.Dir, s.ID())
	}
	defer s.done(c.Context, sh, &err)
	if err := announceNode(c.Context, sh, s); err != nil {
		return err
	}
	if made {
		if err := inviteFirst(c.Context, sh, s); err != nil {
			return err
		}
	}
	if cfg.Cache {
		sh.say("%s", cacheLine(cfg))
	}
	sh.say("ready")
	<-c.Context.Done()
	sh.say("stopping")
	return nil
}

// cacheLine says what a cache fetches.
func cacheLine(cfg node.Config) string {
	scope := "what members look for"
	if len(cfg.From) > 0 {
		scope = "what " + strings.Join(cfg.From, " and ") + " has signed"
	}
	most := cfg.StoreMax
	if most == "" {
		most = "10% of the free disk, 50 GB"
	}
	return "cache: " + scope + ", at most " + most
}

// inviteFirst says of a swarm just made how others get into it.
func inviteFirst(ctx context.Context, sh *shell, s *session) error {
	st, err := s.Status(ctx)
	if err != nil {
		return err
	}
	sh.tellCreated(st.Swarm)
	invite, err := s.SwarmInvite(ctx, node.InviteOptions{})
	if err != nil {
		return err
	}
	sh.say("others join with: shoal node --join %s", invite)
	return nil
}

// announceNode says where a node of this process listens and who may fetch.
func announceNode(ctx context.Context, sh *shell, s *session) error {
	st, err := s.Status(ctx)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return context.Cause(ctx)
		}
		return err
	}
	for _, a := range st.Addrs {
		sh.say("listening on %s", a)
	}
	for _, w := range st.Swarm.Warnings {
		sh.say("%s", w)
	}
	sh.say("%s", sharedWith(st))
	if len(st.Roots) > manyRoots {
		st = node.Status{}
		debug.FreeOSMemory() // else what starting took stays until the collector comes by, minutes later
	}
	return nil
}

// manyRoots take tens of megabytes to start with: a status of 50,000 has 40 MB.
const manyRoots = 5000

// sharedWith says what is shared, and with whom.
func sharedWith(st node.Status) string {
	var bytes int64
	for _, r := range st.Roots {
		bytes += r.Have
	}
	if len(st.Roots) == 0 {
		return audience(st.Swarm) + "; nothing is shared yet"
	}
	return fmt.Sprintf("%s: %s, %s", audience(st.Swarm), count(len(st.Roots), "root", "roots"), size(bytes))
}
