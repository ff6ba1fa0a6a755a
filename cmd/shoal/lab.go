package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

// maxLabNodes bounds lab: the nodes share one process and each keeps a copy.
const maxLabNodes = 50

func labVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "lab", Usage: "distribute a real file on this machine and show where the bytes came from", ArgsUsage: "[PATH]",
		Description: `Runs an HTTP origin and a few nodes on loopback, in this process and in directories that
are removed at the end. All nodes fetch PATH at the same time; every copy is hashed again.
Without PATH it is the Go toolchain's own tree, or a 64 MiB file where there is no Go.

EXAMPLE: shoal lab
         shoal lab --nodes 8 --class economy big.iso`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "nodes", Usage: "`N`: so many nodes", Value: 5},
			&cli.StringFlag{Name: "class", Usage: "`CLASS`: interactive, background or economy", DefaultText: "interactive"},
		},
		Action: func(c *cli.Context) error { return runLab(c, sh) },
	}
}

func runLab(c *cli.Context, sh *shell) (err error) {
	if err := wantArgs(c, 0, 1); err != nil {
		return err
	}
	nodes := c.Int("nodes")
	if nodes < 1 || nodes > maxLabNodes {
		return &usageError{fmt.Errorf("--nodes %d is not between 1 and %d", nodes, maxLabNodes)}
	}
	opt := node.FetchOptions{Timeout: time.Minute}
	if opt.Class, err = node.ParseClass(c.String("class")); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "shoal-lab-")
	if err != nil {
		return fmt.Errorf("make a directory for the lab: %w", err)
	}
	defer func() {
		if e := os.RemoveAll(dir); err == nil && e != nil {
			err = fmt.Errorf("remove the directory of the lab: %w", e)
		}
	}()
	content, err := labContent(c.Context, c.Args().First(), dir)
	if err != nil {
		return err
	}
	l := &lab{dir: dir, content: content}
	defer l.close(&err)
	if err := l.publish(c.Context, sh); err != nil {
		return interrupted(c.Context, err)
	}
	if err := l.start(c.Context, nodes); err != nil {
		return interrupted(c.Context, err)
	}
	sh.say("an origin and %s on loopback in %s; fetching %s, %s", count(nodes, "node", "nodes"), dir, printable(l.added.Name), size(l.added.Size))
	report, err := l.run(c.Context, opt)
	if err != nil {
		return interrupted(c.Context, err)
	}
	report.Class = c.String("class")
	if report.Class == "" {
		report.Class = "interactive"
	}
	if sh.json {
		return sh.printJSON(report)
	}
	for _, line := range labTable(report) {
		if err := sh.print(line); err != nil {
			return err
		}
	}
	return nil
}

// lab is an origin and a few nodes on loopback.
type lab struct {
	dir     string // everything of the lab is below it
	content string // absolute path of what is distributed
	origin  *labOrigin
	added   node.Added
	nodes   []*node.Node
}

// labReport is what a lab measured; its JSON is that of shoal lab --json.
type labReport struct {
	CID      string         `json:"cid"`
	Name     string         `json:"name"`
	Size     int64          `json:"size"`
	Class    string         `json:"class"`
	Seconds  float64        `json:"seconds"`  // until the last node had all of it
	Verified bool           `json:"verified"` // every copy, hashed again from disk
	Origin   labOriginUse   `json:"origin"`
	Nodes    []*node.Result `json:"nodes"`
}

// labOriginUse is what the origin gave, as the origin itself counts.
type labOriginUse struct {
	Bytes    int64   `json:"bytes"`
	Requests int64   `json:"requests"`
	Copies   float64 `json:"copies"` // bytes over the content's size
}

// publish computes the content ID and starts the origin, its tree beside the content.
func (l *lab) publish(ctx context.Context, sh *shell) (err error) {
	publisher, err := node.Start(ctx, node.Config{Dir: filepath.Join(l.dir, "publisher"), Offline: true})
	if err != nil {
		return err
	}
	tree := filepath.Join(l.dir, "tree.shoal")
	show, stop := hashing(sh)
	l.added, err = publisher.Add(ctx, l.content, node.AddOptions{TreeFile: tree, Progress: show})
	stop()
	if err = errors.Join(err, publisher.Close()); err != nil {
		return err
	}
	l.origin, err = startLabOrigin(l.content, tree)
	return err
}

// start runs n nodes; each joins through the first.
func (l *lab) start(ctx context.Context, n int) error {
	var bootstrap []string
	for i := range n {
		started, err := node.Start(ctx, node.Config{
			Dir:    filepath.Join(l.dir, fmt.Sprint("node", i+1)),
			Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"},
			MDNS:   "off", PortMap: "off", Bootstrap: bootstrap, Version: versionString(),
		})
		if err != nil {
			return fmt.Errorf("start node %d: %w", i+1, err)
		}
		l.nodes = append(l.nodes, started)
		if i == 0 {
			bootstrap = started.Addrs()
		}
	}
	return nil
}

// run lets all nodes fetch at the same time and verifies what they have. The
// first error ends them all.
func (l *lab) run(ctx context.Context, opt node.FetchOptions) (*labReport, error) {
	target, err := merkle.ParseTarget(l.added.CID)
	if err != nil {
		return nil, err
	}
	opt.Origins = []string{l.origin.url}
	report := &labReport{CID: l.added.CID, Name: l.added.Name, Size: l.added.Size, Nodes: make([]*node.Result, len(l.nodes))}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := time.Now()
	var wg sync.WaitGroup
	for i, n := range l.nodes {
		wg.Go(func() {
			o := opt
			o.Output = filepath.Join(l.dir, fmt.Sprint("copy", i+1))
			r, err := n.Fetch(ctx, target, o)
			if err != nil {
				cancel(fmt.Errorf("node %d: %w", i+1, err))
				return
			}
			report.Nodes[i] = r
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	report.Seconds = time.Since(begin).Seconds()
	report.Origin = l.origin.use(l.added.Size)
	if err := l.verify(ctx); err != nil {
		return nil, err
	}
	report.Verified = true
	return report, nil
}

// verify hashes every copy again from disk.
func (l *lab) verify(ctx context.Context) error {
	for i, n := range l.nodes {
		var bad []node.Bad
		if err := n.Verify(ctx, l.added.CID, func(b node.Bad) { bad = append(bad, b) }); err != nil {
			return fmt.Errorf("verify the copy of node %d: %w", i+1, err)
		}
		if len(bad) > 0 {
			return &codedError{exitVerification, fmt.Errorf("the copy of node %d is wrong in %s, first %s: %s", i+1, count(len(bad), "piece", "pieces"), bad[0].Path, bad[0].Error)}
		}
	}
	return nil
}

// close stops the nodes, side by side since each says goodbye to the others,
// then the origin.
func (l *lab) close(err *error) {
	errs := make([]error, len(l.nodes))
	var wg sync.WaitGroup
	for i, n := range l.nodes {
		wg.Go(func() { errs[i] = n.Close() })
	}
	wg.Wait()
	if l.origin != nil {
		errs = append(errs, l.origin.close())
	}
	if e := errors.Join(errs...); *err == nil && e != nil {
		*err = fmt.Errorf("stop the lab: %w", e)
	}
}

// originURL is where the content stands below base; a directory ends in a slash.
func originURL(base, name string, directory bool) string {
	u := base + "/" + url.PathEscape(name)
	if directory {
		u += "/"
	}
	return u
}
