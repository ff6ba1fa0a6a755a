package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

func getVerb(sh *shell) *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "o", Usage: "`PATH`: the result, new unless --update", DefaultText: "the content's name, else CID"},
		&cli.StringFlag{Name: "class", Usage: "`CLASS`: interactive (default), background (peers first), economy (origin last)"},
		&cli.DurationFlag{Name: "origin-after", Usage: "`D`: leave peers so long before the origin", DefaultText: "as the class says"},
		&cli.StringSliceFlag{Name: "using", Usage: "`PATH`: take pieces from here, such as an older version; only read, repeatable"},
		&cli.BoolFlag{Name: "update", Usage: "bring what stands at -o to this version, and switch when all of it is here"},
		&cli.BoolFlag{Name: "seed", Usage: "stay and serve when done"},
	}
	flags = append(flags, fetchFlags()...)
	return &cli.Command{
		Name: "get", Usage: "fetch content to a file or directory", ArgsUsage: "TARGET",
		Description: `TARGET is CID, CID/path, ipfs://CID or a shoal: link. Every byte is verified before it
counts. An interrupted get resumes when it is run again. Prints the final path.

--update deletes what the new version lacks, but only what is of a version fetched or added at
that path; it refuses if anything else is there. Until it switches it needs room for both.

EXAMPLE: shoal get 'shoal:bafy...?peer=/ip4/192.0.2.7/tcp/7461/p2p/12D3KooW...' -o big.iso
         shoal get bafy... -o site --update`,
		Flags:  append(flags, optionFlags(rates...)...),
		Action: func(c *cli.Context) error { return runGet(c, sh) },
	}
}

func runGet(c *cli.Context, sh *shell) (err error) {
	target, err := oneTarget(c)
	if err != nil {
		return err
	}
	opt, err := fetchOptions(c)
	if err != nil {
		return err
	}
	cfg, _, err := sh.load(c)
	if err != nil {
		return err
	}
	if opt.Update = c.Bool("update"); opt.Update && c.String("o") == "" {
		return &usageError{errors.New("--update goes with -o: say what is to be updated")}
	}
	if opt.Output, err = outputPath(target, c.String("o"), opt.Update); err != nil {
		return err
	}
	if opt.Using, err = usingPaths(c.StringSlice("using")); err != nil {
		return err
	}
	s, err := sh.look(c, cfg, target, opt)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	result, err := sh.fetch(c.Context, s, target, opt)
	if err != nil {
		return err
	}
	if sh.json {
		err = sh.printJSON(result)
	} else {
		err = sh.print(result.Path)
	}
	if err != nil || !c.Bool("seed") {
		return err
	}
	return seed(c.Context, sh, s)
}

// look says what is being looked for, then finds or starts the node: the words
// come first, since starting takes a moment.
func (sh *shell) look(c *cli.Context, cfg node.Config, target merkle.Target, opt node.FetchOptions) (*session, error) {
	client, err := node.Dial(cfg.Dir)
	sh.say("%s", lookingLine(target, cfg, opt, err == nil))
	if err == nil {
		client.Close()
	}
	return sh.openConfig(c, cfg, online)
}

// fetch runs Fetch, shows it, and says the summary.
func (sh *shell) fetch(ctx context.Context, s *session, target merkle.Target, opt node.FetchOptions) (*node.Result, error) {
	opt.Name = contentName(target, filepath.Base(opt.Output))
	w := newWatch(sh)
	opt.Progress = w.show
	result, err := s.Fetch(ctx, target, opt)
	w.stop()
	if err != nil {
		return nil, interrupted(ctx, err)
	}
	if !sh.json {
		for _, line := range summary(result) {
			sh.say("%s", line)
		}
	}
	return result, nil
}

// seed stays until interrupted, or returns at once when a running node serves.
func seed(ctx context.Context, sh *shell, s *session) error {
	if s.running {
		sh.say("the running node serves it")
		return nil
	}
	if err := announceNode(ctx, sh, s); err != nil {
		return err
	}
	sh.say("seeding until interrupted (Ctrl-C)")
	<-ctx.Done()
	sh.say("stopping")
	return nil
}

// usingPaths makes paths absolute and refuses those that are not there.
func usingPaths(paths []string) ([]string, error) {
	var out []string
	for _, path := range paths {
		abs, err := absolute(path)
		if err == nil {
			_, err = os.Stat(abs)
		}
		if err != nil {
			return nil, &usageError{fmt.Errorf("--using: %w", err)}
		}
		out = append(out, abs)
	}
	return out, nil
}
