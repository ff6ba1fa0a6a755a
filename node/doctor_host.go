package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback"
	"github.com/shoal-p2p/shoal/probe"
	"github.com/shoal-p2p/shoal/store"
)

// originFound is what an origin showed.
type originFound struct {
	origin string
	report cdnfallback.Report
	err    error
}

func examine(ctx context.Context, o *cdnfallback.Origin) originFound {
	ctx, cancel := context.WithTimeout(ctx, doctorOrigin)
	defer cancel()
	r, err := o.Examine(ctx)
	return originFound{o.String(), r, err}
}

// expiresSoon is when a certificate should have been renewed: half of the month
// before its end in which most are.
const expiresSoon = 14 * 24 * time.Hour

// judgeOrigin judges one origin.
func judgeOrigin(o originFound, now time.Time) Check {
	r := o.report
	c := Check{Check: "origin", State: CheckOK}
	words := []string{fmt.Sprintf("%s: answers in %.0f ms", o.origin, r.Took.Seconds()*1000)}
	add := func(s string) { words = append(words, s) }
	warn := func(s, hint string) {
		words, c.State, c.Hint = append(words, s), CheckWarning, hint
	}
	switch {
	case o.err != nil:
		c.State, c.Detail, c.Hint = CheckFailing, o.err.Error(), originHint(o.err)
		return c
	case !r.Found:
		add("nothing at the URL itself, which for a directory may be right")
	case r.Kind == cdnfallback.Gateway:
		add("a gateway")
	case !r.Ranges && r.Kind == cdnfallback.File:
		warn("no ranges: it sends whole files only, so it cannot fill gaps", "let the server answer range requests (Accept-Ranges: bytes); compression on the fly often turns them off")
	case r.Ranges:
		add("ranges")
	}
	if r.Found {
		add(r.Proto)
	}
	if r.TLS != "" {
		add(r.TLS)
	}
	if r.Proxied {
		add("through the proxy")
	}
	if left := r.Expires.Sub(now); !r.Expires.IsZero() && left < expiresSoon {
		warn(fmt.Sprintf("its certificate ends in %.0f days", left.Hours()/24), "renew the certificate of the server")
	}
	if r.Tree {
		add("a tree beside it")
	}
	if c.Hint == "" && r.Found && r.Kind == cdnfallback.File && !r.Tree {
		c.Hint = "put a tree beside the file, so that it is read by verified ranges from the first byte on: shoal add --tree NAME.shoal NAME"
	}
	c.Detail = strings.Join(words, ", ")
	return c
}

// originHint is what to do about an origin that does not answer as it should.
func originHint(err error) string {
	for _, h := range []struct {
		kind error
		hint string
	}{
		{cdnfallback.ErrGone, "check the path of the URL, and that the file was uploaded"},
		{cdnfallback.ErrTLS, "check the name and the certificate; one of your own root needs --ca FILE"},
		{cdnfallback.ErrUnreachable, "check the host, and that it can be reached from here with curl; behind a proxy set HTTPS_PROXY"},
		{cdnfallback.ErrStalled, "try it with curl from here; the server or something before it holds the answer back"},
		{cdnfallback.ErrEncoding, "turn compression off for this content"},
		{cdnfallback.ErrRedirect, "give the URL that the redirects should lead to"},
		{cdnfallback.ErrRefused, "check credentials (.netrc) and that a signed URL has not expired"},
	} {
		if errors.Is(err, h.kind) {
			return h.hint
		}
	}
	return "try it with curl from here"
}

// Skews of the clock. A private swarm refuses certificates at maxSkew (the
// membership rules allow 5 min).
const (
	someSkew = 30 * time.Second
	maxSkew  = 5 * time.Minute
)

// reading is another clock: how far it is ahead of ours, give or take.
type reading struct{ ahead, give time.Duration }

// clocks are the clocks of peers and origins.
func clocks(talks []*probe.Talk, origins []originFound) []reading {
	var out []reading
	for _, t := range talks {
		out = append(out, reading{t.Ahead, t.RTT/2 + time.Millisecond})
	}
	for _, o := range origins {
		if o.err == nil && o.report.Dated {
			out = append(out, reading{o.report.Ahead, o.report.Took/2 + time.Second})
		}
	}
	return out
}

// judgeClock takes the median of the others, so that one that lies or is wrong
// does not count where there are three.
func judgeClock(all []reading) Check {
	c := Check{Check: "clock", State: CheckOK}
	if len(all) == 0 {
		c.State, c.Detail, c.Hint = CheckWarning, "nobody to compare it with", "connect to a peer, or give --origin"
		return c
	}
	slices.SortFunc(all, func(a, b reading) int { return int(a.ahead - b.ahead) })
	m := all[len(all)/2]
	off := max(m.ahead.Abs()-m.give, 0) // at least
	way := "behind"
	if m.ahead < 0 {
		way = "ahead"
	}
	c.Detail = fmt.Sprintf("right within %.2f s, by %s", m.ahead.Abs().Seconds()+m.give.Seconds(), number(len(all), "other clock"))
	if off > someSkew {
		c.State, c.Detail = CheckWarning, fmt.Sprintf("%v %s, by %s", m.ahead.Abs().Round(time.Second), way, number(len(all), "other clock"))
		c.Hint = "set the clock, by NTP for example: certificates and memberships are judged by it"
	}
	if off > maxSkew {
		c.State = CheckFailing
	}
	return c
}

// Limits of a disk.
const (
	littleRoom = 1 << 30
	noRoom     = 64 << 20
	slowSync   = 500 * time.Millisecond
)

// checkDisk writes and syncs a file in the node's directory.
func (n *Node) checkDisk() Check {
	free, err := store.FreeSpace(n.cfg.Dir)
	if err != nil {
		free = -1
	}
	took, err := trySync(n.cfg.Dir)
	return judgeDisk(n.cfg.Dir, free, took, err)
}

// trySync writes 1 MiB and makes it durable.
func trySync(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(filepath.Join(dir, "quarantine"), "doctor-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	began := time.Now()
	_, err = f.Write(make([]byte, 1<<20))
	if err == nil {
		err = f.Sync()
	}
	took := time.Since(began)
	return took, errors.Join(err, f.Close())
}

func judgeDisk(dir string, free int64, took time.Duration, err error) Check {
	c := Check{Check: "disk", State: CheckOK, Detail: fmt.Sprintf("%s: %.1f GB free, 1 MiB is durable after %.0f ms", dir, float64(free)/1e9, took.Seconds()*1000)}
	if free < 0 {
		c.Detail = fmt.Sprintf("%s: 1 MiB is durable after %.0f ms", dir, took.Seconds()*1000)
	}
	switch {
	case err != nil:
		c.State, c.Detail, c.Hint = CheckFailing, "cannot be written: "+err.Error(), "make room or give rights there, or another directory: --dir"
	case free >= 0 && free < noRoom:
		c.State, c.Hint = CheckFailing, "make room: nothing can be fetched"
	case free >= 0 && free < littleRoom:
		c.State, c.Hint = CheckWarning, "make room: large content will not fit"
	case took > slowSync:
		c.State, c.Hint = CheckWarning, "a slow or busy disk: progress is saved late, and fetching waits for it"
	}
	return c
}

// wantBuffer is what quic-go asks of a UDP socket, bytes.
const wantBuffer = 7 << 20

// checkBuffers looks at how large UDP buffers may be. Linux alone tells.
func checkBuffers() Check {
	return judgeBuffers(sysctl("/proc/sys/net/core/rmem_max"), sysctl("/proc/sys/net/core/wmem_max"))
}

// sysctl reads a number, -1 where there is none.
func sysctl(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return -1
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return -1
	}
	return v
}

func judgeBuffers(receive, send int) Check {
	c := Check{Check: "buffers", State: CheckOK, Detail: fmt.Sprintf("UDP may buffer %.1f MiB in and %.1f MiB out", float64(receive)/(1<<20), float64(send)/(1<<20))}
	switch {
	case receive < 0 || send < 0:
		c.Detail = "this system does not tell how large UDP buffers may be"
	case receive < wantBuffer || send < wantBuffer:
		c.State = CheckWarning
		c.Hint = "QUIC drops packets at high rates; let it have 7 MiB: sysctl -w net.core.rmem_max=7500000 net.core.wmem_max=7500000"
	}
	return c
}

// Open files: 1,024 connections have one each, and so have files that are served.
const (
	someFiles = 4096
	fewFiles  = 512
)

func checkFiles() Check { return judgeFiles(fileLimit()) }

// judgeFiles judges the most files that may be open, -1 for no limit known.
func judgeFiles(limit int64) Check {
	c := Check{Check: "files", State: CheckOK, Detail: fmt.Sprintf("%d may be open at a time", limit)}
	switch {
	case limit < 0:
		c.Detail = "no limit of open files"
	case limit < fewFiles:
		c.State, c.Hint = CheckFailing, "raise it, for example by ulimit -n 65536: connections and files will fail"
	case limit < someFiles:
		c.State, c.Hint = CheckWarning, "raise it, for example by ulimit -n 65536: with many peers it will not do"
	}
	return c
}
