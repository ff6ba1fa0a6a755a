package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

// fetchFlags are the flags of every verb that looks for content. origin and
// bootstrap are options of the node too; here they are of the one request, so
// that a running node takes them.
func fetchFlags() []cli.Flag {
	flags := optionFlags(everyNode...)
	flags = append(flags, optionFlag("origin"))
	return append(flags,
		peerFlag(),
		&cli.StringSliceFlag{Name: "origin-header", Usage: "`'K: V'`: sent to the origins named here; @FILE or 'K: @FILE' reads it, repeatable"},
		timeoutFlag("without a useful byte"),
		&cli.DurationFlag{Name: "deadline", Usage: "`D`: give up after so long in total", DefaultText: "none"},
		&cli.StringSliceFlag{Name: "from", Usage: "`PUBKEY`: who must have signed the manifest; trusted from now on, repeatable"},
		&cli.BoolFlag{Name: "unverified", Usage: "take what nobody vouches for from a URL"},
	)
}

func peerFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "peer", Usage: "`MULTIADDR`: ask this peer directly, an address ending in /p2p/ID, repeatable"}
}

func timeoutFlag(of string) cli.Flag {
	return &cli.DurationFlag{Name: "timeout", Usage: "`D`: give up after so long " + of, Value: 2 * time.Minute}
}

// wanted is the TARGET of a verb.
type wanted struct {
	merkle.Target        // without a root while where is to be resolved
	where         string // a file or URL that names the content; "" for a content ID or link
}

// String is what is looked for, in words.
func (w wanted) String() string {
	if w.where != "" {
		return w.where
	}
	name := w.Root.String()
	if w.Path != "" {
		name += "/" + printable(w.Path)
	}
	return name
}

// oneTarget reads the only argument of a verb as a TARGET.
func oneTarget(c *cli.Context) (wanted, error) {
	if err := wantArgs(c, 1, 1); err != nil {
		return wanted{}, err
	}
	arg := c.Args().First()
	if node.CheckOrigin(arg) == nil {
		return wanted{where: arg}, nil
	}
	t, err := merkle.ParseTarget(arg)
	if err == nil && (c.IsSet("from") || c.Bool("unverified")) {
		err = errors.New("--from and --unverified go with a manifest or URL; a content ID says by itself which bytes are right")
		return wanted{}, &usageError{err}
	}
	if err == nil {
		return wanted{Target: t}, nil
	}
	if _, e := os.Stat(arg); e == nil || strings.HasSuffix(arg, ".shoal") {
		abs, err := absolute(arg)
		return wanted{where: abs}, err
	}
	return wanted{}, &usageError{err}
}

// rootTarget is oneTarget for verbs that look for a root by its ID alone.
func rootTarget(c *cli.Context) (merkle.Target, error) {
	w, err := oneTarget(c)
	if err == nil && w.where != "" {
		err = &usageError{fmt.Errorf("%s takes a content ID, not a manifest; 'shoal get --json' prints it", c.Command.Name)}
	}
	return w.Target, err
}

// resolve finds out what a file or URL names, says who vouches for it, and
// completes the options.
func (sh *shell) resolve(ctx context.Context, s node.API, w wanted, opt *node.FetchOptions) (merkle.Target, error) {
	if w.where == "" {
		return w.Target, nil
	}
	r, err := s.Resolve(ctx, w.where, *opt)
	if err != nil {
		return w.Target, err
	}
	opt.Signed, opt.URL = r.Signed, r.URL
	opt.Origins = append(opt.Origins, r.Origins...)
	for _, line := range trustLines(r) {
		sh.say("%s", line)
	}
	if opt.Unverified = opt.Unverified && r.Signed == nil; opt.Unverified {
		sh.say("nobody vouches for what %s names: it is NOT verified", printable(w.where))
	}
	return r.Target, nil
}

// resolveRoot is resolve for what needs to know which bytes are right.
func (sh *shell) resolveRoot(ctx context.Context, s node.API, w wanted, opt *node.FetchOptions) (merkle.Target, error) {
	target, err := sh.resolve(ctx, s, w, opt)
	if err == nil && opt.URL != "" {
		err = &usageError{errors.New("what has no tree can only be got whole: use get")}
	}
	return target, err
}

// trustLines say who has signed what is fetched, and why that counts.
func trustLines(r node.Resolved) []string {
	if r.Signed == nil || r.Trust == nil {
		return nil
	}
	what := printable(strings.TrimSpace(r.Signed.Name + " " + r.Signed.Version))
	line := fmt.Sprintf("%s, signed by %s", what, r.Signed.Publisher)
	if r.Trust.First {
		line += ", whose key is trusted from now on"
	} else {
		line += ", trusted since " + r.Trust.Since.Local().Format("2006-01-02 15:04")
	}
	if r.Trust.Host != "" {
		line += " for this name at " + printable(r.Trust.Host)
	}
	lines := []string{line}
	if r.Trust.Before != "" {
		lines = append(lines, r.Trust.Before+" is given up for it, as --from says")
	}
	return lines
}

// wantArgs checks the number of arguments; most < 0 is no limit.
func wantArgs(c *cli.Context, least, most int) error {
	n := c.NArg()
	switch {
	case n < least:
		return &usageError{fmt.Errorf("%s needs %s", c.Command.Name, c.Command.ArgsUsage)}
	case most == 0 && n > 0:
		return &usageError{fmt.Errorf("%s takes no arguments, there is %q", c.Command.Name, c.Args().First())}
	case most >= 0 && n > most:
		return &usageError{fmt.Errorf("%s takes %s only, there is also %q", c.Command.Name, c.Command.ArgsUsage, c.Args().Get(most))}
	}
	return nil
}

// fetchOptions reads the flags of fetchFlags, and those of get where it has them.
func fetchOptions(c *cli.Context) (node.FetchOptions, error) {
	opt := node.FetchOptions{
		Origins:     c.StringSlice("origin"),
		Peers:       c.StringSlice("peer"),
		Bootstrap:   c.StringSlice("bootstrap"),
		Timeout:     c.Duration("timeout"),
		Deadline:    c.Duration("deadline"),
		OriginAfter: c.Duration("origin-after"),
		From:        c.StringSlice("from"),
		Unverified:  c.Bool("unverified"),
	}
	if len(opt.From) > 0 && opt.Unverified {
		return opt, &usageError{errors.New("--from says who must have signed, --unverified that nobody must: give one of them")}
	}
	var err error
	if opt.CA, err = node.ReadCA(c.String("ca")); err != nil {
		return opt, err
	}
	for _, p := range opt.From {
		if _, err := merkle.ParsePublisher(p); err != nil {
			return opt, &usageError{fmt.Errorf("--from: %w", err)}
		}
	}
	if opt.Class, err = node.ParseClass(c.String("class")); err != nil {
		return opt, err
	}
	if below := c.String("origin-below"); below != "" {
		r, err := node.ParseRate(below)
		if err != nil || r.Bytes == 0 {
			return opt, &usageError{fmt.Errorf("--origin-below %q is no rate; say 2MB/s or 20Mbit/s", below)}
		}
		opt.OriginBelow = float64(r.Bytes)
	}
	if opt.OriginCopies, err = node.ParseCopies(c.String("origin-copies")); err != nil {
		return opt, &usageError{fmt.Errorf("--origin-copies: %w", err)}
	}
	for _, name := range []string{"timeout", "deadline", "origin-after"} {
		if c.IsSet(name) && c.Duration(name) <= 0 {
			return opt, &usageError{fmt.Errorf("--%s %v is no time at all", name, c.Duration(name))}
		}
	}
	for _, p := range opt.Peers {
		if err := node.CheckPeerAddr(p); err != nil {
			return opt, &usageError{fmt.Errorf("--peer %q: %w", p, err)}
		}
	}
	opt.Headers, err = readHeaders(c.StringSlice("origin-header"))
	if err == nil && len(opt.Headers) > 0 && len(opt.Origins) == 0 && node.CheckOrigin(c.Args().First()) != nil {
		err = &usageError{errors.New("--origin-header goes with --origin or a URL: headers are sent to the origins named on the command line only")}
	}
	return opt, err
}

// readHeaders reads headers as typed: "K: V", "K: @FILE" for a value and @FILE
// for whole headers, a line each, so that secrets need not be on the command line.
func readHeaders(typed []string) ([]string, error) {
	var headers []string
	for _, h := range typed {
		lines := []string{h}
		if file, ok := strings.CutPrefix(h, "@"); ok {
			text, err := readSmall(file)
			if err != nil {
				return nil, err
			}
			lines = strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
		}
		for _, line := range lines {
			k, v, ok := strings.Cut(line, ":")
			k, v = strings.TrimSpace(k), strings.TrimSpace(v)
			if !ok || k == "" || strings.ContainsAny(k, " \t") {
				// The line is not shown: it may be a secret.
				return nil, &usageError{errors.New("--origin-header is not of the form 'Key: Value'")}
			}
			if file, ok := strings.CutPrefix(v, "@"); ok {
				text, err := readSmall(file)
				if err != nil {
					return nil, err
				}
				v = strings.TrimSpace(text)
			}
			if strings.ContainsAny(v, "\r\n") {
				return nil, &usageError{fmt.Errorf("--origin-header %s has more than one line", k)}
			}
			headers = append(headers, k+": "+v)
		}
	}
	return headers, nil
}

// maxHeaderFile bounds what is read from @FILE, in bytes.
const maxHeaderFile = 64 << 10

func readSmall(file string) (string, error) {
	info, err := os.Stat(file)
	if err == nil && info.Size() > maxHeaderFile {
		err = fmt.Errorf("%s is over %d bytes", file, maxHeaderFile)
	}
	if err != nil {
		return "", &usageError{fmt.Errorf("--origin-header: %w", err)}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--origin-header: %w", err)
	}
	return string(text), nil
}

// contentName is the last name in the path of a target, else the one in its
// link, else what is given.
func contentName(target merkle.Target, without string) string {
	name := target.Name
	if target.Path != "" {
		name = path.Base(target.Path)
	}
	if isName(name, runtime.GOOS == "windows") {
		return name
	}
	return without
}

// isName tells whether a stranger's name stays in the directory that it is put
// in: on Windows a name may hold separators of its own, a drive, or a stream.
func isName(name string, windows bool) bool {
	if name == "." || strings.ContainsAny(name, "/\x00") || windows && strings.ContainsAny(name, `\:`) {
		return false
	}
	return filepath.IsLocal(name) // not "" and no device
}

// outputPath is where get puts target: out as typed, else the content's name,
// else its CID. It fails before anything is fetched when that cannot be.
// Something may stand there to be updated.
func outputPath(target merkle.Target, out string, update bool) (string, error) {
	if out == "" {
		out = contentName(target, target.Root.String())
	}
	abs, err := absolute(out)
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(abs); err == nil && !update {
		return "", fmt.Errorf("%s exists and is left alone; choose another name with -o", out)
	}
	parent := filepath.Dir(abs)
	info, err := os.Stat(parent)
	if err != nil {
		return "", fmt.Errorf("no directory for the target: %w; create it first, or choose another with -o", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("no directory for the target: %s is not a directory; choose another with -o", parent)
	}
	return abs, nil
}

// parseRange reads FROM-TO, both inclusive and from 0; FROM- runs to the end,
// which is to = -1.
func parseRange(s string) (from, to int64, err error) {
	if s == "" {
		return 0, -1, nil
	}
	a, b, ok := strings.Cut(s, "-")
	from, err = strconv.ParseInt(a, 10, 64)
	to = -1
	if err == nil && b != "" {
		to, err = strconv.ParseInt(b, 10, 64)
	}
	if !ok || err != nil || from < 0 || b != "" && to < from {
		return 0, 0, &usageError{fmt.Errorf("--range %q is not FROM-TO, such as 0-99 for the first 100 bytes or 100- for the rest", s)}
	}
	return from, to, nil
}

// lookingLine is the first line of a fetch: what for, and where.
func lookingLine(target wanted, cfg node.Config, opt node.FetchOptions, running bool) string {
	var where []string
	if running {
		where = append(where, "the running node")
	} else {
		if !cfg.MDNS.Off() {
			where = append(where, "mDNS")
		}
		where = append(where, "DHT")
	}
	add := func(one, many string, lists ...[]string) {
		distinct := map[string]bool{} // a flag is in cfg and in opt
		for _, v := range slices.Concat(lists...) {
			distinct[v] = true
		}
		if len(distinct) > 0 {
			where = append(where, count(len(distinct), one, many))
		}
	}
	add("peer", "peers", opt.Peers, target.Peers)
	add("origin", "origins", opt.Origins, target.Origins, cfg.Origins)
	return fmt.Sprintf("looking for %v (%s)", target, strings.Join(where, ", "))
}

// count is "1 peer" or "3 peers".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
