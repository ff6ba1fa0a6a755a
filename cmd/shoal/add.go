package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

func addVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "add", Usage: "put files or directories into the node's index, in place", ArgsUsage: "PATH...",
		Description: `Prints CID, bytes, pieces and name of each PATH, separated by tabs. Files stay where
they are; what changes later is noticed and no longer served.

EXAMPLE: shoal add big.iso photos/`,
		Flags:  append(addFlags(), &cli.BoolFlag{Name: "q", Usage: "print the CID alone"}, &cli.BoolFlag{Name: "only-hash", Usage: "compute, index nothing"}),
		Action: func(c *cli.Context) error { return runAdd(c, sh) },
	}
}

// addFlags are the flags of add and share.
func addFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "copy", Usage: "keep a private copy in the node's directory"},
		&cli.BoolFlag{Name: "hidden", Usage: "take names that begin with a dot too"},
		&cli.BoolFlag{Name: "modes", Usage: "keep the executable bit; changes the CID"},
		&cli.StringFlag{Name: "profile", Usage: "`NAME`: unixfs-v1-2025 or unixfs-v0-2015", DefaultText: "unixfs-v1-2025"},
		&cli.StringFlag{Name: "tree", Usage: "`FILE`: also write the tree for a plain HTTP origin, to stand beside the content as URL.shoal"},
	}
}

// addOptions reads the flags of addFlags.
func addOptions(c *cli.Context) (node.AddOptions, error) {
	if slices.Contains(c.Args().Slice(), "") {
		return node.AddOptions{}, &usageError{errors.New(`"" is no path; the current directory is "."`)}
	}
	opt := node.AddOptions{
		Profile: c.String("profile"), Hidden: c.Bool("hidden"), Modes: c.Bool("modes"), Copy: c.Bool("copy"),
		OnlyHash: c.Bool("only-hash"), TreeFile: c.String("tree"),
	}
	if opt.OnlyHash && opt.Copy {
		return opt, &usageError{errors.New("--only-hash keeps nothing, so it does not go with --copy")}
	}
	if opt.TreeFile != "" {
		if c.NArg() > 1 {
			return opt, &usageError{fmt.Errorf("--tree writes one tree, there are %d paths", c.NArg())}
		}
		file, err := absolute(opt.TreeFile)
		if err != nil {
			return opt, err
		}
		opt.TreeFile = file
	}
	return opt, nil
}

func runAdd(c *cli.Context, sh *shell) (err error) {
	if err := wantArgs(c, 1, -1); err != nil {
		return err
	}
	opt, err := addOptions(c)
	if err != nil {
		return err
	}
	s, err := sh.open(c, offline)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	err = addAll(c, sh, s, opt, func(a node.Added) error {
		switch {
		case sh.json:
			return nil
		case c.Bool("q"):
			return sh.print(a.CID)
		}
		return sh.print(a.CID, strconv.FormatInt(a.Size, 10), strconv.Itoa(a.Pieces), printable(a.Name))
	})
	if err == nil && !s.running && !opt.OnlyHash {
		sh.say("nothing is served yet: run 'shoal node', or 'shoal share' instead of add")
	}
	return err
}

// addAll adds each PATH and shows it as soon as it is hashed; with --json all of
// them are printed at the end.
func addAll(c *cli.Context, sh *shell, s *session, opt node.AddOptions, show func(node.Added) error) error {
	all := []node.Added{}
	for _, path := range c.Args().Slice() {
		a, err := addOne(c.Context, sh, s, path, opt)
		if err != nil {
			return err
		}
		all = append(all, a)
		if err := show(a); err != nil {
			return err
		}
	}
	if sh.json {
		return sh.printJSON(all)
	}
	return nil
}

// addOne adds one path and says what was left out of it.
func addOne(ctx context.Context, sh *shell, s *session, path string, opt node.AddOptions) (node.Added, error) {
	abs, err := absolute(path)
	if err != nil {
		return node.Added{}, err
	}
	show, stop := hashing(sh)
	opt.Progress = show
	var skips skips
	opt.Skip = skips.add
	a, err := s.Add(ctx, abs, opt)
	stop()
	if err != nil {
		return a, err
	}
	if line := skips.line(a.Skipped); line != "" {
		sh.say("%s: %s", printable(a.Name), line)
	}
	return a, nil
}

// skips gathers what an add left out. It keeps the first few names only.
type skips struct {
	n     int
	first []string
}

func (s *skips) add(path, why string) {
	if s.n++; len(s.first) < 3 {
		s.first = append(s.first, printable(path)+" ("+why+")")
	}
}

// line says how many entries were left out; counted is what the node says.
func (s *skips) line(counted int) string {
	n := max(s.n, counted)
	if n == 0 {
		return ""
	}
	line := fmt.Sprintf("left out %s", count(n, "entry", "entries"))
	for i, f := range s.first {
		line += map[bool]string{true: ": ", false: ", "}[i == 0] + f
	}
	if n > len(s.first) && len(s.first) > 0 {
		line += ", ..."
	}
	return line + "; --hidden takes names that begin with a dot"
}
