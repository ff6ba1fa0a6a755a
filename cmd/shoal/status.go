package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

func statusVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "show this node, or one root of it", ArgsUsage: "[CID]",
		Description: `EXAMPLE: shoal status
         shoal status --json bafy...`,
		Action: func(c *cli.Context) error { return runStatus(c, sh) },
	}
}

func runStatus(c *cli.Context, sh *shell) (err error) {
	root, err := optionalRoot(c)
	if err != nil {
		return err
	}
	s, err := sh.open(c, offline)
	if err != nil {
		return err
	}
	defer s.done(c.Context, sh, &err)
	st, err := s.Status(c.Context)
	if err != nil {
		return err
	}
	if root != "" {
		st.Roots = slices.DeleteFunc(st.Roots, func(r node.RootStatus) bool { return !sameRoot(r.CID, root) })
		if len(st.Roots) == 0 {
			return fmt.Errorf("%s is not held here; 'shoal status' lists what is", root)
		}
	}
	if sh.json {
		return sh.printJSON(withLists(st))
	}
	if !s.running {
		sh.say("no node runs in %s; this is what it would serve", s.cfg.Dir)
	}
	for _, line := range statusLines(st, root != "") {
		if err := sh.print(line); err != nil {
			return err
		}
	}
	return nil
}

// optionalRoot reads a CID given as the only argument, "" for none.
func optionalRoot(c *cli.Context) (string, error) {
	if err := wantArgs(c, 0, 1); err != nil || c.NArg() == 0 {
		return "", err
	}
	root, err := merkle.Parse(c.Args().First())
	if err != nil {
		return "", &usageError{err}
	}
	return root.String(), nil
}

// sameRoot tells whether two texts are one CID, in whatever base.
func sameRoot(a, b string) bool {
	x, errX := merkle.Parse(a)
	y, errY := merkle.Parse(b)
	return errX == nil && errY == nil && x.Equals(y)
}

// announced says what was announced beside the roots, and what that costs.
func announced(a node.AnnounceStatus) string {
	what := "files"
	if a.Mode == "pieces" {
		what = "pieces and files"
	}
	s := fmt.Sprintf("announced %s %s: %s records to %s, %s", humanize.Comma(int64(a.Keys)), what,
		humanize.Comma(int64(a.Records)), count(a.Peers, "peer", "peers"), size(a.Bytes))
	if a.PerGiB > 0 {
		s += fmt.Sprintf("; %s per GiB every %.0f h", size(a.PerGiB), a.Every/3600)
	}
	return s
}

// withLists replaces absent lists by empty ones, so that JSON has [] and not null.
func withLists(st node.Status) node.Status {
	if st.Addrs == nil {
		st.Addrs = []string{}
	}
	if st.Peers == nil {
		st.Peers = []node.PeerStatus{}
	}
	if st.Roots == nil {
		st.Roots = []node.RootStatus{}
	}
	for i, r := range st.Roots {
		if r.Why != nil && r.Why.Tried == nil {
			why := *r.Why
			why.Tried = []string{}
			st.Roots[i].Why = &why
		}
	}
	return st
}

// statusLines is a status for people; rootsOnly leaves the node itself out.
func statusLines(st node.Status, rootsOnly bool) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if !rootsOnly {
		add("peer          %s", st.PeerID)
		for _, a := range st.Addrs {
			add("address       %s", a)
		}
		add("version       %s", st.Version)
		add("reachability  %s", st.Reachability)
		lines = append(lines, swarmLines(st.Swarm)...)
		if st.DHT.Mode != "" { // none without a network
			add("dht           %s, %s in the routing table", st.DHT.Mode, count(st.DHT.RoutingTable, "peer", "peers"))
		}
		if st.Announce.Keys > 0 {
			add("announce      %s", announced(st.Announce))
		}
		add("up            %v, %s of memory", (time.Duration(st.Uptime) * time.Second), size(st.RSS))
		for _, p := range st.Peers {
			add("peer of ours  %s  %s over %s, %.0f ms, received %s, sent %s%s", p.ID, p.Path, p.Transport, p.RTT, size(p.Received), size(p.Sent), servedFor(p.ServedFor))
		}
	}
	for _, r := range st.Roots {
		add("%-8s  %s of %s  %s  %s%s", r.State, size(r.Have), size(r.Size), r.CID, printable(r.Name), keeping(r))
		if from := sources(r.From, nil); from != "" {
			add("          %s", from)
		}
		if line := originLine(r.Reasons, r.Spared); line != "" {
			add("          %s", line)
		}
		for _, who := range r.Liars {
			add("          gave wrong bytes: %s", who)
		}
		if rootsOnly {
			for _, line := range historyLines(r.History) {
				add("          %s", line)
			}
		}
		if r.Sent > 0 {
			add("          sent %s", size(r.Sent))
		}
		if r.Why != nil {
			add("          %s for %s: tried %s; next: %s", r.Why.Code, seconds(r.Why.Since), count(len(r.Why.Tried), "source", "sources"), r.Why.Next)
		}
	}
	return lines
}

// servedFor says why a peer was served last.
func servedFor(why string) string {
	switch why {
	case "owed":
		return ", served since it gave"
	case "free":
		return ", served as a newcomer"
	case "member":
		return ", served as a member"
	case "idle":
		return ", served since nobody else waits"
	}
	return ""
}

// keeping says why a root stays, if that is not because the user put it there.
func keeping(r node.RootStatus) string {
	switch {
	case r.Pinned:
		return "  (pinned)"
	case r.Cached:
		return "  (kept for readers)"
	}
	return ""
}
