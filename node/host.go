package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	p2pswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/shoal-p2p/shoal/internal/route"
	"github.com/shoal-p2p/shoal/reach"
	"github.com/shoal-p2p/shoal/swarm"
)

// DefaultPort is where a node listens unless told otherwise.
const DefaultPort = 7461

// newHost starts libp2p. Explicit addresses must be free; the default falls
// back once to a port that the system chooses, and remembers it in dir.
func newHost(cfg Config, key crypto.PrivKey, private *swarm.Swarm, r *reach.Reach) (host.Host, error) {
	if len(cfg.Listen) > 0 {
		return hostOn(cfg, key, private, r, cfg.Listen)
	}
	port := DefaultPort
	remembered := filepath.Join(cfg.Dir, "port")
	if b, err := os.ReadFile(remembered); err == nil {
		if p, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && p > 0 && p < 1<<16 {
			port = p
		}
	}
	h, err := hostOn(cfg, key, private, r, defaultListen(port))
	if !inUse(err) {
		return h, err
	}
	if port, err = freePort(); err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	if h, err = hostOn(cfg, key, private, r, defaultListen(port)); err != nil {
		return nil, err
	}
	if err := writeFile(remembered, []byte(strconv.Itoa(port)+"\n"), 0o600); err != nil {
		h.Close()
		return nil, fmt.Errorf("remember the port: %w", err)
	}
	return h, nil
}

func defaultListen(port int) []string {
	var out []string
	for _, ip := range []string{"/ip4/0.0.0.0", "/ip6/::"} {
		out = append(out, fmt.Sprintf("%s/tcp/%d", ip, port), fmt.Sprintf("%s/udp/%d/quic-v1", ip, port))
	}
	return out
}

// freePort finds a port that is free for TCP and UDP alike.
func freePort() (int, error) {
	for range 16 {
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp", ":"+strconv.Itoa(port))
		l.Close()
		if err == nil {
			u.Close()
			return port, nil
		}
	}
	return 0, errors.New("no port is free for both TCP and UDP")
}

func hostOn(cfg Config, key crypto.PrivKey, private *swarm.Swarm, r *reach.Reach, listen []string) (host.Host, error) {
	for _, a := range listen {
		if _, err := ma.NewMultiaddr(a); err != nil {
			return nil, fmt.Errorf("%w: listen address %q: %w", ErrUsage, a, err)
		}
	}
	if err := free(listen); err != nil {
		return nil, err
	}
	limits, err := resources()
	if err != nil {
		return nil, err
	}
	// Trimming begins well below what the resource manager allows, and well above
	// a few crowds of 80; transfers are protected from it (exchange).
	conns, err := connmgr.NewConnManager(400, 600, connmgr.WithGracePeriod(30*time.Second))
	if err != nil {
		return nil, fmt.Errorf("connection manager: %w", err)
	}
	opts := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(listen...),
		libp2p.UserAgent("shoal/" + cfg.Version),
		libp2p.ConnectionManager(conns),
		// TLS 1.3 uses the CPU's AES: nearly twice the rate of a second cipher in Go.
		libp2p.Security(tls.ID, newSecurity),
		libp2p.SwarmOpts(p2pswarm.WithDialRanker(rankDials)),
		libp2p.DisableMetrics(),
	}
	opts = append(opts, r.Options()...)
	opts = append(opts, guards(private, limits)...)
	if !cfg.PortMap.Off() {
		opts = append(opts, libp2p.NATPortMap())
	}
	h, err := libp2p.New(append(opts, cfg.more...)...)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", strings.Join(listen, ", "), err)
	}
	r.Bind(h)
	if err := listening(h, listen); err != nil || private == nil {
		return h, err
	}
	guarded, err := private.Guard(h)
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return guarded, nil
}

// wsaInUse is WSAEADDRINUSE, which Windows answers where others answer EADDRINUSE.
const wsaInUse = syscall.Errno(10048)

// inUse tells whether an address is taken.
func inUse(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || runtime.GOOS == "windows" && errors.Is(err, wsaInUse)
}

// free tells of TCP ports that are taken. libp2p listens with SO_REUSEPORT, so
// that a second node of the same user would silently share the port of the first.
func free(listen []string) error {
	for _, s := range listen {
		network, address, err := manet.DialArgs(ma.StringCast(s))
		if err != nil || !strings.HasPrefix(network, "tcp") {
			continue // other transports do not share ports, and listening tells
		}
		l, err := net.Listen(network, address)
		if inUse(err) {
			return fmt.Errorf("listen on %s: %w", s, err)
		}
		if err == nil { // others, such as a machine without IPv6, are told by listening
			l.Close()
		}
	}
	return nil
}

// rankDials dials WebSocket after all that is direct, and relays after that.
func rankDials(addrs []ma.Multiaddr) []network.AddrDelay {
	const later = 500 * time.Millisecond
	var web, relays, rest []ma.Multiaddr
	for _, a := range addrs {
		switch _, relayed := a.ValueForProtocol(ma.P_CIRCUIT); {
		case relayed == nil:
			relays = append(relays, a)
		case route.WebSocket(a):
			web = append(web, a)
		default:
			rest = append(rest, a)
		}
	}
	if len(web) == 0 {
		return rankNear(addrs)
	}
	out := rankNear(rest)
	for _, group := range [][]ma.Multiaddr{web, relays} {
		var after time.Duration
		for _, a := range out {
			after = max(after, a.Delay+later)
		}
		for _, a := range group {
			out = append(out, network.AddrDelay{Addr: a, Delay: after})
		}
	}
	return out
}

// rankNear dials TCP first on near networks, where it carries more than twice
// what QUIC does (libp2p.md 13), and leaves the rest to libp2p.
func rankNear(addrs []ma.Multiaddr) []network.AddrDelay {
	const quicLater = 100 * time.Millisecond
	var near []network.AddrDelay
	var far []ma.Multiaddr
	for _, a := range addrs {
		_, relayed := a.ValueForProtocol(ma.P_CIRCUIT)
		_, stream := a.ValueForProtocol(ma.P_TCP)
		switch {
		case relayed == nil || !(manet.IsPrivateAddr(a) || manet.IsIPLoopback(a) || manet.IsIP6LinkLocal(a)):
			far = append(far, a)
		case stream == nil:
			near = append(near, network.AddrDelay{Addr: a})
		default:
			near = append(near, network.AddrDelay{Addr: a, Delay: quicLater})
		}
	}
	return append(near, p2pswarm.DefaultDialRanker(far)...)
}

// listening makes sure that every address was taken: libp2p is content with one.
func listening(h host.Host, want []string) error {
	have := map[string]bool{}
	for _, a := range h.Network().ListenAddresses() {
		have[transportOf(a)] = true
	}
	for _, s := range want {
		a := ma.StringCast(s)
		// A machine without IPv6 cannot listen on the default's second half.
		if ip, err := manet.ToIP(a); err == nil && ip.IsUnspecified() && ip.To4() == nil {
			continue
		}
		if !have[transportOf(a)] {
			h.Close()
			return fmt.Errorf("listen on %s: %w", s, syscall.EADDRINUSE)
		}
	}
	return nil
}

// transportOf names the network of an address: ip4/tcp, ip4/quic-v1, ip4/tcp/tls/ws, …
func transportOf(a ma.Multiaddr) string {
	var names []string
	for _, c := range a {
		switch n := c.Protocol().Name; n {
		case "udp", "p2p":
		case "wss":
			names = append(names, "tls", "ws")
		default:
			names = append(names, n)
		}
	}
	return strings.Join(names, "/")
}

// publicAddress reports whether the user configured an address of the internet.
func publicAddress(listen []string) bool {
	for _, s := range listen {
		if a, err := ma.NewMultiaddr(s); err == nil && manet.IsPublicAddr(a) {
			return true
		}
	}
	return false
}

// resources lifts libp2p's limits per address: an office or a lab behind one
// address is more than 8 connections and one new one in 5 s (go-libp2p #3431).
// Connections in their handshake (transient) must not be fewer than one address
// can hold half-open, 15 s each, or it keeps all others out.
func resources() (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	partial := rcmgr.PartialLimitConfig{
		System:    rcmgr.ResourceLimits{Conns: 1024, ConnsInbound: 512, Streams: 8192},
		Transient: rcmgr.ResourceLimits{Conns: 512, ConnsInbound: 384, FD: 384},
	}
	perIP := func(prefix int) []rcmgr.ConnLimitPerSubnet {
		return []rcmgr.ConnLimitPerSubnet{{PrefixLength: prefix, ConnCount: 256}}
	}
	m, err := rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(partial.Build(limits.AutoScale())),
		rcmgr.WithLimitPerSubnet(perIP(32), perIP(56)),
		rcmgr.WithConnRateLimiters(&rate.Limiter{GlobalLimit: rate.Limit{RPS: 64, Burst: 256}}),
		rcmgr.WithMetricsDisabled(),
	)
	if err != nil {
		return nil, fmt.Errorf("resource manager: %w", err)
	}
	return m, nil
}
