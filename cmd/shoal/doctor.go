package main

import (
	"context"
	"fmt"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

func doctorVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "say what works from here, and what to do about the rest",
		Description: `Looks at ports, addresses, NAT, relays, DHT, LAN, origins, clock, disk and limits, each ok,
warning or failing, with what to do behind ->. The kind of NAT is found by asking two
public peers. It uses the running node, else it runs one for some seconds. Exit code 1 when
something fails.

EXAMPLE: shoal doctor --origin https://cdn.example.com/big.iso`,
		Flags:  append(optionFlags(everyNode...), optionFlag("origin")),
		Action: func(c *cli.Context) error { return runDoctor(c, sh) },
	}
}

func runDoctor(c *cli.Context, sh *shell) (err error) {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	ca, err := node.ReadCA(c.String("ca"))
	if err != nil {
		return err
	}
	s, err := sh.open(c, online)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	checks, err := s.Doctor(c.Context, node.DoctorOptions{
		Origins: c.StringSlice("origin"), Bootstrap: c.StringSlice("bootstrap"), CA: ca,
	})
	if c.Context.Err() != nil {
		return context.Cause(c.Context)
	}
	if err != nil {
		return err
	}
	if err := sh.printChecks(checks); err != nil {
		return err
	}
	failing := 0
	for _, check := range checks {
		if check.State == node.CheckFailing {
			failing++
		}
	}
	if failing > 0 {
		return &codedError{exitFailed, fmt.Errorf("%d of %d checks fail", failing, len(checks))}
	}
	return nil
}

// printChecks prints a line a check, and below it what to do.
func (sh *shell) printChecks(checks []node.Check) error {
	if sh.json {
		return sh.printJSON(checks)
	}
	for _, c := range checks {
		if err := sh.print(fmt.Sprintf("%-8s %-9s  %s", c.State, c.Check, printable(c.Detail))); err != nil {
			return err
		}
		if c.Hint == "" {
			continue
		}
		if err := sh.print(fmt.Sprintf("%20s-> %s", "", printable(c.Hint))); err != nil {
			return err
		}
	}
	return nil
}
