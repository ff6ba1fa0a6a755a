package node

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/cdnfallback"
	"github.com/shoal-p2p/shoal/merkle"
)

// shoalSuffix ends the name of a manifest or tree beside its content.
const shoalSuffix = ".shoal"

// vouched is what a .shoal file brought: the tree, and who vouches for it. What
// Resolve has read is kept for the Fetch that follows.
type vouched struct {
	root   cid.Cid
	tree   []merkle.Block
	signed *merkle.Signed    // nil for a bare tree
	near   cdnfallback.Reach // how far inside its origins may stand
	base   string            // scheme and host from where the user wanted it; "" for a file
}

// manifests are the files that were read last. Guarded by mu.
type manifests struct {
	mu   sync.Mutex
	last []*vouched // the newest last
}

// Limits of what is kept of manifests; what is gone is looked for as without one.
const (
	maxManifests     = 16
	maxManifestBytes = 256 << 20
)

func (m *manifests) put(v *vouched) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = slices.DeleteFunc(m.last, func(o *vouched) bool { return o.root.Equals(v.root) })
	m.last = append(m.last, v)
	room := maxManifestBytes
	for i := len(m.last) - 1; i >= 0; i-- {
		room -= m.last[i].size()
		if i < len(m.last)-1 && (room < 0 || len(m.last)-i > maxManifests) {
			m.last = slices.Delete(m.last, 0, i+1)
			return
		}
	}
}

func (m *manifests) get(root cid.Cid) *vouched {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.IndexFunc(m.last, func(v *vouched) bool { return v.root.Equals(root) }); i >= 0 {
		return m.last[i]
	}
	return nil
}

// size is what is kept of it in memory.
func (v *vouched) size() int {
	n := 0
	for _, b := range v.tree {
		n += len(b.Data)
	}
	if v.signed != nil {
		n += v.signed.Bytes()
	}
	return n
}

// manifestOf is what was read of a target that Resolve has named.
func (n *Node) manifestOf(a attempt) *vouched {
	if a.opt.Signed == nil && !a.opt.Unverified {
		return nil
	}
	v := n.manifests.get(a.target.Root)
	if v == nil || (v.signed == nil) != (a.opt.Signed == nil) {
		return nil
	}
	return v
}

// Resolve reads a manifest: a file, a URL that ends in .shoal, or the one beside
// the content at any other URL. It verifies it, trusts its publisher as trust.go
// says, and tells what to fetch. A *ManifestError says that there is none that
// counts, unless opt.Unverified asks for what nobody vouches for.
func (n *Node) Resolve(ctx context.Context, where string, opt FetchOptions) (Resolved, error) {
	if CheckOrigin(where) != nil {
		return n.resolveFile(where, opt)
	}
	if n.exchange == nil {
		return Resolved{}, ErrOffline
	}
	o, err := n.named(where, opt)
	if err != nil {
		return Resolved{}, err
	}
	defer o.Close()
	u, err := url.Parse(where)
	if err != nil {
		return Resolved{}, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	itself := strings.HasSuffix(u.Path, shoalSuffix)
	v, err := n.readShoal(ctx, o, itself, opt)
	if !itself && noManifest(err) {
		if !opt.Unverified {
			return Resolved{}, unsigned(o.String(), "there is no manifest beside it ("+err.Error()+")", opt)
		}
		return Resolved{URL: where, Target: merkle.Target{Name: merkle.FileName(path.Base(u.Path))}}, nil
	}
	if err != nil {
		return Resolved{}, err
	}
	v.base = baseOf(u)
	r, err := n.accept(v, o.String(), u.Host, opt)
	switch {
	case err != nil:
	case !itself:
		r.Origins = []string{where}
	case v.signed == nil: // then nothing else says where the content is
		content := *u
		content.Path, content.RawPath = strings.TrimSuffix(u.Path, shoalSuffix), ""
		r.Origins = []string{content.String()}
	}
	if r.Target.Name == "" {
		r.Target.Name = merkle.FileName(strings.TrimSuffix(path.Base(u.Path), shoalSuffix))
	}
	return r, err
}

// named makes an origin that the user named.
func (n *Node) named(where string, opt FetchOptions) (*cdnfallback.Origin, error) {
	ask, err := n.asking(opt)
	if err != nil {
		return nil, err
	}
	o, err := cdnfallback.New(ask.named(where, true))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return o, nil
}

// baseOf is scheme and host of a URL, in one form.
func baseOf(u *url.URL) string { return strings.ToLower(u.Scheme + "://" + u.Host) }

// noManifest tells whether a server has answered that a manifest is not there.
// Some refuse what they do not have.
func noManifest(err error) bool {
	return errors.Is(err, cdnfallback.ErrGone) || errors.Is(err, cdnfallback.ErrRefused)
}

// unsigned says that nobody vouches for what is at a place, and what can be done.
func unsigned(where, why string, opt FetchOptions) error {
	e := &ManifestError{Where: where, Why: why + ", so nobody says which bytes are right"}
	e.Hint = "ask the publisher for a signed manifest or the content ID; --unverified takes what is there, NOT verified"
	if len(opt.From) > 0 {
		e.Hint = "ask the publisher for the manifest that --from is about"
	}
	return e
}

// resolveFile is Resolve of a file.
func (n *Node) resolveFile(name string, opt FetchOptions) (Resolved, error) {
	f, err := os.Open(name)
	if err != nil {
		return Resolved{}, fmt.Errorf("read manifest: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return Resolved{}, errors.Join(fmt.Errorf("%w: %s is neither a content ID, a link, a URL nor a manifest", ErrUsage, name), err)
	}
	v, err := parseShoal(name, f)
	if err != nil {
		return Resolved{}, err
	}
	if n.host != nil && n.loopbackOnly() { // a lab: its origins are on this machine
		v.near = cdnfallback.ThisMachine
	}
	host := ""
	if v.signed != nil && len(v.signed.Origins) > 0 {
		host = hostOf(v.signed.Origins[0])
	}
	return n.accept(v, name, host, opt)
}

// readShoal reads a .shoal file from an origin, again and again while that may help.
func (n *Node) readShoal(ctx context.Context, o *cdnfallback.Origin, itself bool, opt FetchOptions) (*vouched, error) {
	limit := 2 * time.Minute
	for _, d := range []time.Duration{opt.Timeout, opt.Deadline} {
		if d > 0 {
			limit = min(limit, d)
		}
	}
	began, rng := time.Now(), newRand()
	var backoff cdnfallback.Backoff
	where := o.String()
	if !itself {
		where += shoalSuffix
	}
	for {
		r, near, err := o.ShoalFile(ctx, !itself)
		if err == nil {
			var v *vouched
			v, err = parseShoal(where, r)
			r.Close()
			if err == nil {
				v.near = near
				return v, nil
			}
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if _, wrong := errors.AsType[*ManifestError](err); wrong || !itself && noManifest(err) {
			return nil, err
		}
		now := time.Now()
		again := backoff.OnFailure(now, err, rng)
		if !cdnfallback.Passing(err) || again.Sub(began) > limit {
			return nil, &UnavailableError{URL: where, Why: err.Error()}
		}
		if opt.Progress != nil {
			opt.Progress(Progress{Name: where, Waiting: fmt.Sprintf("waiting: %v; trying again in %s", err, seconds(again.Sub(now)))})
		}
		sleep(ctx, again.Sub(now))
	}
}

// parseShoal reads and verifies a .shoal file. What is wrong with its content is
// a *ManifestError; an origin's fault on the way stays one.
func parseShoal(where string, r io.Reader) (*vouched, error) {
	b := bufio.NewReader(r)
	head, _ := b.Peek(merkle.SignedHead)
	v := &vouched{}
	var err error
	if merkle.IsSigned(head) {
		if v.signed, err = merkle.ReadSigned(b); err == nil {
			v.root, v.tree = v.signed.Root, v.signed.Tree
		}
	} else {
		v.root, v.tree, err = merkle.ReadTree(b)
	}
	if err == nil {
		return v, nil
	}
	if _, ofOrigin := errors.AsType[*cdnfallback.Error](err); ofOrigin || errors.Is(err, context.Canceled) {
		return nil, err
	}
	return nil, &ManifestError{Where: where, Why: "it is no manifest that counts: " + err.Error(), Hint: "get it again, or ask its publisher"}
}

// accept decides whether a file that was read is believed, and keeps it then.
func (n *Node) accept(v *vouched, where, host string, opt FetchOptions) (Resolved, error) {
	r := Resolved{Target: merkle.Target{Root: v.root}}
	switch s := v.signed; {
	case s != nil:
		trust, err := n.trust(time.Now(), s, host, opt.From)
		if err != nil {
			return Resolved{}, &ManifestError{Where: where, Why: err.Error(), Hint: "'--from " + s.Publisher.String() + "' trusts this key, or this version, from now on: ask the publisher whether it is right"}
		}
		r.Trust, r.Target.Name = &trust, s.Name
		r.Signed = &Signed{s.Publisher.String(), s.Name, s.Version, s.Sequence}
	case !opt.Unverified:
		return Resolved{}, unsigned(where, "it is a tree that nobody has signed", opt)
	}
	n.manifests.put(v)
	return r, nil
}

// hostOf is the host of a URL, and its port if it has one.
func hostOf(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

// asking is how the origins of one request are talked to.
type asking struct {
	n       *Node
	headers []cdnfallback.Header
	roots   *x509.CertPool
}

// asking reads the options that are about origins.
func (n *Node) asking(opt FetchOptions) (a asking, err error) {
	a.n = n
	for _, h := range opt.Headers {
		header, err := cdnfallback.ParseHeader(h)
		if err != nil {
			return a, fmt.Errorf("%w: --origin-header: %w", ErrUsage, err)
		}
		a.headers = append(a.headers, header)
	}
	if a.roots, err = rootsWith(n.ca, opt.CA); err != nil {
		return a, fmt.Errorf("%w: --ca: %w", ErrUsage, err)
	}
	return a, nil
}

// other is the Config of an origin that the user did not name.
func (a asking) other(url string, near cdnfallback.Reach) cdnfallback.Config {
	return cdnfallback.Config{URL: url, Near: near, RootCAs: a.roots, UserAgent: "shoal/" + a.n.cfg.Version, Log: a.n.log}
}

// named is the Config of an origin that the user named, on the command line if
// it gets the headers given there.
func (a asking) named(url string, headers bool) cdnfallback.Config {
	cfg := a.other(url, cdnfallback.ThisMachine)
	cfg.Named, cfg.Netrc, cfg.Proxy = true, a.n.netrc(), http.ProxyFromEnvironment
	if headers {
		cfg.Headers = a.headers
	}
	return cfg
}

// sources are the origins of a manifest. They stand where anybody may be sent
// to, or as far inside as the manifest came from; on the host that the user
// named they get what is for that.
func (v *vouched) sources(ask asking) []cdnfallback.Config {
	if v == nil || v.signed == nil {
		return nil
	}
	var out []cdnfallback.Config
	for _, s := range v.signed.Origins {
		u, err := url.Parse(s)
		switch {
		case err != nil:
		case v.base != "" && baseOf(u) == v.base:
			out = append(out, ask.named(s, true))
		default:
			out = append(out, ask.other(s, v.near))
		}
	}
	return out
}

// bootstrap are the addresses in a manifest that can be read.
func (v *vouched) bootstrap() []string {
	if v == nil || v.signed == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(v.signed.Bootstrap), func(a string) bool { return CheckPeerAddr(a) != nil })
}
