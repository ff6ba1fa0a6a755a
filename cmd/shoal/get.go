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
	var stay stay
	flags := []cli.Flag{
		&cli.StringFlag{Name: "o", Usage: "`PATH`: the result, new unless --update", DefaultText: "the content's name, else CID"},
		&cli.StringFlag{Name: "class", Usage: "`CLASS`: interactive (default), background (peers first), economy (origin last)"},
		&cli.DurationFlag{Name: "origin-after", Usage: "`D`: leave peers so long before the origin", DefaultText: "as the class says"},
		&cli.StringFlag{Name: "origin-below", Usage: "`RATE`: let the origin help while peers deliver less", DefaultText: "as the class says"},
		&cli.StringFlag{Name: "origin-copies", Usage: "`N/h`: at most N copies of it from origins an hour"},
		&cli.StringSliceFlag{Name: "using", Usage: "`PATH`: take pieces from here, such as an older version; only read, repeatable"},
		&cli.BoolFlag{Name: "update", Usage: "bring what stands at -o to this version, switch when all is here"},
		newStayFlag(&stay),
	}
	flags = append(flags, fetchFlags()...)
	return &cli.Command{
		Name: "get", Usage: "fetch content to a file or directory", ArgsUsage: "TARGET",
		Description: `TARGET is CID, CID/path, ipfs://CID, a shoal: link, a signed manifest (file or URL), or the URL
of content that has one beside it. Every byte is verified. Run again, an interrupted get resumes.
--update deletes only what is of a version fetched or added at that path; else it refuses.

EXAMPLE: shoal get 'shoal:bafy...?peer=/ip4/192.0.2.7/tcp/7461/p2p/12D3KooW...' -o big.iso
         shoal get https://cdn.example.com/app.iso --from 12D3KooW...`,
		Flags:  append(flags, optionFlags(rates...)...),
		Action: func(c *cli.Context) error { return runGet(c, sh, stay) },
	}
}

// got is the JSON of get.
type got struct {
	*node.Result
	Shared shared `json:"shared"`
}

func runGet(c *cli.Context, sh *shell, stay stay) (err error) {
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
	if out := c.String("o"); out != "" || target.where == "" { // else the manifest says what it is called
		if opt.Output, err = outputPath(target.Target, out, opt.Update); err != nil {
			return err
		}
	}
	if opt.Using, err = usingPaths(c.StringSlice("using")); err != nil {
		return err
	}
	s, err := sh.look(c, cfg, target, opt)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	found, err := sh.resolve(c.Context, s, target, &opt)
	if err != nil {
		return interrupted(c.Context, err)
	}
	if opt.Output == "" {
		if opt.Output, err = outputPath(found, "", false); err != nil {
			return err
		}
	}
	result, err := sh.fetch(c.Context, s, found, opt)
	if err != nil {
		return err
	}
	after := stay.of(s)
	if sh.json {
		err = sh.printJSON(got{result, after})
	} else {
		err = sh.print(result.Path)
	}
	if err != nil {
		return err
	}
	if after.By == "get" {
		return seed(c.Context, sh, s, stay, result)
	}
	if !sh.json {
		sh.say("%s", sharedLine(after, result.Size))
	}
	return nil
}

// look says what is being looked for, then finds or starts the node: the words
// come first, since starting takes a moment.
func (sh *shell) look(c *cli.Context, cfg node.Config, target wanted, opt node.FetchOptions) (*session, error) {
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
	w.follow(&opt)
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
