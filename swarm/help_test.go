package swarm

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/internal/testnet"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// echo is a protocol of members: it writes back what it reads first.
const echo protocol.ID = "/test/echo"

// node is one host of a test.
type node struct {
	host.Host // as others than this package's tests use it: guarded for members
	raw       host.Host
	s         *Swarm // nil for a stranger
}

// place is hosts in virtual time: the first strangers of them know the others'
// addresses and nothing else; then comes the founder, then members.
type place struct {
	strangers, members []*node
}

// options change how a place is made.
type options struct {
	strangers, members int
	change             func(i int, c *Config)                // of member i
	host               func(i int, s *Swarm) []libp2p.Option // of member i
	net                testnet.Config
}

// newPlace makes a private swarm. Nobody is connected. Call it in a bubble.
func newPlace(t *testing.T, o options) *place {
	t.Helper()
	n := o.strangers + o.members
	swarms := make([]*Swarm, n)
	invite := ""
	for i := o.strangers; i < n; i++ {
		dir, key := t.TempDir(), testnet.Key(t, i)
		if i == o.strangers {
			if _, err := Create(dir, "studio", "", key); err != nil {
				t.Fatal(err)
			}
		} else if err := Join(dir, invite, key); err != nil {
			t.Fatal(err)
		}
		c := Config{Dir: dir, Key: key}
		if o.change != nil {
			o.change(i-o.strangers, &c)
		}
		s, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close swarm: %v", err)
			}
		})
		swarms[i] = s
		if invite == "" {
			invite = newInvite(t, s, membership.Member, 0, 100)
		}
	}
	o.net.Options = func(i int) []libp2p.Option {
		if swarms[i] == nil {
			return nil
		}
		opts := []libp2p.Option{libp2p.ConnectionGater(swarms[i].Gater())}
		if o.host != nil {
			opts = append(opts, o.host(i-o.strangers, swarms[i])...)
		}
		return opts
	}
	p := &place{}
	for i, h := range testnet.New(t, n, o.net) {
		nd := &node{Host: h, raw: h, s: swarms[i]}
		if nd.s == nil {
			p.strangers = append(p.strangers, nd)
			continue
		}
		var err error
		if nd.Host, err = nd.s.Guard(h); err != nil {
			t.Fatal(err)
		}
		nd.SetStreamHandler(echo, reply)
		p.members = append(p.members, nd)
	}
	return p
}

func newInvite(t testing.TB, s *Swarm, roles membership.Role, life time.Duration, uses uint64) string {
	t.Helper()
	a := ma.StringCast(fmt.Sprintf("/ip4/1.0.0.0/udp/7461/quic-v1/p2p/%v", s.self))
	text, err := s.Invite(roles, life, uses, []ma.Multiaddr{a})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func reply(st network.Stream) {
	b := make([]byte, 1)
	if _, err := io.ReadFull(st, b); err == nil {
		_, _ = st.Write(b)
	}
	_ = st.Close()
}

// meet connects two members.
func meet(t *testing.T, a, b *node) {
	t.Helper()
	if err := a.Connect(t.Context(), testnet.Info(b.raw)); err != nil {
		t.Fatalf("connect: %v", err)
	}
}

// talk uses the echo protocol from a to b over whatever connection there is.
func talk(t *testing.T, a, b *node) error {
	t.Helper()
	st, err := a.NewStream(network.WithNoDial(t.Context(), "test"), b.raw.ID(), echo)
	if err != nil {
		return err
	}
	defer st.Reset()
	if err := st.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := st.Write([]byte{7}); err != nil {
		return err
	}
	b1 := make([]byte, 1)
	if _, err = io.ReadFull(st, b1); err == nil && b1[0] != 7 {
		err = fmt.Errorf("echo of %d", b1[0])
	}
	return err
}

// gone waits until a has no connection to b, at most for d of virtual time.
func gone(t *testing.T, a, b host.Host, d time.Duration) {
	t.Helper()
	at := time.Now()
	for a.Network().Connectedness(b.ID()) != network.NotConnected {
		if time.Since(at) > d {
			t.Fatalf("still connected after %v", d)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, f)
	})
}
