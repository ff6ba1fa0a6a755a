package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
)

func catVerb(sh *shell) *cli.Command {
	flags := []cli.Flag{&cli.StringFlag{Name: "range", Usage: "`FROM-TO`: these bytes only, both included, counted from 0; FROM- runs to the end"}}
	flags = append(flags, fetchFlags()...)
	return &cli.Command{
		Name: "cat", Usage: "write a file to stdout as it is verified", ArgsUsage: "TARGET",
		Description: `EXAMPLE: shoal cat bafy.../notes.txt
         shoal cat --range 0-99 bafy...`,
		Flags:  append(append(flags, optionFlags(rates...)...), optionFlag("store-max")),
		Action: func(c *cli.Context) error { return runCat(c, sh) },
	}
}

func runCat(c *cli.Context, sh *shell) (err error) {
	target, err := oneTarget(c)
	if err != nil {
		return err
	}
	opt, err := fetchOptions(c)
	if err != nil {
		return err
	}
	from, to, err := parseRange(c.String("range"))
	if err != nil {
		return err
	}
	if sh.json {
		return &usageError{errors.New("cat writes the bytes themselves, so it has no --json")}
	}
	cfg, _, err := sh.load(c)
	if err != nil {
		return err
	}
	s, err := sh.openConfig(c, cfg, online)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	w := &watch{sh: sh} // no bar: stdout may be the same terminal
	w.follow(&opt)
	found, err := sh.resolveRoot(c.Context, s, target, &opt)
	if err != nil {
		return interrupted(c.Context, err)
	}
	return interrupted(c.Context, s.Cat(c.Context, found, from, to, sh.stdout, opt))
}

// interrupted turns the end of the user's patience into words; other errors stay.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted) {
		return fmt.Errorf("%w; what is here is kept, the same command goes on from there", errInterrupted)
	}
	return err
}
