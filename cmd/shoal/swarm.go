package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

// maxInviteInput is how much of standard input is read for an invite, in bytes.
const maxInviteInput = 64 << 10

// swarmVerbs are what 'shoal swarm' can be told to do: the flags that each takes,
// how many arguments, and what it does.
var swarmVerbs = map[string]struct {
	flags    []string
	min, max int
	run      func(c *cli.Context, sh *shell, args []string) error
}{
	"create":  {[]string{"authority"}, 1, 1, swarmCreate},
	"invite":  {[]string{"expires", "uses", "role"}, 0, 0, swarmInvite},
	"join":    {nil, 1, 1, swarmJoin},
	"members": {nil, 0, 0, swarmMembers},
	"revoke":  {nil, 1, 1 << 10, swarmRevoke},
	"leave":   {nil, 0, 0, swarmLeave},
	"status":  {nil, 0, 0, swarmShow},
}

func swarmVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "swarm", Usage: "private swarms: create, invite, join, members, revoke, leave, status",
		ArgsUsage: "create NAME|invite|join INVITE|members|revoke ID...|leave|status",
		Description: `In a private swarm only members reach each other's content. An invite is a secret string
that lets others in for a while; 'shoal swarm join -' reads it from standard input. Members
renew each other's memberships; a revoked one is disconnected everywhere within seconds.
'shoal --swarm NAME ...' gives a swarm its own directory below DIR.

EXAMPLE: shoal swarm create studio
         shoal swarm invite --expires 2d --uses 3
         shoal swarm revoke 12D3KooW...`,
		Flags: []cli.Flag{
			optionFlag("authority"),
			&cli.StringFlag{Name: "expires", Usage: "`D`: an invite ends after so long, such as 12h or 7d", DefaultText: "7d"},
			&cli.Uint64Flag{Name: "uses", Usage: "`N`: members that an invite lets in", DefaultText: "10"},
			&cli.StringFlag{Name: "role", Usage: "`ROLES`: comma-separated: member, publisher, cache, relay, inviter, revoker", DefaultText: "member"},
		},
		Action: func(c *cli.Context) error { return runSwarm(c, sh) },
	}
}

func runSwarm(c *cli.Context, sh *shell) error {
	name := c.Args().First()
	verb, ok := swarmVerbs[name]
	if !ok {
		return &usageError{errors.New("what shall happen with the swarm? There are create, invite, join, members, revoke, leave, status")}
	}
	for _, f := range []string{"authority", "expires", "uses", "role"} {
		if c.IsSet(f) && !slices.Contains(verb.flags, f) {
			return &usageError{fmt.Errorf("--%s does not go with swarm %s", f, name)}
		}
	}
	args := c.Args().Tail()
	if len(args) < verb.min || len(args) > verb.max {
		return &usageError{fmt.Errorf("swarm %s takes %s", name, map[string]string{
			"create": "the swarm's name", "join": "one invite, or - for standard input", "revoke": "peer IDs or invites",
		}[name])}
	}
	return verb.run(c, sh, args)
}

// swarmCreate makes a swarm with the node of the directory as its first member.
func swarmCreate(c *cli.Context, sh *shell, args []string) error {
	cfg, _, err := sh.settings(c)
	if err != nil {
		return err
	}
	if node.Private(cfg.Dir) {
		return fmt.Errorf("%s is in a private swarm already ('shoal swarm status'); give the new one its own directory: --swarm %s", cfg.Dir, args[0])
	}
	cfg.Create, cfg.Join = args[0], ""
	if err := cfg.Validate(); err != nil {
		return err
	}
	return sh.enter(c, cfg, func(st node.SwarmStatus) {
		sh.tellCreated(st)
		sh.say("run it by: shoal node; let others in by: shoal swarm invite")
	})
}

// enter makes the directory part of the swarm that cfg creates or joins, says so,
// and prints what swarm that is.
func (sh *shell) enter(c *cli.Context, cfg node.Config, say func(node.SwarmStatus)) (err error) {
	s, err := sh.stopped(c, cfg)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	st, err := s.Status(c.Context)
	if err != nil {
		return err
	}
	say(st.Swarm)
	if sh.json {
		return sh.printJSON(st.Swarm)
	}
	return sh.print(st.Swarm.ID)
}

// stopped opens the directory without a network, and refuses while a node runs
// in it: that node is in another swarm already.
func (sh *shell) stopped(c *cli.Context, cfg node.Config) (*session, error) {
	s, err := sh.openConfig(c, cfg, offline)
	if err != nil {
		return nil, err
	}
	if s.running {
		return nil, errors.Join(fmt.Errorf("a node runs in %s: stop it first, or give the swarm its own directory by --swarm NAME", cfg.Dir), s.close())
	}
	return s, nil
}

// tellCreated says what somebody who made a swarm must know.
func (sh *shell) tellCreated(st node.SwarmStatus) {
	sh.say("made the private swarm %s, this node is its first member", printable(st.Name))
	sh.say("its own key is %s: copy it to a safe place that is not this machine. Whoever has it rules the swarm; "+
		"without it the swarm runs on, but nobody can replace its first inviter", st.Authority)
}

func swarmInvite(c *cli.Context, sh *shell, _ []string) (err error) {
	opt := node.InviteOptions{Uses: c.Uint64("uses"), Roles: c.String("role")}
	if c.IsSet("uses") && opt.Uses == 0 {
		return &usageError{errors.New("an invite of no use: --uses is at least 1")}
	}
	if text := c.String("expires"); text != "" {
		if opt.Expires, err = parseDays(text); err != nil {
			return &usageError{err}
		}
	}
	s, err := sh.open(c, offline)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	invite, err := s.SwarmInvite(c.Context, opt)
	if err != nil {
		return err
	}
	if !s.running {
		sh.say("no node runs here: whoever joins must find a member by the addresses that this node had last, or on a LAN")
	}
	sh.say("a secret: whoever has it gets in. On another machine: shoal node --join INVITE")
	if sh.json {
		return sh.printJSON(map[string]string{"invite": invite})
	}
	return sh.print(invite)
}

// parseDays reads a duration, with d for days too.
func parseDays(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n float64
		if n, err = strconv.ParseFloat(days, 64); err == nil {
			d = time.Duration(n * 24 * float64(time.Hour))
		}
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("invalid value %q for --expires; such as 12h or 7d", s)
	}
	return d, nil
}

func swarmJoin(c *cli.Context, sh *shell, args []string) (err error) {
	cfg, _, err := sh.settings(c)
	if err != nil {
		return err
	}
	cfg.Create = ""
	if cfg.Join, err = readInvite(args[0], sh.stdin); err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	return sh.enter(c, cfg, func(st node.SwarmStatus) {
		sh.say("joined the private swarm %s; run it by: shoal node", printable(st.Name))
	})
}

// readInvite replaces "-" by what stands on standard input.
func readInvite(invite string, stdin io.Reader) (string, error) {
	if invite != "-" {
		return invite, nil
	}
	b, err := io.ReadAll(io.LimitReader(stdin, maxInviteInput))
	if err != nil {
		return "", fmt.Errorf("read the invite: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" || text == "-" {
		return "", &usageError{errors.New("no invite on standard input")}
	}
	return text, nil
}

func swarmMembers(c *cli.Context, sh *shell, _ []string) (err error) {
	s, err := sh.open(c, offline)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	members, err := s.SwarmMembers(c.Context)
	if err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON(members)
	}
	sh.say("members that this node has met: ID, roles, end of the membership, state")
	for _, m := range members {
		state := []string{}
		for word, is := range map[string]bool{"this node": m.Self, "connected": m.Connected, "provisional": m.Provisional, "revoked": m.Revoked} {
			if is {
				state = append(state, word)
			}
		}
		if err := sh.print(m.ID, cmp.Or(m.Roles, "none"), cmp.Or(m.Expires, "ended"), strings.Join(sorted(state), ", ")); err != nil {
			return err
		}
	}
	return nil
}

func swarmRevoke(c *cli.Context, sh *shell, args []string) (err error) {
	s, err := sh.open(c, offline)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	if err := s.SwarmRevoke(c.Context, args); err != nil {
		return err
	}
	if s.running {
		sh.say("revoked; connected members are told now, others at their next contact")
	} else {
		sh.say("revoked; no node runs here: members are told when one does")
	}
	members, err := s.SwarmMembers(c.Context)
	if err != nil {
		return err
	}
	for _, m := range members {
		if slices.Contains(args, m.By) && !m.Revoked && !m.Self {
			sh.say("%s was brought in by %s: it is out if no other inviter has renewed it; to make sure, revoke it too", m.ID, m.By)
		}
	}
	return nil
}

func swarmLeave(c *cli.Context, sh *shell, _ []string) error {
	cfg, _, err := sh.load(c)
	if err != nil {
		return err
	}
	if running, err := node.Dial(cfg.Dir); err == nil {
		return errors.Join(fmt.Errorf("a node runs in %s: stop it first", cfg.Dir), running.Close())
	}
	name, roots, err := node.LeaveSwarm(c.Context, cfg)
	if err != nil {
		return err
	}
	sh.say("left the private swarm %s; %s taken back, files stay where they are", printable(name), count(roots, "root", "roots"))
	key := filepath.Join(cfg.Dir, "authority.key")
	if _, err := os.Lstat(key); err == nil {
		sh.say("the swarm's own key is still in %s", key)
	}
	return nil
}

func swarmShow(c *cli.Context, sh *shell, _ []string) (err error) {
	s, err := sh.open(c, offline)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	st, err := s.Status(c.Context)
	if err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON(st.Swarm)
	}
	for _, line := range swarmLines(st.Swarm) {
		if err := sh.print(line); err != nil {
			return err
		}
	}
	return nil
}
