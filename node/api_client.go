package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
)

// dialTimeout is how long a node may take to say who it is.
const dialTimeout = 3 * time.Second

// Client is a running node, reached over its API socket. Its methods may be
// called from many goroutines. Relative paths are those of this process.
type Client struct {
	http  *http.Client
	hello apiHello
}

var _ API = (*Client)(nil)

// Dial finds the node that runs in dir. ErrNotRunning at once when nobody
// listens there, ErrRunning when somebody does but does not answer within 3 s.
func Dial(dir string) (*Client, error) {
	path := socketPath(dir)
	c := &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, path) },
		// The answers are on the same machine: compressing them costs more than it saves.
		DisableCompression: true,
	}}}
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	if err := c.greet(ctx); err != nil {
		c.Close()
		return nil, dialError(dir, err)
	}
	return c, nil
}

// greet asks the node who it is.
func (c *Client) greet(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://shoal/v1/id", nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("API socket answered %s", resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxAPIRequest)).Decode(&c.hello)
}

// dialError tells a directory without a node from a node in trouble.
func dialError(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("ask the node running in %s: %w; it belongs to another user, give --dir", dir, err)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && !op.Timeout() || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return fmt.Errorf("%w in %s", ErrNotRunning, dir)
	}
	return fmt.Errorf("ask the node running in %s: %w: %v", dir, ErrRunning, err)
}

// ID is the peer ID of the running node.
func (c *Client) ID() string { return c.hello.ID }

// Close ends the connections of this client. The node runs on.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Add implements API.
func (c *Client) Add(ctx context.Context, path string, opt AddOptions) (Added, error) {
	var added Added
	path, err := filepath.Abs(path)
	if err != nil {
		return added, err
	}
	if opt.TreeFile != "" {
		if opt.TreeFile, err = filepath.Abs(opt.TreeFile); err != nil {
			return added, err
		}
	}
	err = c.call(ctx, "add", apiRequest{Path: path, Add: opt}, &added, adding(opt.Progress, opt.Skip))
	return added, err
}

// adding passes on what is told of an add.
func adding(progress func(int64), skip func(path, why string)) apiReader {
	return func(ev *apiEvent, _ io.Reader) error {
		if ev.Bytes != nil && progress != nil {
			progress(*ev.Bytes)
		}
		if ev.Skip != nil && skip != nil {
			skip(ev.Skip.Path, ev.Skip.Why)
		}
		return nil
	}
}

// Publish implements API.
func (c *Client) Publish(ctx context.Context, path string, opt PublishOptions) (Published, error) {
	var published Published
	for _, p := range []*string{&path, &opt.KeyFile, &opt.Out} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return published, err
		}
		*p = abs
	}
	err := c.call(ctx, "publish", apiRequest{Path: path, Publish: opt}, &published, adding(opt.Progress, opt.Skip))
	return published, err
}

// Resolve implements API.
func (c *Client) Resolve(ctx context.Context, where string, opt FetchOptions) (Resolved, error) {
	var out Resolved
	if CheckOrigin(where) != nil {
		abs, err := filepath.Abs(where)
		if err != nil {
			return out, err
		}
		where = abs
	}
	err := c.call(ctx, "resolve", apiRequest{Path: where, Fetch: opt}, &out, watcher(opt))
	return out, err
}

// Fetch implements API.
func (c *Client) Fetch(ctx context.Context, target merkle.Target, opt FetchOptions) (*Result, error) {
	if opt.Output != "" {
		out, err := filepath.Abs(opt.Output)
		if err != nil {
			return nil, err
		}
		opt.Output = out
	}
	if err := absolutePaths(&opt.Using); err != nil {
		return nil, err
	}
	var result Result
	if err := c.call(ctx, "fetch", apiRequest{Target: target, Fetch: opt}, &result, watcher(opt)); err != nil {
		return nil, err
	}
	return &result, nil
}

// Cat implements API.
func (c *Client) Cat(ctx context.Context, target merkle.Target, from, to int64, w io.Writer, opt FetchOptions) error {
	watch := watcher(opt)
	req := apiRequest{Target: target, From: from, To: to, Fetch: opt}
	return c.call(ctx, "cat", req, nil, func(ev *apiEvent, body io.Reader) error {
		if ev.Data > 0 {
			_, err := io.CopyN(w, body, int64(ev.Data))
			return err
		}
		return watch(ev, body)
	})
}

// List implements API.
func (c *Client) List(ctx context.Context, target merkle.Target, opt FetchOptions) ([]Entry, error) {
	var entries []Entry
	watch := watcher(opt)
	err := c.call(ctx, "list", apiRequest{Target: target, Fetch: opt}, nil, func(ev *apiEvent, body io.Reader) error {
		entries = append(entries, ev.Entries...)
		return watch(ev, body)
	})
	return entries, err
}

// Find implements API.
func (c *Client) Find(ctx context.Context, target merkle.Target, opt FetchOptions, found func(Provider)) error {
	watch := watcher(opt)
	return c.call(ctx, "find", apiRequest{Target: target, Fetch: opt}, nil, func(ev *apiEvent, body io.Reader) error {
		if ev.Provider != nil {
			found(*ev.Provider)
		}
		return watch(ev, body)
	})
}

// Status implements API.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.call(ctx, "status", apiRequest{}, &s, ignoreEvents)
	return s, err
}

// Verify implements API.
func (c *Client) Verify(ctx context.Context, root string, bad func(Bad)) error {
	return c.call(ctx, "verify", apiRequest{Root: root}, nil, func(ev *apiEvent, _ io.Reader) error {
		if ev.Bad != nil {
			bad(*ev.Bad)
		}
		return nil
	})
}

// Unshare implements API.
func (c *Client) Unshare(ctx context.Context, root string) error {
	return c.call(ctx, "unshare", apiRequest{Root: root}, nil, ignoreEvents)
}

// Pin implements API.
func (c *Client) Pin(ctx context.Context, target merkle.Target, opt FetchOptions) (Pinned, error) {
	var pinned Pinned
	err := c.call(ctx, "pin", apiRequest{Target: target, Fetch: opt}, &pinned, watcher(opt))
	return pinned, err
}

// Unpin implements API.
func (c *Client) Unpin(ctx context.Context, root string) error {
	return c.call(ctx, "unpin", apiRequest{Root: root}, nil, ignoreEvents)
}

// Collect implements API.
func (c *Client) Collect(ctx context.Context) (Collected, error) {
	var all Collected
	err := c.call(ctx, "gc", apiRequest{}, &all, ignoreEvents)
	return all, err
}

// Doctor implements API.
func (c *Client) Doctor(ctx context.Context, opt DoctorOptions) ([]Check, error) {
	var checks []Check
	err := c.call(ctx, "doctor", apiRequest{Doctor: opt}, &checks, ignoreEvents)
	return checks, err
}

// apiReader is told each event but the last. It must read ev.Data bytes of body.
type apiReader func(ev *apiEvent, body io.Reader) error

func ignoreEvents(*apiEvent, io.Reader) error { return nil }

// watcher passes progress on.
func watcher(opt FetchOptions) apiReader {
	return func(ev *apiEvent, _ io.Reader) error {
		if ev.Progress != nil && opt.Progress != nil {
			opt.Progress(*ev.Progress)
		}
		return nil
	}
}

// call sends one request and reads its events. It decodes the result into
// result unless that is nil. Returning ends the request, and with it the work.
func (c *Client) call(ctx context.Context, verb string, req apiRequest, result any, each apiReader) error {
	body, err := json.Marshal(req)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://shoal/v1/"+verb, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return lostNode(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: the running node does not know %q (%s); restart it with the same version of shoal", ErrUsage, verb, resp.Status)
	}
	last, err := readEvents(resp.Body, each)
	switch {
	case err != nil:
		return lostNode(ctx, err)
	case last.Error != nil:
		return lostNode(ctx, last.Error.decode())
	case result == nil:
		return nil
	}
	return json.Unmarshal(last.Result, result)
}

// lostNode tells our own end of the context, the node's, and other errors apart.
func lostNode(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := errors.AsType[*remoteError](err); ok && !errors.Is(err, context.Canceled) {
		return err
	}
	if _, ok := errors.AsType[*net.OpError](err); ok || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("the running node stopped before it had finished: %w", err)
	}
	return err
}
