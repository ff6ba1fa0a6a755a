package testnet

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
)

// Config describes the links of all hosts. The zero value is a good home line.
type Config struct {
	// Latency is the time of a packet from one host to another, one way; 10 ms if
	// zero.
	Latency time.Duration
	// Mbit is the rate of each host's link, each way, in 10^6 bit/s; 100 if zero.
	Mbit int
	// Options are added to those of host i; none if nil.
	Options func(i int) []libp2p.Option
}

// Net is a network of which the hosts are started by others, such as whole nodes.
type Net struct {
	nw    *simnet.Simnet
	links simnet.NodeBiDiLinkSettings
}

// Lines makes a network without hosts. Call it inside a synctest bubble; it is
// closed with the test, after what the test starts on it later.
func Lines(t testing.TB, cfg Config) *Net {
	t.Helper()
	rate := simnet.LinkSettings{BitsPerSecond: cmp.Or(cfg.Mbit, 100) * simlibp2p.OneMbps}
	latency := cmp.Or(cfg.Latency, 10*time.Millisecond)
	n := &Net{
		nw:    &simnet.Simnet{LatencyFunc: simnet.StaticLatency(latency)},
		links: simnet.NodeBiDiLinkSettings{Uplink: rate, Downlink: rate},
	}
	n.nw.Start()
	t.Cleanup(n.nw.Close)
	return n
}

// Options put a host that listens on Address on a line of its own.
func (n *Net) Options() []libp2p.Option {
	return []libp2p.Option{
		simlibp2p.QUICSimnet(n.nw, n.links),
		// Waits for real time, which stops a bubble's clock.
		libp2p.DisableIdentifyAddressDiscovery(),
	}
}

// Address is where host i listens: public, and a multiaddr.
func Address(i int) string {
	return fmt.Sprintf("/ip4/%s/udp/7461/quic-v1", simnet.IntToPublicIPv4(i))
}

// New starts n hosts that are not connected to each other. Call it inside a
// synctest bubble; hosts and network are closed with the test. Host i always has
// the same identity and the public address 1.0.0.i or a later one.
func New(t testing.TB, n int, cfg Config) []host.Host {
	t.Helper()
	lines := Lines(t, cfg)
	hosts := make([]host.Host, n)
	for i := range hosts {
		opts := append(lines.Options(),
			libp2p.Identity(Key(t, i)),
			libp2p.ListenAddrStrings(Address(i)),
			libp2p.ResourceManager(&network.NullResourceManager{}),
			libp2p.DisableMetrics(),
		)
		if cfg.Options != nil {
			opts = append(opts, cfg.Options(i)...)
		}
		h, err := libp2p.New(opts...)
		if err != nil {
			t.Fatalf("start host %d: %v", i, err)
		}
		hosts[i] = h
	}
	t.Cleanup(func() {
		for _, h := range hosts {
			_ = h.Close()
		}
	})
	return hosts
}

// Key is the identity of host i.
func Key(t testing.TB, i int) crypto.PrivKey {
	t.Helper()
	seed := sha256.Sum256(fmt.Appendf(nil, "testnet host %d", i))
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		t.Fatalf("key of host %d: %v", i, err)
	}
	return key
}

// Info is how others find h.
func Info(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

// Connect connects from to each of the others.
func Connect(t testing.TB, from host.Host, to ...host.Host) {
	t.Helper()
	for _, h := range to {
		if err := from.Connect(t.Context(), Info(h)); err != nil {
			t.Fatalf("connect %s to %s: %v", from.ID(), h.ID(), err)
		}
	}
}
