package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/shoal-p2p/shoal/node"
	"github.com/urfave/cli/v2"
)

// lockWait is how long a command waits for another one that uses the directory
// without a socket, such as an add, or that is just starting or stopping.
const lockWait = 3 * time.Second

// session is the node a command works with.
type session struct {
	node.API
	cfg     node.Config
	running bool    // a node of another process
	guests  *guests // other commands that use this process's node; nil without one
	close   func() error
}

// need tells what a verb wants of a node that it must start itself.
type need int

const (
	online  need = iota // a node with a network, reachable for other commands of the directory
	offline             // index and files only
)

// directory is where a command works: the value of --dir, else of SHOAL_DIR,
// else the user's data directory.
func (sh *shell) directory(flag string) (string, error) {
	dir := flag
	if dir == "" {
		dir, _ = sh.env("SHOAL_DIR")
	}
	if dir == "" {
		var err error
		if dir, err = dataDir(runtime.GOOS, sh.env); err != nil {
			return "", &usageError{err}
		}
	}
	return absolute(dir)
}

// load reads the settings of a command. A swarm that is named must be there: a
// mistyped name would share openly.
func (sh *shell) load(c *cli.Context) (node.Config, []node.Setting, error) {
	cfg, settings, err := sh.settings(c)
	if err != nil || cfg.Create != "" || cfg.Join != "" || node.Private(cfg.Dir) {
		return cfg, settings, err
	}
	if name := sh.namedSwarm(c.String("swarm"), c.IsSet("swarm")); name != "" {
		err = &usageError{fmt.Errorf("there is no private swarm %s here; %s. Make it by 'shoal --swarm %[1]s swarm create NAME', or join it by 'shoal --swarm %[1]s swarm join INVITE'",
			printable(name), known(filepath.Dir(cfg.Dir)))}
	}
	return cfg, settings, err
}

// known names the private swarms below dir.
func known(dir string) string {
	entries, _ := os.ReadDir(dir) // without it there are none
	var names []string
	for _, e := range entries {
		if node.Private(filepath.Join(dir, e.Name())) {
			names = append(names, printable(e.Name()))
		}
	}
	if len(names) == 0 {
		return "there is none"
	}
	return "there are " + strings.Join(names, ", ")
}

// settings is load for those who may name a swarm that is not there yet.
func (sh *shell) settings(c *cli.Context) (node.Config, []node.Setting, error) {
	dir, err := sh.directory(c.String("dir"))
	if err == nil {
		dir, err = sh.ofSwarm(dir, c.String("swarm"), c.IsSet("swarm"))
	}
	if err != nil {
		return node.Config{}, nil, err
	}
	flags := map[string][]string{}
	for _, o := range node.Options() {
		switch {
		case !c.IsSet(o.Key):
		case o.List:
			flags[o.Key] = c.StringSlice(o.Key)
		case o.Arg == "":
			flags[o.Key] = []string{fmt.Sprint(c.Bool(o.Key))}
		default:
			flags[o.Key] = []string{c.String(o.Key)}
		}
	}
	cfg, settings, err := node.Load(dir, sh.env, flags)
	if c.Command.Name != "node" { // what a node offers to others while it stays
		cfg.Cache, cfg.Prefetch = false, nil
	}
	cfg.Version = versionString()
	cfg.Log = newLog(sh, cfg.LogLevel)
	cfg.Announced = func(a node.AnnounceStatus) { sh.say("%s", announced(a)) }
	return cfg, settings, err
}

// ofSwarm is the directory of the private swarm that --swarm, if set, or
// SHOAL_SWARM names, or dir without.
func (sh *shell) ofSwarm(dir, flag string, set bool) (string, error) {
	name := sh.namedSwarm(flag, set)
	if !set && name == "" {
		return dir, nil
	}
	return node.SwarmDir(dir, name)
}

// namedSwarm is the name in --swarm, if set, or SHOAL_SWARM, "" for none.
func (sh *shell) namedSwarm(flag string, set bool) string {
	if set {
		return flag
	}
	name, _ := sh.env("SHOAL_SWARM")
	return name
}

// newLog writes the node's log as words.
func newLog(sh *shell, level string) *slog.Logger {
	l := slog.LevelWarn
	if level != "" {
		// node.Load has checked it; a level that cannot be read leaves warn.
		_ = l.UnmarshalText([]byte(level))
	}
	return slog.New(slog.NewTextHandler(wordWriter{sh}, &slog.HandlerOptions{Level: l, ReplaceAttr: dropTime}))
}

// dropTime leaves the time out: words are read as they come.
func dropTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return a
}

// wordWriter says each line written to it.
type wordWriter struct{ sh *shell }

func (w wordWriter) Write(p []byte) (int, error) {
	w.sh.say("%s", strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// open finds the running node of the directory, or starts one.
func (sh *shell) open(c *cli.Context, want need) (*session, error) {
	cfg, _, err := sh.load(c)
	if err != nil {
		return nil, err
	}
	return sh.openConfig(c, cfg, want)
}

// openConfig is open with the settings at hand.
func (sh *shell) openConfig(c *cli.Context, cfg node.Config, want need) (*session, error) {
	cfg.Offline = want == offline
	var err error
	if cfg.Join, err = readInvite(cfg.Join, sh.stdin); err != nil {
		return nil, err
	}
	giveUp := time.Now().Add(lockWait)
	for {
		client, err := node.Dial(cfg.Dir)
		if err == nil {
			if (cfg.Create != "" || cfg.Join != "") && !node.Private(cfg.Dir) {
				return nil, errors.Join(fmt.Errorf("a node runs in %s and shares openly: stop it first, or give the private swarm its own directory by --swarm NAME", cfg.Dir), client.Close())
			}
			sh.noteIgnored(c)
			return &session{API: client, cfg: cfg, running: true, close: client.Close}, nil
		}
		if !errors.Is(err, node.ErrNotRunning) {
			return nil, err
		}
		s, err := sh.startSession(c.Context, cfg)
		inUse := errors.Is(err, node.ErrRunning)
		if !inUse || time.Now().After(giveUp) {
			return s, err
		}
		select {
		case <-c.Context.Done():
			return nil, context.Cause(c.Context)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// noteIgnored names the flags that a running node takes no notice of.
func (sh *shell) noteIgnored(c *cli.Context) {
	var ignored []string
	for _, key := range append([]string{"listen", "mdns", "portmap", "store-max"}, rates...) {
		if c.IsSet(key) {
			ignored = append(ignored, "--"+key)
		}
	}
	if len(ignored) > 0 {
		sh.say("using the running node of this directory, which keeps its own %s", strings.Join(ignored, " "))
	}
}

// startSession starts a node in this process. Other commands of the directory
// reach it by the socket, unless it is offline or no socket can be made.
func (sh *shell) startSession(ctx context.Context, cfg node.Config) (*session, error) {
	n, err := start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Offline {
		return &session{API: n, cfg: cfg, close: n.Close}, nil
	}
	g := newGuests(n)
	stop, err := node.ServeAPI(context.WithoutCancel(ctx), cfg.Dir, g, cfg.Log)
	if errors.Is(err, node.ErrRunning) {
		return nil, errors.Join(err, n.Close())
	}
	if err != nil {
		// Not every system and file system has sockets: FAT, some network shares, old Windows.
		sh.say("other commands cannot use this node: %v", err)
		return &session{API: n, cfg: cfg, close: n.Close}, nil
	}
	end := sync.OnceValue(func() error { return errors.Join(stop(), n.Close()) })
	return &session{API: n, cfg: cfg, guests: g, close: end}, nil
}

// done closes the session after a verb, once the guests have left or ctx ends,
// and adds what goes wrong then to err.
func (s *session) done(ctx context.Context, sh *shell, err *error) {
	if s.guests != nil && ctx.Err() == nil {
		s.guests.wait(ctx, func() { sh.say("staying until the other commands that use this node have ended; Ctrl-C stops them") })
	}
	if e := s.close(); *err == nil && e != nil {
		*err = fmt.Errorf("stop: %w", e)
	}
}

// absolute makes a path independent of the working directory, which the running
// node does not share.
func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", path, err)
	}
	return abs, nil
}
